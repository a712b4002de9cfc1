/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Each job over each interface, on devices with nothing, the same or another filter on them: what comes of it, what is
 * on the device afterwards, and how little was asked of the kernel. What must never be sent is fake-kernel.h's to see.
 */

#undef NDEBUG

#include "tests/worker-script.h"

#define INTERFACE(i) KERNEL_INTERFACE_##i

static const World worlds[] = {
        { "blkfilter-1", 1, true, ENOENT, EINVAL, 0, INTERFACE(BLKFILTER_1) },
        { "blkfilter-1 without attribute", 1, false, ENOENT, ENOTTY, 0, INTERFACE(BLKFILTER_1) },
        { "blkfilter-1, late", 1, true, EINVAL, ENOTTY, 0, INTERFACE(BLKFILTER_1) },
        { "blkfilter-2", 2, true, EINVAL, ENOTTY, 0, INTERFACE(BLKFILTER_2) },
        { "blkfilter-2 without attribute", 2, false, EINVAL, EINVAL, 0, INTERFACE(BLKFILTER_2) },
        { "bdevfilter, early", 0, false, 0, EINVAL, 40, INTERFACE(BDEVFILTER_40) },
        { "bdevfilter, late", 0, false, 0, ENOTTY, 56, INTERFACE(BDEVFILTER_56) },
        /* what sysfs tells of there is another mechanism's filter */
        { "bdevfilter on blkfilter-1", 1, true, ENOENT, EINVAL, 56, INTERFACE(BDEVFILTER_56) },
};

static const char *const filters[] = { "", "bfcount", "blksnap", MUTE };

#define N_WORLDS (sizeof(worlds) / sizeof(worlds[0]))
#define N_FILTERS (sizeof(filters) / sizeof(filters[0]))

/* A case: a job about one filter, on a device that has this or another one on it. */
typedef struct Case {
        const World *world;
        const char *on, *filter;
        bool partition;
        bool by_path, can_be_asked, same, other_is_known;
} Case;

/* Whether a command of it is known that changes nothing. */
static bool can_be_asked(const char *filter) {
        return filter[0] && !str_equal(filter, MUTE);
}

static const char **on_of(const Case *c) {
        int which = c->partition ? PART : DISK;

        return c->by_path ? &real.on_node[which] : &real.on[which];
}

static JobRequest set_up(const Case *c, JobKind kind) {
        JobRequest r = request_of(kind, c->partition);
        const char *const fs[N_PARTS] = { NULL };

        make(two, fs);
        real.world = c->world;
        real.id_size = 40;
        if (c->by_path && c->world->own)
                real.on[DISK] = real.on[PART] = "bftrack";
        *on_of(c) = c->on;
        r.interface = c->world->interface;
        CHECK(str_copy(r.filter, sizeof(r.filter), c->filter));
        return r;
}

static void check_case(const Case *c, JobKind kind, JobOutcome got, JobOutcome wanted, const char *on) {
        static const char *const kinds[_JOB_KIND_MAX] = { "scan", "attach", "detach", "ctl", "check", "probe" };

        if (got != wanted || !str_equal(*on_of(c), on)) {
                fprintf(stderr, "%s, %s of %s on a %s that has \"%s\": outcome %u, not %u; then it has \"%s\": %s\n",
                        c->world->name, kinds[kind], c->filter, c->partition ? "partition" : "disk", c->on, got, wanted,
                        *on_of(c), reply.message);
                abort();
        }

        /* the other one is named if anything names it */
        CHECK_STR(reply.other_filter, got == JOB_CONFLICT && (c->other_is_known || c->world->attribute) &&
                  (!c->by_path || c->other_is_known) ? c->on : "");

        /* the foreign mechanism's filters are left alone */
        if (c->by_path && c->world->own)
                CHECK_STR(real.on[c->partition ? PART : DISK], "bftrack");
}

