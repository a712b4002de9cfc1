/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Which interface a worker finds, on each kernel of the field and with each thing on the disk that it asks. That no
 * question changes anything, and none is asked by a number that may mean something else, is fake-kernel.h's to see.
 */

#undef NDEBUG

#include "tests/worker-script.h"

#define NONE KERNEL_INTERFACE_NONE
#define ONE KERNEL_INTERFACE_BLKFILTER_1
#define TWO KERNEL_INTERFACE_BLKFILTER_2
#define BDEV_40 KERNEL_INTERFACE_BDEVFILTER_40
#define BDEV_56 KERNEL_INTERFACE_BDEVFILTER_56

static const World worlds[] = {
        { "none, as most drivers say it", 0, false, 0, ENOTTY, 0, NONE },
        { "none, as SCSI and loop say it", 0, false, 0, EINVAL, 0, NONE },
        { "blkfilter-1", 1, true, ENOENT, EINVAL, 0, ONE },
        { "blkfilter-1 without attribute", 1, false, ENOENT, ENOTTY, 0, ONE },
        { "blkfilter-1, late", 1, true, EINVAL, ENOTTY, 0, ONE },
        { "blkfilter-2", 2, true, EINVAL, ENOTTY, 0, TWO },
        { "blkfilter-2, SCSI", 2, true, EINVAL, EINVAL, 0, TWO },
        { "bdevfilter, early", 0, false, 0, EINVAL, 40, BDEV_40 },
        { "bdevfilter, late", 0, false, 0, ENOTTY, 56, BDEV_56 },
        { "bdevfilter, late, on blkfilter-1", 1, true, ENOENT, EINVAL, 56, BDEV_56 },
        { "bdevfilter, early, on blkfilter-2", 2, true, EINVAL, ENOTTY, 40, BDEV_40 },
        { "a node of neither size", 0, false, 0, ENOTTY, 36, NONE },
        { "a node of neither size on blkfilter-1", 1, true, ENOENT, EINVAL, 36, ONE },
};

static const char *const filters[] = { "", "bfcount", "blksnap", MUTE };

static void probe(const World *w, const char *on) {
        JobRequest r = request_of(JOB_PROBE, false);

        r.interface = KERNEL_INTERFACE_UNKNOWN;
        make(two, NULL);
        real.world = w;
        if (w->own)
                real.on[DISK] = real.on[PART] = on;
        if (w->node)
                real.on_node[DISK] = real.on_node[PART] = on;
        CHECK(run(&r) == (w->unknown == EIO ? JOB_FAILED : JOB_OK));
        CHECK(reply.message[0] && !reply.other_filter[0]);
}

static void test_worlds(void) {
        for (size_t i = 0; i < sizeof(worlds) / sizeof(worlds[0]); i++)
                for (size_t k = 0; k < sizeof(filters) / sizeof(filters[0]); k++) {
                        const World *w = &worlds[i];
                        /* what blkfilter-2 answers with a filter on the disk, an ignorant driver may answer, too */
                        bool hidden = w->interface == TWO && filters[k][0];

                        probe(w, filters[k]);
                        if (reply.interface != (hidden ? KERNEL_INTERFACE_UNKNOWN : w->interface)) {
                                fprintf(stderr, "%s with \"%s\" on it: found %u: %s\n", w->name, filters[k],
                                        reply.interface, reply.message);
                                abort();
                        }
                        CHECK(reply.proven == (!hidden && (w->interface != NONE || w->unknown == ENOTTY)));
                        CHECK(!reply.proven || reply.error == 0);
                }
}

/* Reasons that a person reads. */
static void test_reasons(void) {
        probe(&worlds[0], "");
        CHECK_STR(reply.message, "there is no /dev/bdevfilter, and /dev/disk knows no call for filters");
        probe(&worlds[1], "");
        CHECK_STR(reply.message, "there is no /dev/bdevfilter, and /dev/disk answered \"Invalid argument\", as some"
                  " drivers do to every call that they do not know");
        probe(&worlds[2], "");
        CHECK_STR(reply.message, "/dev/disk knows the ATTACH of blkfilter-1");
        probe(&worlds[5], "");
        CHECK_STR(reply.message, "/dev/disk knows the DETACH of blkfilter-2");
        probe(&worlds[5], "bfcount");
        CHECK_STR(reply.message, "/dev/disk has filter bfcount on it, so that its answer proves nothing");
        probe(&worlds[7], "");
        CHECK_STR(reply.message, "/dev/bdevfilter is there, and its ATTACH takes 40 bytes, without options");
        probe(&worlds[8], "");
        CHECK_STR(reply.message, "/dev/bdevfilter is there, and its ATTACH takes 56 bytes, with options");
        probe(&worlds[11], "");
        CHECK_STR(reply.message, "/dev/bdevfilter takes ATTACH neither of 56 nor of 40 bytes, and /dev/disk knows no"
                  " call for filters");
}

