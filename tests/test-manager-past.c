/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* What was before the boot, and when it is known: at once, by another daemon, or when its disk is mounted. */

#undef NDEBUG
#include "tests/fake-outside.h"

/* What a daemon of the last boot has left of bftrack on UUID_X. */
static void leave_past(Fake *f, uint64_t recorded_at_usec) {
        Match *m = match_of(UUID_X, "");

        CHECK(attachment_new("bftrack", m, ATTACHMENT_SOURCE_POLICY, &f->last_boot) == 0);
        match_unref(m);
        f->last_boot->policy_path = shared_new("/etc/blkfilter.d/10.conf");
        f->last_boot->recorded_since_usec = recorded_at_usec - 1000 * SECOND;
        f->last_boot->recorded_at_usec = recorded_at_usec;
        f->last_boot->n_attached = 7;
}

/*
 * In an initramfs nobody knows of the last boot. The daemon that follows does: the filter stays as it is, and the gap
 * over the boot is told, once.
 */
static void test_past_comes_later(void) {
        uint64_t since, boot;
        Attachment *x;
        Fake f;

        fake_begin(&f);
        fake_policy(&f, "10.conf", "bftrack", UUID_X, "");
        boot = f.boot_usec = f.now.realtime_usec - 2 * SECOND;
        f.last_boot_away = true;
        fake_start(&f);
        x = get(&f, "bftrack", UUID_X, "");
        since = x->intact_since_usec;
        CHECK(x->on_device && x->past_due && x->n_gaps == 0);

        /* another that cannot see it either: nothing is lost by that */
        fake_pass(&f, 3 * SECOND);
        fake_end_manager(&f);
        fake_start(&f);
        CHECK(get(&f, "bftrack", UUID_X, "")->past_due);

        fake_pass(&f, 3 * SECOND);
        fake_end_manager(&f);
        f.last_boot_away = false;
        leave_past(&f, boot - 60 * SECOND);
        fake_begin_manager(&f);
        f.trace[0] = 0;
        fake_settle(&f);
        x = get(&f, "bftrack", UUID_X, "");
        CHECK(strstr(f.trace, "told lost bftrack_0fc63daf") && !strstr(f.trace, "attach sda1"));
        CHECK(x->on_device && x->intact_since_usec == since && x->n_attached == 8 && !x->past_due && x->n_gaps == 1);
        CHECK_STR(x->gaps[0].reason, "reboot");
        CHECK(x->gaps[0].begin_usec == boot - 60 * SECOND && x->gaps[0].latest_usec == boot &&
              x->gaps[0].end_usec == since);

        fake_end_manager(&f);
        leave_past(&f, boot - 60 * SECOND);
        fake_start(&f);
        x = get(&f, "bftrack", UUID_X, "");
        CHECK(x->intact_since_usec == since && x->n_attached == 8 && x->n_gaps == 1);
        fake_deinit(&f);
}

/* The filter went before the daemon that knows of the last boot came: all that is one gap. */
static void test_past_and_loss(void) {
        Attachment *x;
        Fake f;

        for (int ended = 0; ended < 2; ended++) {
                fake_begin(&f);
                fake_policy(&f, "10.conf", "bftrack", UUID_X, "");
                f.boot_usec = f.now.realtime_usec - 2 * SECOND;
                f.last_boot_away = true;
                fake_start(&f);
                if (ended) {
                        fake_pass(&f, SECOND);
                        fake_reread(&f, "sda1");
                        fake_settle(&f);
                        CHECK(get(&f, "bftrack", UUID_X, "")->n_gaps == 1);
                }

                fake_end_manager(&f);
                f.last_boot_away = false;
                leave_past(&f, f.boot_usec - 60 * SECOND);
                if (!ended)
                        for (size_t i = 0; i < f.n_devices; i++)
                                if (f.devices[i].partno)
                                        f.devices[i].object = ++f.last_object;
                fake_pass(&f, 5 * SECOND);
                fake_start(&f);
                x = get(&f, "bftrack", UUID_X, "");
                CHECK(x->on_device && x->n_gaps == (ended ? 2 : 1) && x->n_gaps_kept == x->n_gaps);
                CHECK_STR(x->gaps[0].reason, "reboot");
                CHECK(x->gaps[0].begin_usec == f.boot_usec - 60 * SECOND);
                if (ended)
                        CHECK(x->gaps[0].end_usec == x->gaps[1].begin_usec &&
                              x->gaps[1].end_usec == x->intact_since_usec);
                else
                        CHECK(x->gaps[0].end_usec == f.now.realtime_usec &&
                              x->intact_since_usec == f.now.realtime_usec);
                fake_deinit(&f);
        }
}