static void test_attach(const Case *c) {
        JobRequest r = set_up(c, JOB_ATTACH);
        JobOutcome wanted = !c->on[0] ? JOB_OK : c->same ? JOB_ALREADY : JOB_CONFLICT;

        expect(&r, MATCH_PT_UUID, UUID_TABLE);
        check_case(c, JOB_ATTACH, run(&r), wanted, c->on[0] ? c->on : c->filter);
        CHECK(real.options_size == 0);
        CHECK(!!reply.generation[0] == (wanted != JOB_CONFLICT && str_equal(c->filter, "blksnap")));
}

static void test_options(const Case *c) {
        JobRequest r = set_up(c, JOB_ATTACH);
        bool takes = kernel_interface_takes_options(r.interface);
        JobOutcome wanted = !takes ? JOB_UNSUPPORTED : !c->on[0] ? JOB_OK : c->same ? JOB_ALREADY : JOB_CONFLICT;

        expect(&r, MATCH_PT_UUID, UUID_TABLE);
        r.options_size = JOB_OPTIONS_MAX;
        memset(r.options, 0x5a, r.options_size);
        r.options[JOB_OPTIONS_MAX - 1] = 0x01;
        check_case(c, JOB_ATTACH, run(&r), wanted, c->on[0] || !takes ? c->on : c->filter);

        if (!takes)
                CHECK(real.n_calls == 0 && strstr(reply.message, "takes no options"));
        if (wanted != JOB_OK)
                return;

        CHECK(real.options_size == r.options_size && memcmp(real.options, r.options, r.options_size) == 0);

        /* the filter refuses something, most likely them */
        *on_of(c) = "";
        real.attach_error = EINVAL;
        check_case(c, JOB_ATTACH, run(&r), JOB_FAILED, "");
        CHECK(reply.error == EINVAL && strstr(reply.message, "Options="));
        real.attach_error = EIO;
        CHECK(run(&r) == JOB_FAILED && !strstr(reply.message, "Options="));
        real.attach_error = EINVAL;
        r.options_size = 0;
        CHECK(run(&r) == JOB_FAILED && !strstr(reply.message, "Options="));
}

static void test_detach(const Case *c) {
        JobRequest r = set_up(c, JOB_DETACH);
        JobOutcome wanted = c->by_path && !c->can_be_asked ? JOB_UNSUPPORTED :
                            !c->on[0] ? JOB_NOT_ATTACHED : c->same ? JOB_OK :
                            c->by_path && !c->other_is_known ? JOB_NOT_ATTACHED : JOB_CONFLICT;

        check_case(c, JOB_DETACH, run(&r), wanted, wanted == JOB_OK ? "" : c->on);
        CHECK(real.n_detached == (wanted == JOB_OK));
        if (wanted == JOB_UNSUPPORTED)
                CHECK(real.n_calls == 0 && strstr(reply.message, "no harmless command of " MUTE " is known"));
}

static void test_check(const Case *c) {
        JobRequest r = set_up(c, JOB_CHECK);
        bool told = c->world->attribute && !c->by_path;
        JobOutcome wanted;

        if (told)
                wanted = !c->on[0] ? JOB_NOT_ATTACHED : c->same ? JOB_OK : JOB_CONFLICT;
        else if (!c->on[0])
                wanted = c->can_be_asked || !c->by_path ? JOB_NOT_ATTACHED : JOB_UNSUPPORTED;
        else if (c->same)
                wanted = c->can_be_asked ? JOB_OK : JOB_UNSUPPORTED;
        else if (c->other_is_known)
                wanted = JOB_CONFLICT;
        else if (c->by_path)
                wanted = JOB_NOT_ATTACHED; /* for all that can be known */
        else /* something is on: another one, if the one in question says that it is not */
                wanted = c->world->ctl_other == ENOENT ? JOB_CONFLICT : JOB_UNSUPPORTED;

        check_case(c, JOB_CHECK, run(&r), wanted, c->on);
        CHECK(!!reply.generation[0] == (wanted == JOB_OK && str_equal(c->filter, "blksnap")));
        CHECK((wanted == JOB_UNSUPPORTED) == !!reply.message[0]);
        if (told && !str_equal(c->filter, "blksnap"))
                CHECK(real.n_opened == 0 && real.n_calls == 0);
}

