/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* blkfilterctl against a daemon with a made-up manager: what it asks, what it prints, how it ends. */

#include <errno.h>
#include <stdlib.h>
#include <sys/wait.h>

#include "dbus/bus-call.h"
#include "tests/bus/fixture.h"

#define ANOTHER 1 /* one of Debian's fixed users: the bus looks a caller's groups up */

static Fixture fixture;

typedef struct Command {
        const char *line;     /* behind "blkfilterctl" */
        int status;
        const char *parts[8]; /* what it prints has all of them */
        const char *not;      /* and not this; NULL: anything */
} Command;

/* In a process of its own: the daemon answers in the other. */
static void runs(sd_bus *bus, void *arg) {
        const Command *c = arg;
        char line[1024], printed[16384];
        size_t n;
        FILE *p;
        int r;

        (void) bus;

        (void) snprintf(line, sizeof(line), "TZ=UTC DBUS_SYSTEM_BUS_ADDRESS=%s %s %s 2>&1", fixture.address,
                        BLKFILTERCTL, c->line);
        p = popen(line, "r");
        assert(p);
        n = fread(printed, 1, sizeof(printed) - 1, p);
        printed[n] = 0;
        r = pclose(p);

        for (size_t i = 0; i < 8 && c->parts[i]; i++)
                if (!strstr(printed, c->parts[i])) {
                        (void) fprintf(stderr, "%s: \"%s\" is not in:\n%s\n", c->line, c->parts[i], printed);
                        _Exit(EXIT_FAILURE);
                }
        if (c->not && strstr(printed, c->not)) {
                (void) fprintf(stderr, "%s: \"%s\" is in:\n%s\n", c->line, c->not, printed);
                _Exit(EXIT_FAILURE);
        }
        if (!WIFEXITED(r) || WEXITSTATUS(r) != c->status) {
                (void) fprintf(stderr, "%s: ended with %d, expected %d; it printed:\n%s\n", c->line, r, c->status,
                               printed);
                _Exit(EXIT_FAILURE);
        }
}

static void expect_as(uid_t uid, const Command *c) {
        fixture_client(&fixture, uid, runs, (void *) c);
}

#define EXPECT(_line, _status, ...)                                                                                    \
        expect_as(NOBODY, &(const Command){ .line = _line, .status = _status, .parts = { __VA_ARGS__ } })
#define EXPECT_ROOT(_line, _status, ...)                                                                               \
        expect_as(0, &(const Command){ .line = _line, .status = _status, .parts = { __VA_ARGS__ } })

static Attachment *attached(void) {
        Attachment *a = mock_manager_add(fixture.manager, "bftrack", UUID_A);

        assert(shared_copy(&a->device, "sda1") == 0);
        a->device_uid = 7;
        a->on_device = true;
        attachment_set_state(a, ATTACHMENT_ATTACHED, strdup("filter bftrack is on /dev/sda1"));
        a->intact_since_usec = UINT64_C(1700000000000000);
        a->n_attached = 2;
        a->has_fingerprint = true;
        assert(kept_entry_new(&(Entry) { .partno = 1, .uuid = UUID_A }, NULL, &a->fingerprint.entry) == 0);
        assert(fingerprint_set_disk(&a->fingerprint, &(DiskPrint) { .name = "sda" }) == 0);
        a->gaps = calloc(2, sizeof(*a->gaps));
        assert(a->gaps);
        a->gaps[0] = (Gap) { .begin_usec = UINT64_C(1699999990000000), .latest_usec = UINT64_C(1699999990000000),
                             .end_usec = UINT64_C(1699999990250000), .reason = "rescan" };
        a->n_gaps_kept = a->n_gaps = 1;
        return a;
}

