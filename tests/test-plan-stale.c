/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Filters that are kept by number (bdevfilter): what the device that went had on may be on whatever comes with its
 * number. And the end of the interface itself.
 */

#undef NDEBUG
#include "tests/script-run.h"

/* On sda1, with the kernel keeping filters by number. */
static Attachment *begin(Script *s) {
        Attachment *a;

        script_init(s);
        s->world.interface = KERNEL_INTERFACE_BDEVFILTER_56;
        s->tells_generation = true;
        script_table_1(s, "sda", 1, UUID_X, "data");
        script_had(s, "sda");
        a = script_policy(s, "20-data.conf", "bftrack", UUID_X, "");
        script_look(s);
        script_settle(s);
        CHECK(a->state == ATTACHMENT_ATTACHED && s->world.n_stale == 0);
        CHECK(a->number == number_of(8, 1));
        return a;
}

/* The kernel has left the filter on the number of a device that has just come. */
static void keep(Script *s, const char *name, const char *filter) {
        (void) str_copy(script_device(s, name)->filter, FILTER_NAME_SIZE, filter);
}

/* A re-read as it is as a rule: the filter went with its device. Nothing is asked but what is asked anyway. */
static void test_gone_with_device(void) {
        Script s;
        Attachment *a = begin(&s);

        script_reread(&s, "sda");
        script_expect(&s, JOB_SCAN, "sda");
        CHECK(s.world.n_stale == 1 && s.world.stale_changed);
        script_udev(&s);
        script_answer(&s);
        script_expect(&s, JOB_ATTACH, "sda1");
        script_answer(&s);
        CHECK(script_run(&s) == 0 && a->on_device && s.world.n_stale == 0);
        script_deinit(&s);
}

/* The same partition is back, and the filter is on it still: off and on again, as another one. */
static void test_same_is_put_on_anew(void) {
        Script s;
        Attachment *a = begin(&s);
        uint8_t generation[GENERATION_BYTES];

        memcpy(generation, a->fingerprint.generation, sizeof(generation));
        script_reread(&s, "sda");
        keep(&s, "sda1", "bftrack");
        script_udev(&s);
        script_expect(&s, JOB_SCAN, "sda");
        script_answer(&s);
        script_expect(&s, JOB_ATTACH, "sda1");
        script_reply_outcome(&s, JOB_ALREADY);
        script_expect(&s, JOB_DETACH, "sda1");
        CHECK(!a->on_device && a->state == ATTACHMENT_WAITING && attachment_get_open_gap(a));
        CHECK_HAS(a->reason, "is on /dev/sda1 still");

        /* the disk is busy, and it is tried again */
        script_reply_outcome(&s, JOB_LOCKED);
        CHECK(script_run(&s) == 0 && s.wake_at_usec == s.now.monotonic_usec + lock_delay_usec(1));
        script_pass(&s, lock_delay_usec(1));
        script_expect(&s, JOB_DETACH, "sda1");
        script_answer(&s);
        script_expect(&s, JOB_ATTACH, "sda1");
        script_answer(&s);
        CHECK(script_run(&s) == 0 && a->on_device && !a->foreign && s.world.n_stale == 0);
        CHECK(memcmp(a->fingerprint.generation, generation, sizeof(generation)) != 0 &&
              a->intact_since_usec == s.now.realtime_usec);
        script_deinit(&s);
}

/* Another partition has the number: the filter is taken off it, once it is known which it is. */
static void test_other_is_freed(void) {
        Script s;
        Attachment *a = begin(&s);

        script_table_1(&s, "sda", 1, UUID_Y, "other");
        script_reread(&s, "sda");
        keep(&s, "sda1", "bftrack");
        script_expect(&s, JOB_SCAN, "sda");
        script_udev(&s);
        script_answer(&s);
        script_expect(&s, JOB_DETACH, "sda1");
        CHECK_STR(s.jobs[0].filter, "bftrack");
        CHECK(s.jobs[0].interface == KERNEL_INTERFACE_BDEVFILTER_56);
        script_answer(&s);
        CHECK(script_run(&s) == 0 && !a->on_device && s.world.n_stale == 0 && !script_device(&s, "sda1")->filter[0]);
        script_deinit(&s);
}