/* The clock that the machine started with was wrong by hours: nothing is claimed of before the boot. */
static void test_past_and_clock(void) {
        static const int64_t steps_usec[] = { 5 * 3600 * (int64_t) SECOND, -5 * 3600 * (int64_t) SECOND };
        Attachment *x;
        Fake f;

        for (size_t i = 0; i < 4; i++) {
                fake_begin(&f);
                fake_policy(&f, "10.conf", "bftrack", UUID_X, "");
                f.last_boot_away = true;
                fake_start(&f);
                fake_pass(&f, 3 * SECOND);
                fake_end_manager(&f);

                f.now.realtime_usec += (uint64_t) steps_usec[i % 2];
                f.boot_usec = f.now.realtime_usec - 9 * SECOND;
                f.last_boot_away = false;
                if (i < 2)
                        leave_past(&f, f.boot_usec - 60 * SECOND);
                fake_start(&f);
                x = get(&f, "bftrack", UUID_X, "");
                CHECK(x->on_device && x->n_attached == (i < 2 ? 8 : 1) && x->n_gaps == (i < 2));
                CHECK(x->intact_since_usec == (i % 2 ? f.now.realtime_usec : f.boot_usec));
                CHECK(i >= 2 || x->gaps[0].end_usec == x->intact_since_usec);
                fake_deinit(&f);
        }
}

/* Whether the device has changed since the last boot is asked for, and not known in an initramfs. */
static void test_past_is_needed(void) {
        char id[ATTACHMENT_ID_SIZE];
        Settings *settings;
        Attachment *x;
        Entry e;
        Fake f;

        fake_begin(&f);
        CHECK(settings_new(&settings) == 0);
        settings->refuse_change = true;
        CHECK(policy_set_add(f.policies, policy_new_of("10.conf", "bftrack", match_of(UUID_X, ""), settings)) == 0);
        f.last_boot_away = true;
        fake_start(&f);
        x = get(&f, "bftrack", UUID_X, "");
        CHECK(!x->on_device && x->state == ATTACHMENT_WAITING);
        CHECK_HAS(x->reason, "OnChange=refuse needs them");

        fake_end_manager(&f);
        f.last_boot_away = false;
        leave_past(&f, f.now.realtime_usec - 60 * SECOND);
        f.last_boot->has_fingerprint = true;
        e = f.devices[1].entry;
        e.size_sectors += 8;
        fingerprint_set_entry(&f.last_boot->fingerprint, &e);
        fake_start(&f);
        x = get(&f, "bftrack", UUID_X, "");
        CHECK(!x->on_device && x->state == ATTACHMENT_REFUSED && !x->past_due);

        /* with no past there is no change */
        (void) str_copy(id, sizeof(id), x->id);
        fake_end_manager(&f);
        CHECK(state_remove(&f.records, id) == 0);
        fake_start(&f);
        CHECK(get(&f, "bftrack", UUID_X, "")->on_device);
        fake_deinit(&f);
}

/* The disk with the records of the last boot is mounted after the start: the daemon finds it by itself. */
static void test_past_is_mounted_late(void) {
        uint64_t since, boot;
        Attachment *x;
        Fake f;

        fake_begin(&f);
        fake_policy(&f, "10.conf", "bftrack", UUID_X, "");
        boot = f.boot_usec = f.now.realtime_usec - 2 * SECOND;
        f.last_boot_away = true;
        fake_start(&f);
        x = get(&f, "bftrack", UUID_X, "");
        since = x->intact_since_usec;
        fake_pass(&f, 20 * SECOND);
        CHECK(x->on_device && x->past_due && x->n_gaps == 0);

        f.last_boot_away = false;
        leave_past(&f, boot - 60 * SECOND);
        f.trace[0] = 0;
        fake_pass(&f, 40 * SECOND);
        CHECK(!f.last_boot && !x->past_due && x->on_device && x->intact_since_usec == since && x->n_attached == 8);
        CHECK(x->n_gaps == 1 && x->gaps[0].begin_usec == boot - 60 * SECOND && x->gaps[0].end_usec == since);
        CHECK_STR(x->gaps[0].reason, "reboot");
        CHECK(!strstr(f.trace, "attach sda1"));

        /* once is enough */
        leave_past(&f, boot - 60 * SECOND);
        fake_pass(&f, 2000 * SECOND);
        CHECK(f.last_boot && x->n_gaps == 1);
        f.last_boot = attachment_free(f.last_boot);
        fake_deinit(&f);
}

/* What waits for the records of the last boot goes on when they are there; what nobody wants is not taken in. */
static void test_past_is_needed_late(void) {
        Settings *settings;
        Attachment *x;
        Match *m;
        Fake f;

        fake_begin(&f);
        CHECK(settings_new(&settings) == 0);
        settings->refuse_change = true;
        CHECK(policy_set_add(f.policies, policy_new_of("10.conf", "bftrack", match_of(UUID_X, ""), settings)) == 0);
        f.last_boot_away = true;
        fake_start(&f);
        x = get(&f, "bftrack", UUID_X, "");
        CHECK(!x->on_device && x->state == ATTACHMENT_WAITING);

        f.last_boot_away = false;
        m = match_of(UUID_Y, "");
        CHECK(attachment_new("bftrack", m, ATTACHMENT_SOURCE_POLICY, &f.last_boot) == 0);
        match_unref(m);
        fake_pass(&f, 2 * SECOND);
        CHECK(!f.last_boot && f.n_jobs == 1);
        fake_answer(&f, JOB_OK);
        CHECK(x->on_device && !x->past_due && manager_get_attachments(f.manager)->n_items == 1);
        fake_deinit(&f);
}