static void test_show(void) {
        const Need needs[] = {
                { "bfcount", NEED_NO, (char *) "load its module" },
                { "bftrack", NEED_YES, (char *) "on 1 device" },
        };
        Attachment *b;

        fixture_init(&fixture, 0);
        EXPECT("list", 0, "0 attachments, 0 attached.");
        EXPECT("status", 0, "blkfilterd ", "Kernel: blkfilter-1", "Filters: none");
        EXPECT("probe", 0, "blkfilter-1: ");

        (void) attached();
        b = mock_manager_add(fixture.manager, "bfcount", "");
        attachment_set_state(b, ATTACHMENT_WAITING, strdup("no partition is present"));

        EXPECT("", 0, "DEVICE", "IDENTITY", "/dev/sda1", "2023-11-14 22:13:20 UTC", "attached", "waiting",
               "\n2 attachments, 1 attached.");
        EXPECT("list --no-legend", 0, "/dev/sda1");
        expect_as(NOBODY, &(const Command) { "list --no-legend", 0, { "/dev/sda1" }, "DEVICE" });
        EXPECT("list --json=short", 0, "{\"version\":1,\"attachments\":[{", "\"Device\":\"/dev/sda1\"",
               "\"State\":\"attached\"", "\"IntactSince\":1700000000000000", "\"PartNumber\":1",
               "\"Gaps\":[{\"begin\":1699999990000000,\"latest\":1699999990000000,\"end\":1699999990250000,\"reason\":"
               "\"rescan\"}]");
        EXPECT("list --json=pretty", 0, "\"version\": 1");
        EXPECT("status /dev/sda1", 0, "● /dev/sda1 - bftrack", "State: attached", "Identity: PARTUUID=" UUID_A,
               "since Tue 2023-11-14 22:13:20 UTC", "Gaps: 1", "Tue 2023-11-14 22:13:10 UTC, 0.250s, rescan",
               "Proven: PartUUID=" UUID_A, PATH_A);
        fixture.manager->needs = needs;
        fixture.manager->n_needs = 2;
        EXPECT("probe", 0, "blkfilter-1: /dev/sda has said so\n", "filter bfcount: not registered, load its module\n",
               "filter bftrack: registered, on 1 device\n");
        EXPECT("probe --json=short", 0, "\"KernelInterfaceReason\":\"/dev/sda has said so\"",
               "\"Filters\":[{\"Filter\":\"bfcount\",\"Registered\":\"no\",\"Reason\":\"load its module\"},{\"Filter\":"
               "\"bftrack\",\"Registered\":\"yes\"");
        expect_as(NOBODY, &(const Command) { "status", 0, { "Missing: bfcount: load its module" },
                                             "Missing: bftrack" });
        fixture.manager->interface = KERNEL_INTERFACE_NONE;
        expect_as(NOBODY, &(const Command) { "probe", 1, { "none: this kernel" }, "filter bfcount" });
        fixture.manager->interface = KERNEL_INTERFACE_BLKFILTER_1;
        fixture.manager->n_needs = 0;

        /* no colours where there is no terminal, but where they are asked for */
        expect_as(NOBODY, &(const Command) { "status /dev/sda1", 0, { "attached" }, "\033" });
        fixture.manager->interface = KERNEL_INTERFACE_NONE;
        EXPECT("probe", 1, "none: this kernel has no block device filters");
        EXPECT("probe --json=short", 1, "{\"version\":1,\"KernelInterface\":\"none\",\"KernelInterfaceReason\":\"",
               "modprobe bdevfilter", "\"Filters\":[]}");
        EXPECT("status", 0, "Kernel: none: this kernel has no block device filters", "load the module");
        EXPECT("status", 0, "Kernel: none", "1 attached", "1 waiting");

        attachment_set_state(b, ATTACHMENT_UNSUPPORTED, strdup("this kernel has none; load the module"));
        EXPECT("list", 0, "unsupported", "\nUnsupported: this kernel has none; load the module.\n2 attachments");

        fixture.manager->resolve_error = REQUEST_E_NO_SUCH_DEVICE;
        EXPECT("status /dev/sdz", 3, "blkfilterctl: no block device answers to that name");
        fixture_deinit(&fixture);
}

/* What is wrong in policy files: the first ones with file and line, and how many more; in JSON all of them. */
static void test_errors(void) {
        PolicySet *set;

        fixture_init(&fixture, 0);
        set = fixture.manager->policies;
        expect_as(NOBODY, &(const Command) { "status", 0, { "Filters: none" }, "Policies" });
        EXPECT("status --json=short", 0, "\"ConfigErrors\":[],");

        assert(policy_set_add_error(set, "/etc/blkfilter.d/10.conf", 3, "no such key", false) == 0);
        assert(policy_set_add_error(set, "/run/blkfilter.d", 0, "cannot be read", true) == 0);
        expect_as(NOBODY, &(const Command) {
                "status", 0,
                { "\n  Policies: 2 wrong:\n            /etc/blkfilter.d/10.conf:3: no such key\n"
                  "            /run/blkfilter.d: cannot be read\n" }, "more" });
        EXPECT("status --json=short", 0,
               "\"ConfigErrors\":[{\"file\":\"/etc/blkfilter.d/10.conf\",\"line\":3,\"message\":\"no such key\"},"
               "{\"file\":\"/run/blkfilter.d\",\"line\":0,\"message\":\"cannot be read\"}],");

        for (unsigned line = 4; line <= 8; line++)
                assert(policy_set_add_error(set, "/etc/blkfilter.d/10.conf", line, "no such key", false) == 0);
        expect_as(NOBODY, &(const Command) {
                "status", 0,
                { "Policies: 7 wrong:\n", "10.conf:6: no such key\n            and 2 more; --json=pretty has all" },
                "10.conf:7:" });
        EXPECT("status --json=pretty", 0, "\"line\": 8,");
        fixture_deinit(&fixture);
}