/* An answer that was long on its way is of the device that went; of what has its number now it says nothing. */
static void test_answer_of_the_past(void) {
        Script s;
        Attachment *a = begin(&s);
        JobReply late = { .protocol = JOB_PROTOCOL, .outcome = JOB_NOT_ATTACHED };
        JobRequest check;

        world_fill_request(&s.world, device_set_get(&s.world.devices, "sda1"), JOB_CHECK, &check);
        (void) str_copy(check.filter, sizeof(check.filter), "bftrack");
        late.id = check.id;
        script_table_1(&s, "sda", 1, UUID_Y, "other");
        script_reread(&s, "sda");
        keep(&s, "sda1", "bftrack");
        script_expect(&s, JOB_SCAN, "sda");
        script_udev(&s);
        CHECK(s.world.n_stale == 1);
        world_job_done(&s.world, &check, &late, &s.now);
        CHECK(s.world.n_stale == 1);
        script_answer(&s);
        script_expect(&s, JOB_DETACH, "sda1");
        script_answer(&s);
        CHECK(script_run(&s) == 0 && !a->on_device && s.world.n_stale == 0 && !script_device(&s, "sda1")->filter[0]);
        script_deinit(&s);
}

/* It keeps none out that is to be there, not even one that does not wait for what others have put on. */
static void test_keeps_none_out(void) {
        Settings *settings;
        Attachment *b;
        Script s;

        (void) begin(&s);
        CHECK(settings_new(&settings) == 0);
        settings->ignore_conflict = true;
        b = script_policy_of(&s, "30-more.conf", "bfcount", match_of(UUID_Y, ""), settings);
        script_table_1(&s, "sda", 1, UUID_Y, "more");
        script_reread(&s, "sda");
        keep(&s, "sda1", "bftrack");
        script_udev(&s);
        script_settle(&s);
        CHECK(b->on_device && b->state == ATTACHMENT_ATTACHED && s.world.n_stale == 0);
        CHECK_STR(script_device(&s, "sda1")->filter, "bfcount");
        script_deinit(&s);
}

/* Nobody knows for how long a table cannot be read: the filter does not stay for all of it. */
static void test_not_known_for_long(void) {
        Script s;

        (void) begin(&s);
        script_table_1(&s, "sda", 1, UUID_Y, "other");
        script_unplug(&s, "sda");
        script_udev(&s);
        CHECK(script_run(&s) == 0 && s.world.n_stale == 1);
        script_disk(&s, "sda")->is_virtual = true; /* udev is waited for */
        script_plug(&s, "sda");
        keep(&s, "sda1", "bftrack");
        CHECK(script_run(&s) == 0 && s.wake_at_usec == s.now.monotonic_usec + 5 * SECOND);
        script_pass(&s, 5 * SECOND - 1);
        CHECK(script_run(&s) == 0);
        script_pass(&s, 1);
        script_expect(&s, JOB_DETACH, "sda1");
        script_answer(&s);
        CHECK(script_run(&s) == 0 && s.world.n_stale == 0);
        script_deinit(&s);
}

/* What cannot be asked whether it is on is not taken off, and not asked again. */
static void test_cannot_be_asked(void) {
        Script s;
        Attachment *a = begin(&s);

        script_reread(&s, "sda");
        keep(&s, "sda1", "bftrack");
        script_udev(&s);
        script_expect(&s, JOB_SCAN, "sda");
        script_answer(&s);
        script_expect(&s, JOB_ATTACH, "sda1");
        script_answer(&s);
        script_expect(&s, JOB_DETACH, "sda1");
        script_reply_outcome(&s, JOB_UNSUPPORTED);
        CHECK(s.world.n_stale == 0);
        script_expect(&s, JOB_ATTACH, "sda1");
        script_answer(&s);
        CHECK(script_run(&s) == 0 && a->on_device && a->foreign && a->intact_since_usec == s.now.realtime_usec);
        script_pass(&s, 1000 * SECOND);
        CHECK(script_run(&s) == 0);
        script_deinit(&s);
}