/* An attribute that tells of no filter decides nothing about the answer: the next disk is asked. */
static void test_attribute(void) {
        static const World hidden = { "blkfilter-2 without attribute", 2, false, EINVAL, EINVAL, 0, TWO };
        JobRequest r = request_of(JOB_PROBE, false);

        probe(&hidden, "bfcount");
        CHECK(reply.interface == NONE && !reply.proven);

        /* taken off between the two questions */
        make(two, NULL);
        real.world = &worlds[6];
        real.on[DISK] = "bfcount";
        real.attribute = "";
        CHECK(run(&r) == JOB_OK && reply.interface == NONE && !reply.proven);
}

/* A partition of a disk that has a filter on it proves what that could not. */
static void test_partition(void) {
        JobRequest r = request_of(JOB_PROBE, true);

        for (int i = 5; i < 7; i++) {
                make(two, NULL);
                real.world = &worlds[i];
                real.on[DISK] = "bfcount";
                CHECK(run(&r) == JOB_OK && reply.interface == TWO && reply.proven && real.fd == real.part);
                CHECK_STR(reply.message, "/dev/disk1 knows the DETACH of blkfilter-2");

                real.on[PART] = "blksnap";
                CHECK(run(&r) == JOB_OK && reply.interface == KERNEL_INTERFACE_UNKNOWN);
                CHECK_STR(reply.message, "/dev/disk1 has filter blksnap on it, so that its answer proves nothing");
        }
}

/* A name that none of ours could have is a filter's all the same. */
static void test_odd_name(void) {
        JobRequest r = request_of(JOB_PROBE, false);

        make(two, NULL);
        real.world = &worlds[6];
        real.on[DISK] = "bfcount";
        real.attribute_error = EINVAL;
        CHECK(run(&r) == JOB_OK && reply.interface == KERNEL_INTERFACE_UNKNOWN && !reply.proven);
        CHECK_STR(reply.message, "/dev/disk has a filter on it, so that its answer proves nothing");
}

static void test_unclear(void) {
        static const int errors[] = { EACCES, EPERM, ENODEV };
        static const World odd = { "a driver with a mind of its own", 0, false, 0, EIO, 0, NONE };
        JobRequest r = request_of(JOB_PROBE, false);

        probe(&odd, "");
        CHECK(reply.interface == KERNEL_INTERFACE_UNKNOWN && !reply.proven && reply.error == EIO && real.n_calls == 1);
        CHECK_STR(reply.message, "/dev/disk answered \"Input/output error\", which proves nothing");

        /* the module is there, so it is its interface, whatever the disks take */
        for (size_t i = 0; i < sizeof(errors) / sizeof(errors[0]); i++) {
                make(two, NULL);
                real.world = &worlds[9];
                real.node_error = errors[i];
                CHECK(run(&r) == JOB_OK && reply.interface == KERNEL_INTERFACE_UNKNOWN && real.n_calls == 0);
                CHECK(reply.error == errors[i] && strstr(reply.message, "/dev/bdevfilter cannot be opened"));
        }

        /* a path that the module cannot open is answered as a name that it does not know */
        for (int i = 7; i < 9; i++) {
                make(two, NULL);
                real.world = &worlds[i];
                real.path_fails = ENOENT;
                CHECK(run(&r) == JOB_OK && reply.interface == worlds[i].interface && reply.proven);
        }

        /* a disk that cannot be asked */
        make(two, NULL);
        real.locked = true;
        CHECK(run(&r) == JOB_LOCKED && real.n_calls == 0);
        real.gone = true;
        CHECK(run(&r) == JOB_GONE && real.n_calls == 0);
}

int main(void) {
        test_worlds();
        test_reasons();
        test_attribute();
        test_partition();
        test_odd_name();
        test_unclear();
        return EXIT_SUCCESS;
}