/* One policy that does not fit, by a key of a drop-in. */
static void explain(Manager *m, Explanation *e) {
        static Policy policy = { .path = "/etc/blkfilter.d/10.conf", .filter = "bftrack" };

        e->facts.values[MATCH_PART_LABEL] = "log";
        e->attachment = m->attachments.items[0];
        e->summary = strdup("no policy fits it");
        e->n_policies = 1;
        e->policies = calloc(1, sizeof(*e->policies));
        assert(e->policies);
        e->policies[0] = (ExplainedPolicy) { .policy = &policy, .verdict = EXPLAIN_NO_MATCH, .n_keys = 1 };
        e->policies[0].keys = calloc(1, sizeof(*e->policies[0].keys));
        assert(e->policies[0].keys);
        e->policies[0].keys[0] = (ExplainedKey){
                .path = "/run/blkfilter.d/10.conf.d/x.conf",
                .line = 7,
                .key = "PartLabel",
                .wanted = strdup("data"),
                .found = "log",
                .verdict = "it is another one",
        };
}

static void test_explain(void) {
        fixture_init(&fixture, 0);
        (void) attached();
        fixture.manager->explain = explain;
        EXPECT("explain /dev/sda1", 0, "/dev/sda1\n  PartLabel=log\n", "\nno policy fits it\n",
               "\nno-match: /etc/blkfilter.d/10.conf, bftrack\n",
               "  no  PartLabel=data: it is another one, it has log\n", "/run/blkfilter.d/10.conf.d/x.conf:7\n");
        EXPECT("explain /dev/sda1 --json=short", 0,
               "{\"version\":1,\"device\":\"/dev/sda1\",\"facts\":{\"PartLabel\":\"log\"}",
               "\"attachment\":\"" PATH_A "\"",
               "\"verdict\":\"no-match\",\"keys\":[{\"file\":\"/run/blkfilter.d/10.conf.d/x.conf\",\"line\":7,",
               "\"matches\":false}]}]}");
        fixture.manager->resolve_error = REQUEST_E_AMBIGUOUS;
        EXPECT("explain PARTLABEL=log", 3, "several devices have that identity");
        fixture_deinit(&fixture);
}

static void test_act(void) {
        Attachment *a;

        fixture_init(&fixture, 0);
        a = attached();

        EXPECT_ROOT("attach /dev/sda1 bftrack --persistent", 0, "bftrack is on /dev/sda1, by PARTUUID=" UUID_A);
        assert(fixture.manager->n_attach == 1 && fixture.manager->options.persistent &&
               !fixture.manager->options.choose);
        assert(strcmp(fixture.manager->device, "/dev/sda1") == 0 && strcmp(fixture.manager->filter, "bftrack") == 0);
        EXPECT_ROOT("attach PARTUUID=" UUID_A " bftrack --choose --json=short", 0, "\"State\":\"attached\"");
        assert(fixture.manager->options.choose && !fixture.manager->options.persistent);

        EXPECT_ROOT("detach /dev/sda1 bfcount", 0, "bfcount is off /dev/sda1");
        assert(fixture.manager->n_detach == 1 && strcmp(fixture.manager->filter, "bfcount") == 0);
        EXPECT_ROOT("detach /dev/sda1", 0, "bftrack is off /dev/sda1");
        assert(strcmp(fixture.manager->filter, "bftrack") == 0);

        EXPECT_ROOT("forget " PATH_A, 0, "What was asked for by hand is forgotten");
        EXPECT_ROOT("forget PARTUUID=" UUID_A, 0, "is forgotten for PARTUUID=");
        EXPECT_ROOT("forget /dev/sda1 --quiet", 0, NULL);
        fixture.manager->answer_error = REQUEST_E_WANTED;
        EXPECT_ROOT("forget /dev/sda1", 3, "a policy wants it");

        fixture.manager->answer_error = REQUEST_E_CONFLICT;
        EXPECT_ROOT("attach /dev/sda1 bfcount", 3, "blkfilterctl: another filter is on the device");
        fixture.manager->answer_error = REQUEST_OK;

        EXPECT_ROOT("reload", 0, NULL);
        assert(policy_set_add_error(fixture.manager->policies, "/etc/blkfilter.d/10.conf", 3, "no such key", false) ==
               0);
        EXPECT_ROOT("reload", 1, "/etc/blkfilter.d/10.conf:3: no such key");

        fixture.polkit = MOCK_POLKIT_NO;
        EXPECT("attach /dev/sda1 bftrack", 3, "blkfilterctl: ", "root may do this (sudo)");
        EXPECT("detach --no-ask-password /dev/sda1", 3, "root may do this (sudo)");
        (void) a;
        fixture_deinit(&fixture);
}