/*
 * The clock of this boot is behind what the last one noted. What is on since says no more than that: whether this
 * daemon put it on, or one in an initramfs, which could not read that.
 */
static void test_past_and_clock_behind(void) {
        uint64_t noted;
        Attachment *x;
        Fake f;

        for (int restarted = 0; restarted < 2; restarted++) {
                fake_begin(&f);
                fake_policy(&f, "10.conf", "bftrack", UUID_X, "");
                f.boot_usec = f.now.realtime_usec - 2 * SECOND;
                noted = f.now.realtime_usec + 1000 * SECOND;
                f.last_boot_away = true;
                fake_start(&f);
                if (restarted)
                        fake_end_manager(&f);
                f.last_boot_away = false;
                leave_past(&f, noted);
                if (restarted)
                        fake_start(&f);
                fake_pass(&f, 10 * SECOND);
                x = get(&f, "bftrack", UUID_X, "");
                CHECK(!f.last_boot && x->on_device && x->n_gaps == 1 && x->gaps[0].end_usec == noted);
                CHECK(x->intact_since_usec == noted);
                fake_deinit(&f);
        }
}

/* As long as the machine boots its disk may be mounted any moment; later it is looked for ever more rarely. */
static void test_past_is_looked_for(void) {
        Attachment *x;
        Fake f;

        for (int late = 0; late < 2; late++) {
                fake_begin(&f);
                fake_policy(&f, "10.conf", "bftrack", UUID_X, "");
                f.now.monotonic_usec = late ? 1000 * SECOND : 5 * SECOND;
                f.boot_usec = f.now.realtime_usec - f.now.monotonic_usec;
                f.last_boot_away = true;
                fake_start(&f);
                fake_pass(&f, 60 * SECOND);
                f.last_boot_away = false;
                leave_past(&f, f.boot_usec - 60 * SECOND);
                fake_pass(&f, SECOND);
                x = get(&f, "bftrack", UUID_X, "");
                CHECK(x->past_due == late && x->n_gaps == !late);
                f.last_boot = attachment_free(f.last_boot);
                fake_deinit(&f);
        }
}

/* What the last boot has left of an instance of a pattern that is there, or of another one. */
static Attachment *leave_instance(Fake *f, const char *pattern) {
        Match *p = match_parse(pattern), *m;

        CHECK(p && match_with(p, MATCH_PART_UUID, UUID_Y, &m) == 0);
        CHECK(attachment_new("bftrack", m, ATTACHMENT_SOURCE_POLICY, &f->last_boot) == 0);
        match_unref(m);
        match_unref(p);
        f->last_boot->is_instance = true;
        f->last_boot->pin = MATCH_PART_UUID;
        f->last_boot->has_fingerprint = true;
        f->last_boot->policy_path = shared_new("/etc/blkfilter.d/10.conf");
        f->last_boot->recorded_since_usec = f->boot_usec - 1000 * SECOND;
        f->last_boot->recorded_at_usec = f->boot_usec - 60 * SECOND;
        f->last_boot->n_attached = 7;
        return f->last_boot;
}

/* A pattern's device may come long after the records could be read: what they say of it is not lost. */
static void test_past_of_pattern_one(const char *pattern, bool stays) {
        const AttachmentSet *s;
        Settings *settings;
        Attachment *x;
        Match *m;
        Fake f;

        fake_begin(&f);
        f.boot_usec = f.now.realtime_usec - 2 * SECOND;
        CHECK(settings_new(&settings) == 0);
        m = match_parse("PartLabel=x*");
        CHECK(m && policy_set_add(f.policies, policy_new_of("10.conf", "bftrack", m, settings)) == 0);
        f.last_boot_away = true;
        fake_start(&f);
        s = manager_get_attachments(f.manager);
        CHECK(s->n_items == 0);

        f.last_boot_away = false;
        x = leave_instance(&f, pattern);
        fake_pass(&f, 2 * SECOND);
        CHECK(!f.last_boot && s->n_items == stays);
        if (stays) {
                CHECK(s->items[0] == x && x->has_fingerprint && !x->orphaned && x->n_attached == 7 && x->n_gaps == 1);
                CHECK_STR(x->gaps[0].reason, "reboot");
        }
        fake_deinit(&f);
}

static void test_past_of_pattern(void) {
        test_past_of_pattern_one("PartLabel=x*", true);
        test_past_of_pattern_one("PartLabel=e*", false);
}

int main(void) {
        test_past_comes_later();
        test_past_and_loss();
        test_past_and_clock();
        test_past_is_needed();
        test_past_is_mounted_late();
        test_past_is_needed_late();
        test_past_of_pattern();
        test_past_and_clock_behind();
        test_past_is_looked_for();
        return EXIT_SUCCESS;
}