/* Of an earlier daemon: the device went while none was there. */
static void test_over_restart(void) {
        Attachment *a;
        Script s;

        script_init(&s);
        s.world.interface = KERNEL_INTERFACE_UNKNOWN;
        script_table_1(&s, "sda", 1, UUID_Y, "other");
        script_had(&s, "sda");
        keep(&s, "sda1", "bftrack");
        a = script_policy(&s, "20-data.conf", "bftrack", UUID_X, "");
        a->noted_object = 12345;
        a->number = number_of(8, 1);
        a->recorded_since_usec = a->recorded_at_usec = s.now.realtime_usec - 10 * SECOND;
        script_look(&s);
        CHECK(script_run(&s) == 0 && s.world.n_stale == 1 && a->n_gaps == 1);
        s.world.interface = KERNEL_INTERFACE_BDEVFILTER_40;
        world_touch_all(&s.world);
        script_expect(&s, JOB_DETACH, "sda1");
        script_answer(&s);
        CHECK(script_run(&s) == 0 && s.world.n_stale == 0);
        script_deinit(&s);
}

/* A job without an end has put it there, or another program has: there it stays, and on the next one it does not. */
static void test_spared(void) {
        Attachment *a;
        Script s;

        script_init(&s);
        s.world.interface = KERNEL_INTERFACE_BDEVFILTER_56;
        script_table_1(&s, "sda", 1, UUID_Y, "other");
        script_had(&s, "sda");
        keep(&s, "sda1", "bftrack");
        a = script_policy(&s, "20-data.conf", "bftrack", UUID_X, "");
        a->noted_object = script_device(&s, "sda1")->object;
        a->number = number_of(8, 1);
        script_look(&s);
        script_expect(&s, JOB_CHECK, "sda1");
        script_answer(&s);
        CHECK(script_run(&s) == 0 && !a->noted_object && s.world.n_stale == 1);

        script_reread(&s, "sda");
        keep(&s, "sda1", "bftrack");
        script_udev(&s);
        script_expect(&s, JOB_DETACH, "sda1");
        script_answer(&s);
        CHECK(script_run(&s) == 0 && s.world.n_stale == 0);
        script_deinit(&s);
}

/*
 * A job on a device that went takes long to say so: meanwhile another attachment has the number, and its filter there,
 * put on anew. Only then it is known that the first one's may have been left there.
 */
static void test_late_gone(void) {
        Attachment *a, *b;
        JobRequest late;
        Script s;

        script_init(&s);
        s.world.interface = KERNEL_INTERFACE_BDEVFILTER_56;
        script_table_1(&s, "sda", 1, UUID_X, "data");
        script_had(&s, "sda");
        a = script_policy(&s, "20-data.conf", "bftrack", UUID_X, "");
        b = script_policy(&s, "30-more.conf", "bftrack", UUID_Y, "");
        script_look(&s);
        script_expect(&s, JOB_ATTACH, "sda1");
        late = s.jobs[0];
        s.n_jobs = 0;

        script_unplug(&s, "sda");
        script_table_1(&s, "sda", 1, UUID_Y, "more");
        script_plug(&s, "sda");
        script_udev(&s);
        script_settle(&s);
        CHECK(b->on_device && !a->on_device && s.world.n_stale == 0);

        s.jobs[s.n_jobs++] = late;
        script_reply_outcome(&s, JOB_GONE);
        CHECK(script_run(&s) == 0 && b->on_device && b->n_gaps == 0 && s.world.n_stale == 0);

        /* what that job did it did by the path, which is the other one's by now */
        script_pass(&s, 3 * SECOND);
        script_device(&s, "sda1")->filter[0] = 0;
        script_expect(&s, JOB_CHECK, "sda1");
        script_answer(&s);
        CHECK(script_run(&s) == 1 && b->n_gaps == 1);
        script_answer(&s);

        /* a DETACH that took as long */
        late.kind = JOB_DETACH;
        CHECK(script_run(&s) == 0 && b->on_device);
        script_pass(&s, 3 * SECOND);
        s.jobs[s.n_jobs++] = late;
        script_reply_outcome(&s, JOB_OK);
        script_expect(&s, JOB_CHECK, "sda1");
        script_answer(&s);

        /* is no concern of an interface whose calls are made on what is open */
        CHECK(script_run(&s) == 0 && b->on_device);
        script_pass(&s, 3 * SECOND);
        late.interface = KERNEL_INTERFACE_BLKFILTER_1;
        s.jobs[s.n_jobs++] = late;
        script_reply_outcome(&s, JOB_OK);
        CHECK(script_run(&s) == 0 && b->on_device && !b->check_due);
        script_deinit(&s);
}