static void test_intact(void) {
        Attachment *a;

        fixture_init(&fixture, 0);
        EXPECT("intact /dev/sda1", 3, "no attachment knows the device");
        a = attached();
        EXPECT("intact /dev/sda1", 0,
               "Intact: bftrack on /dev/sda1 has seen every write since Tue 2023-11-14 22:13:20 UTC.");
        EXPECT("intact /dev/sda1 --since=@1700000000", 0, "Intact: ");
        EXPECT("intact /dev/sda1 --since='2023-11-14 22:13:20'", 0, "Intact: ");
        EXPECT("intact /dev/sda1 --since=2023-11-14T22:13:19.999Z", 1, "Not intact since Tue 2023-11-14 22:13:19 UTC");
        EXPECT("intact /dev/sda1 --since=@1699999999.9", 1, "Not intact since",
               "only since Tue 2023-11-14 22:13:20 UTC");
        EXPECT("intact /dev/sda1 --since=@1699999990", 1,
               "The last gap: from Tue 2023-11-14 22:13:10 UTC for 0.250s (rescan).");
        EXPECT("intact /dev/sda1 --since='1h ago'", 0, "Intact: ");
        EXPECT("intact /dev/sda1 --since='999w ago'", 1, "Not intact");
        EXPECT("intact /dev/sda1 --since=-2h30min", 0, "Intact: ");
        EXPECT("intact /dev/sda1 --since=yesterday", 2, "--since=yesterday is no time");
        EXPECT("intact /dev/sda1 --since=@99999999999", 2, "in the future");
        EXPECT("intact /dev/sda1 --json=short --since=@1700000001", 0, "\"intact\":true,\"since\":1700000001000000");
        expect_as(NOBODY, &(const Command) { "intact -q /dev/sda1 --since=@1", 1, { NULL }, "a" });

        a->intact_since_usec = 0;
        a->on_device = false;
        shared_set(&a->device, shared_empty);
        attachment_set_state(a, ATTACHMENT_WAITING, strdup("no partition is present"));
        EXPECT("intact /dev/sda1", 1, "Not intact: bftrack is not on the device (waiting): no partition is present.");
        fixture_deinit(&fixture);
}

static void test_wait(void) {
        Command c = { "wait /dev/sda1 --timeout=60", 0, { "bftrack is on /dev/sda1." }, NULL };
        Attachment *a;
        pid_t pid;

        fixture_init(&fixture, 0);
        a = attached();
        EXPECT("wait /dev/sda1", 0, "bftrack is on /dev/sda1.");

        a->on_device = false;
        attachment_set_state(a, ATTACHMENT_WAITING, strdup("no partition is present"));
        EXPECT("wait /dev/sda1 --timeout=0.1", 1,
               "/dev/sda1 has not got its filter within 0.1: no partition is present");
        EXPECT("wait /dev/sda1 --timeout=soon", 2, "--timeout=soon is no time span");

        /* it has asked once, and is told of the change */
        fixture.manager->n_resolve = 0;
        pid = fixture_spawn(&fixture, NOBODY, runs, &c);
        UNTIL(&fixture, fixture.manager->n_resolve > 0);
        a->on_device = true;
        attachment_set_state(a, ATTACHMENT_ATTACHED, strdup("filter bftrack is on /dev/sda1"));
        fixture.manager->listener.attachment_changed(a, ATTACHMENT_CHANGED_STATE, fixture.manager->listener.userdata);
        fixture_join(&fixture, pid);
        fixture_deinit(&fixture);
}