static void test_ctl(const Case *c) {
        JobRequest r = set_up(c, JOB_CTL);
        int memfd = memfd_create("command", MFD_CLOEXEC);
        JobOutcome wanted;

        CHECK(memfd >= 0 && ftruncate(memfd, 48) == 0);
        r.payload_size = 48;
        if (c->same)
                wanted = c->can_be_asked ? JOB_OK : JOB_NO_COMMAND;
        else if (!c->on[0] || c->by_path || c->world->ctl_other == ENOENT)
                wanted = JOB_NOT_ATTACHED;
        else
                wanted = c->world->attribute ? JOB_CONFLICT : JOB_FAILED;

        real.kind = r.kind;
        worker_do(&r, memfd, &reply);
        check_case(c, JOB_CTL, (JobOutcome) reply.outcome, wanted, c->on);
        CHECK(real.n_calls == 1 && real.n_ctl == 1 && reply.sent && real.confined);
        CHECK((real.confined_fd == NODE_FD) == c->by_path);
        if (wanted == JOB_FAILED)
                CHECK(reply.error == EINVAL);

        /* a command that the filter itself refuses so is answered as it is */
        if (wanted == JOB_OK) {
                real.confined = false;
                real.ctl_error = EINVAL;
                worker_do(&r, memfd, &reply);
                CHECK(reply.outcome == JOB_FAILED && reply.error == EINVAL && !reply.other_filter[0]);
        }
        close(memfd);
}

/* The device goes right after the ATTACH, or before: nothing is left on it, or on its number. */
static void test_gone(const Case *c) {
        for (unsigned n = 1; n <= 2; n++) {
                JobRequest r = set_up(c, JOB_ATTACH);

                if (c->on[0])
                        return;

                expect(&r, MATCH_PT_UUID, UUID_TABLE);
                real.gone_after = n;
                CHECK(run(&r) == (c->by_path || n == 1 ? JOB_GONE : JOB_OK));
                if (c->by_path && n == 1)
                        CHECK(real.n_calls == 0);
                else if (c->by_path || n == 1)
                        CHECK(real.n_attached == 1 && real.n_detached == (!c->by_path || c->can_be_asked));
        }

        if (!c->by_path)
                return;

        /* another device may have its name now: nothing is done by it */
        for (int i = 0; i < 3; i++) {
                static const JobKind kinds[] = { JOB_DETACH, JOB_CHECK, JOB_CTL };
                JobRequest r = set_up(c, kinds[i]);
                int memfd = memfd_create("command", MFD_CLOEXEC);

                *on_of(c) = c->filter;
                real.gone_after = 1;
                real.kind = r.kind;
                worker_do(&r, memfd, &reply);
                CHECK(reply.outcome == JOB_GONE && real.n_calls == 0 && !reply.sent);
                close(memfd);
        }

        /* ENOENT is then said of the path */
        for (int i = 0; i < 3; i++) {
                static const JobKind kinds[] = { JOB_ATTACH, JOB_DETACH, JOB_CHECK };
                JobRequest r = set_up(c, kinds[i]);

                expect(&r, MATCH_PT_UUID, UUID_TABLE);
                real.path_fails = ENOENT;
                real.gone_after = 2;
                CHECK(run(&r) == (c->can_be_asked || r.kind != JOB_DETACH ? JOB_GONE : JOB_UNSUPPORTED));
        }
}

/*
 * The module opens the device for writing, too, which fails with one that is read-only, whatever is on it: nothing is
 * known then, and the person is told what is the matter.
 */