/* The module went and came, and which interface there is now is not known yet: the job put the filter on by the new. */
static void test_gone_while_unknown(void) {
        Script s;
        Attachment *a = begin(&s);

        script_reread(&s, "sda");
        script_udev(&s);
        script_expect(&s, JOB_SCAN, "sda");
        script_answer(&s);
        script_expect(&s, JOB_ATTACH, "sda1");
        world_lose_all(&s.world, true, &s.now);
        s.world.interface = KERNEL_INTERFACE_UNKNOWN;
        script_unplug(&s, "sda");
        script_reply_outcome(&s, JOB_GONE);
        CHECK(script_run(&s) == 0 && !a->on_device && s.world.n_stale == 1);
        script_deinit(&s);
}

/* Kernels whose filters go with the device's object are not asked. */
static void test_by_object(void) {
        Script s;
        Attachment *a = script_begin(&s);

        script_table_1(&s, "sda", 1, UUID_Y, "other");
        script_reread(&s, "sda");
        script_udev(&s);
        script_expect(&s, JOB_SCAN, "sda");
        script_answer(&s);
        CHECK(script_run(&s) == 0 && !a->on_device && s.world.n_stale == 0);
        script_deinit(&s);
}

/* The module went: nothing is on, and that is told; what was put on before it came again does not count. */
static void test_interface_gone(void) {
        Script s;
        Attachment *a = begin(&s), *b;

        script_table_1(&s, "sdb", 1, UUID_Y, "more");
        b = script_policy(&s, "30-more.conf", "bftrack", UUID_Y, "");
        script_plug(&s, "sdb");
        script_udev(&s);
        script_expect(&s, JOB_SCAN, "sdb");
        script_answer(&s);
        script_expect(&s, JOB_ATTACH, "sdb1");

        script_pass(&s, SECOND);
        world_lose_all(&s.world, true, &s.now);
        s.world.interface = KERNEL_INTERFACE_NONE;
        s.world.interface_job = s.world.last_job;
        CHECK(script_run(&s) == 0 && a->state == ATTACHMENT_UNSUPPORTED);
        CHECK_HAS(a->reason, "modprobe bdevfilter");
        CHECK_STR(attachment_get_open_gap(a)->reason, "interface-gone");
        CHECK(attachment_get_open_gap(a)->begin_usec == s.now.realtime_usec);

        script_answer(&s);
        CHECK(script_run(&s) == 0 && !b->on_device && b->state == ATTACHMENT_UNSUPPORTED && !b->noted_object);

        s.world.interface = KERNEL_INTERFACE_BDEVFILTER_56;
        script_device(&s, "sda1")->filter[0] = script_device(&s, "sdb1")->filter[0] = 0;
        world_touch_all(&s.world);
        script_settle(&s);
        CHECK(a->on_device && b->on_device && a->n_gaps == 1 && b->n_gaps == 0);
        script_deinit(&s);
}

/* What the kernel calls attached already, and the daemon has not put there, counts from when it was found. */
static void test_foreign(void) {
        Attachment *a;
        Script s;

        script_init(&s);
        script_table_1(&s, "sda", 1, UUID_X, "data");
        script_had(&s, "sda");
        keep(&s, "sda1", "bftrack");
        a = script_policy(&s, "20-data.conf", "bftrack", UUID_X, "");
        script_look(&s);
        script_settle(&s);
        CHECK(a->on_device && a->foreign && a->intact_since_usec == s.now.realtime_usec && a->n_attached == 0);
        CHECK_HAS(a->reason, "was there already");

        /* one that the daemon puts there is its own */
        script_reread(&s, "sda");
        script_udev(&s);
        script_settle(&s);
        CHECK(a->on_device && !a->foreign && !a->reason);
        script_deinit(&s);
}

int main(void) {
        test_gone_with_device();
        test_same_is_put_on_anew();
        test_other_is_freed();
        test_answer_of_the_past();
        test_keeps_none_out();
        test_not_known_for_long();
        test_cannot_be_asked();
        test_over_restart();
        test_spared();
        test_late_gone();
        test_gone_while_unknown();
        test_by_object();
        test_interface_gone();
        test_foreign();
        return 0;
}