/* A daemon that ends while it is waited for, or that does not answer; and who reads of a monitor ends. */
static void test_gone(void) {
        static const Command ended = { "wait /dev/sda1 --timeout=600", 4, { "blkfilterd has ended" }, NULL };
        static const Command silent = { "wait /dev/sda1 --timeout=0.1", 1, { "within 0.1: blkfilterd does not answer" },
                                        NULL };
        Attachment *a;
        int status;
        pid_t pid;

        fixture_init(&fixture, 0);
        a = attached();
        EXPECT("monitor >/dev/full", 3, NULL);

        a->on_device = false;
        attachment_set_state(a, ATTACHMENT_WAITING, strdup("no partition is present"));
        expect_as(NOBODY, &(const Command) { "wait -q /dev/sda1 --timeout=0.1", 1, { NULL }, "a" });

        /* nothing turns its loop */
        pid = fixture_spawn(&fixture, NOBODY, runs, (void *) &silent);
        assert(waitpid(pid, &status, 0) == pid && WIFEXITED(status) && WEXITSTATUS(status) == EXIT_SUCCESS);

        fixture.manager->n_resolve = 0;
        pid = fixture_spawn(&fixture, NOBODY, runs, (void *) &ended);
        UNTIL(&fixture, fixture.manager->n_resolve > 0);
        assert(sd_bus_release_name(fixture.bus->bus, BLKFILTER_BUS_NAME) >= 0);
        fixture_join(&fixture, pid);
        fixture_deinit(&fixture);
}

static void test_commands(void) {
        Manager *m;
        uint32_t word;

        fixture_init(&fixture, 0);
        m = fixture.manager;
        (void) attached();

        EXPECT_ROOT("ctl /dev/sda1 bftrack 99", 3, "RawCommands=yes in /etc/blkfilterd.conf");
        m->raw_commands = true;
        /* the made-up manager's answer is what it was given, with the first byte inverted */
        EXPECT_ROOT("ctl /dev/sda1 bftrack 99 --payload='01 02:ff'", 0, "fe02ff\n");
        assert(m->command == 99 && m->payload_size == 3 && m->payload[2] == 0xff && m->n_buffers == 0);
        EXPECT_ROOT("ctl /dev/sda1 bfcount 0 --json=short", 0, "{\"version\":1,\"payload\":\"ff0000");
        EXPECT_ROOT("count read /dev/sda1", 0, "reads: 255\n", "flushes: 0\n");
        assert(m->command == 0 && strcmp(m->filter, "bfcount") == 0);
        EXPECT_ROOT("count reset /dev/sda1", 0, NULL);
        assert(m->command == 1);
        EXPECT_ROOT("track info /dev/sda1 --json=short", 0, "\"generation\":\"00000000000000000000000000000000\"",
                    "\"block_count\":0");
        EXPECT_ROOT("track map /dev/sda1", 0, NULL);
        EXPECT_ROOT("track map /dev/sda1 --json=short", 0, "\"generation\":\"0000", "\"written\":[]");
        m->generation_step = 1;
        EXPECT_ROOT("track map /dev/sda1 --json=short", 3, "put on again");
        EXPECT_ROOT("blksnap map /dev/sda1", 3, "put on again");
        m->generation_step = m->generation = 0;
        EXPECT_ROOT("track clear /dev/sda1", 0, NULL);
        assert(m->command == 2 && strcmp(m->filter, "bftrack") == 0);

        EXPECT_ROOT("blksnap info /dev/sda1 --json=short", 0,
                    "\"generation_id\":\"00000000000000000000000000000000\",\"device_capacity\":255,");
        EXPECT_ROOT("blksnap info /dev/sda1", 0, "generation_id: 0000", "block_count: 0", "changes_number: 0");
        EXPECT_ROOT("blksnap dirty /dev/sda1 0 8 64 1", 0, NULL);
        memcpy(&word, m->payload, sizeof(word));
        assert(m->command == 2 && m->payload_size == 16 && word == 2 && m->n_buffers == 1);
        assert(m->buffers[0].payload_offset == 8 && m->buffers[0].size == 32);
        EXPECT_ROOT("blksnap dirty /dev/sda1 0", 2, "pairs of SECTOR and COUNT");
        EXPECT_ROOT("blksnap dirty /dev/sda1 0 8x", 2, "8x is no number of sectors");
        EXPECT_ROOT("blksnap dirty /dev/sda1 0 0", 3, "range 0 is of 0 sectors");
        EXPECT_ROOT("blksnap add /dev/sda1 01234567-89ab-cdef-0123-456789abcdef", 0, NULL);
        assert(m->command == 3 && m->payload_size == 16 && m->payload[0] == 0x01 && m->payload[15] == 0xef);
        EXPECT_ROOT("blksnap add /dev/sda1 01234567", 2, "32 hexadecimal digits");
        EXPECT_ROOT("blksnap image /dev/sda1", 1, "the snapshot of /dev/sda1 is corrupted");
        assert(m->command == 4);

        m->ctl_result = -ENOSPC;
        EXPECT_ROOT("track clear /dev/sda1", 3, "filter bftrack on /dev/sda1 refused command 2: No space left");
        fixture_deinit(&fixture);
}