static void test_read_only(const Case *c, int error) {
        for (JobKind kind = JOB_ATTACH; kind <= JOB_CHECK; kind++) {
                JobRequest r = set_up(c, kind);
                int memfd = memfd_create("command", MFD_CLOEXEC);

                expect(&r, MATCH_PT_UUID, UUID_TABLE);
                real.path_fails = error;
                real.read_only = true;
                real.kind = r.kind;
                CHECK(memfd >= 0);
                worker_do(&r, memfd, &reply);
                close(memfd);
                if (!c->by_path || (!c->can_be_asked && (kind == JOB_DETACH || kind == JOB_CHECK)))
                        continue;

                check_case(c, kind, (JobOutcome) reply.outcome, JOB_FAILED, c->on);
                CHECK(strstr(reply.message, "read-only") && strstr(reply.message, "blockdev --setrw"));
                CHECK(reply.error == EROFS && !reply.sent);
        }
}

static void test_node(const Case *c) {
        static const World without = { "no module", 0, false, 0, ENOTTY, 0, INTERFACE(NONE) };

        for (JobKind kind = JOB_ATTACH; kind <= JOB_CHECK; kind++) {
                JobRequest r = set_up(c, kind);

                if (!c->by_path)
                        return;

                real.node_error = EACCES;
                CHECK(run(&r) == JOB_FAILED && reply.error == EACCES && real.n_calls == 0 && reply.message[0]);
                real.world = &without;
                CHECK(run(&r) == JOB_UNSUPPORTED && real.n_calls == 0 && strstr(reply.message, "modprobe bdevfilter"));
        }
}

/* On bdevfilter a filter that does not say clearly that it is on is not taken off. */
static void test_unsure(const Case *c) {
        static const int errors[] = { EIO, EINVAL, ENOTTY, EINTR, EBUSY };

        for (size_t i = 0; i < sizeof(errors) / sizeof(errors[0]); i++) {
                JobRequest r = set_up(c, JOB_DETACH);

                if (!c->by_path || !c->same || !c->can_be_asked)
                        return;

                real.ctl_error = errors[i];
                check_case(c, JOB_DETACH, run(&r), JOB_FAILED, c->on);
                CHECK(real.n_detached == 0 && reply.message[0]);
        }
}

static void test_not_registered(const World *w) {
        Case c = { .world = w, .on = "", .filter = "absent", .partition = true,
                   .by_path = kernel_interface_is_bdevfilter(w->interface) };
        JobRequest r = set_up(&c, JOB_ATTACH);

        expect(&r, MATCH_PART_UUID, UUID_X);
        check_case(&c, JOB_ATTACH, run(&r), JOB_NOT_REGISTERED, "");
        CHECK(real.n_calls == 1);
}

int main(void) {
        for (size_t w = 0; w < N_WORLDS; w++) {
                test_not_registered(&worlds[w]);

                for (size_t i = 0; i < N_FILTERS * (N_FILTERS - 1) * 2; i++) {
                        Case c = {
                                .world = &worlds[w],
                                .on = filters[i / 2 % N_FILTERS],
                                .filter = filters[i / 2 / N_FILTERS + 1],
                                .partition = i % 2,
                                .by_path = kernel_interface_is_bdevfilter(worlds[w].interface),
                        };

                        c.can_be_asked = can_be_asked(c.filter);
                        c.same = str_equal(c.on, c.filter);
                        c.other_is_known = !c.same && can_be_asked(c.on);
                        test_attach(&c);
                        test_options(&c);
                        test_detach(&c);
                        test_check(&c);
                        test_ctl(&c);
                        test_gone(&c);
                        test_read_only(&c, ENOENT);
                        test_read_only(&c, EACCES);
                        test_node(&c);
                        test_unsure(&c);
                }
        }

        return EXIT_SUCCESS;
}