static void test_usage(void) {
        fixture_init(&fixture, 0);
        EXPECT("frobnicate", 2, "frobnicate is not known");
        EXPECT("attach /dev/sda1", 2, "attach takes more arguments, as in \"blkfilterctl attach DEVICE FILTER\"");
        EXPECT("list x", 2, "list takes no arguments");
        EXPECT("--json=xml", 2, "pretty, short and off are");
        EXPECT("--nonsense", 2, "blkfilterctl --help");
        EXPECT("--help", 0, "intact DEVICE", "Exit status: 0");
        EXPECT("--version", 0, "blkfilterctl 0.");
        EXPECT("ctl /dev/sda1 bftrack x", 2, "x is no command");
        EXPECT("ctl /dev/sda1 bftrack 1 --payload=0", 2, "pairs of hexadecimal digits");
        EXPECT("ctl /dev/sda1 bftrack 1 --payload=-1", 2, "pairs of hexadecimal digits");
        EXPECT("count raed /dev/sda1", 2, "read and reset are");
        EXPECT("blksnap mop /dev/sda1", 2, "info, map, dirty, add and image are");
        EXPECT("track mop /dev/sda1", 2, "info, map and clear are");
        EXPECT("verify /nonexistent.conf", 1, "/nonexistent.conf: ");
        fixture_deinit(&fixture);
}

/* What who has too much pending is told, while polkit thinks; others, and who only asks, are not held up by it. */
static void test_limit(void) {
        static const Command pending = { "attach /dev/sda1 bftrack", 0, { "bftrack is on /dev/sda1" }, NULL };
        static const Command refused = {
                "attach /dev/sda1 bftrack", 3,
                { "blkfilterctl: too many requests are under way; try again when some are answered\n" }, NULL,
        };
        pid_t pids[CALLS_MAX_PER_USER], other;

        fixture_init(&fixture, 0);
        (void) attached();
        fixture.polkit = MOCK_POLKIT_HOLD;
        for (unsigned i = 0; i < CALLS_MAX_PER_USER; i++)
                pids[i] = fixture_spawn(&fixture, NOBODY, runs, (void *) &pending);
        UNTIL(&fixture, fixture.n_questions == CALLS_MAX_PER_USER);

        expect_as(NOBODY, &refused);
        EXPECT("detach /dev/sda1", 3, "too many requests are under way");
        EXPECT("reload", 3, "too many requests are under way");
        EXPECT("count read /dev/sda1", 3, "too many requests are under way");
        EXPECT("list", 0, "1 attachment, 1 attached.");
        assert(fixture.n_questions == CALLS_MAX_PER_USER && mock_manager_n_changes(fixture.manager) == 0);

        /* root, and another user */
        EXPECT_ROOT("attach /dev/sda1 bftrack", 0, "bftrack is on /dev/sda1");
        other = fixture_spawn(&fixture, ANOTHER, runs, (void *) &pending);
        UNTIL(&fixture, fixture.n_questions == CALLS_MAX_PER_USER + 1);

        /* none of those that wait was lost, and there is room again */
        fixture_polkit_release(&fixture, true);
        for (unsigned i = 0; i < CALLS_MAX_PER_USER; i++)
                fixture_join(&fixture, pids[i]);
        fixture_join(&fixture, other);
        assert(fixture.manager->n_attach == CALLS_MAX_PER_USER + 2);
        fixture.polkit = MOCK_POLKIT_YES;
        expect_as(NOBODY, &pending);
        fixture_deinit(&fixture);
}

int main(int argc, char *argv[]) {
        static const char *const names[] = { "show", "errors", "explain",  "act",   "intact",
                                             "wait", "gone",   "commands", "usage", "limit" };
        static void (*const cases[])(void) = { test_show, test_errors, test_explain,  test_act,   test_intact,
                                               test_wait, test_gone,   test_commands, test_usage, test_limit };

        return fixture_main(argc, argv, names, cases, sizeof(cases) / sizeof(cases[0]));
}
