/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Attachments: ids, sets, states, and the books that are kept of gaps and IntactSince. */

#undef NDEBUG

#include <errno.h>

#include "tests/test.h"

#define T0 (UINT64_C(1700000000) * SECOND)

static Now at(uint64_t seconds) {
        return (Now) { .monotonic_usec = seconds * SECOND, .realtime_usec = T0 + seconds * SECOND };
}

static Attachment *attachment_of(const char *filter, const char *uuid, const char *label) {
        Match m = match_of(uuid, label);
        Attachment *a = NULL;

        CHECK(attachment_new(filter, &m, ATTACHMENT_SOURCE_POLICY, &a) == 0);
        return a;
}

static Fingerprint on_disk(const char *disk, uint64_t diskseq, unsigned partno) {
        Fingerprint f = { .entry = entry_of(partno, UUID_X, "data"), .diskseq = diskseq, .object = 100 + partno };

        CHECK(str_copy(f.disk, sizeof(f.disk), disk));
        return f;
}

static void attached(Attachment *a, const Fingerprint *f, bool already, uint64_t seconds) {
        Now now = at(seconds);

        (void) str_copy(a->device, sizeof(a->device), "sda1");
        a->device_uid = 1;
        attachment_attached(a, f, already, &now);
}

static void lost(Attachment *a, const char *why, uint64_t seconds) {
        Now now = at(seconds);

        attachment_lost(a, why, &now);
}

static void test_id_one(const char *filter, const char *uuid, const char *label, const char *wanted) {
        char id[ATTACHMENT_ID_SIZE] = "untouched";
        Match m = match_of(uuid, label);

        CHECK(attachment_make_id(filter, &m, id) == (wanted ? 0 : -EINVAL));
        CHECK_STR(id, wanted ?: "untouched");
}

static void test_id(void) {
        test_id_one("bftrack", UUID_X, "", "bftrack_0fc63daf_8483_4772_8e79_3d69d8477de4");
        test_id_one("bftrack", UUID_X, "data", "bftrack_0fc63daf_8483_4772_8e79_3d69d8477de4");
        test_id_one("bf-track", "1234abcd-01", "", "bf_track_1234abcd_01");
        test_id_one("bftrack", "", "", NULL);

        /* FNV-1a's published values for "a" and "foobar" */
        test_id_one("bftrack", "", "a", "bftrack_label_af63dc4c8601ec8c");
        test_id_one("bftrack", "", "foobar", "bftrack_label_85944171f73967e8");
}

/* Fit for an object path, whatever the label and however long the filter's name. */
static void test_id_form(void) {
        char label[PART_LABEL_SIZE];

        memset(label, '\xff', sizeof(label) - 1);
        label[sizeof(label) - 1] = 0;

        for (int i = 0; i < 2; i++) {
                Attachment *a = attachment_of("A234567890-2345678901_345678901", i ? UUID_X : "", i ? "" : label);

                CHECK(strlen(a->id) > 31);
                CHECK(a->id[strspn(a->id, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_")] == 0);
                attachment_free(a);
        }
}

static void test_new(void) {
        static const char *const bad[] = { "", "a b", "a/b", "12345678901234567890123456789012" };
        Match m = match_of(UUID_X, "data"), nothing = { 0 };
        Attachment *a = NULL;

        for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
                CHECK(attachment_new(bad[i], &m, ATTACHMENT_SOURCE_RUNTIME, &a) == -EINVAL && !a);
        CHECK(attachment_new("bftrack", &nothing, ATTACHMENT_SOURCE_RUNTIME, &a) == -EINVAL && !a);

        CHECK(attachment_new("bftrack", &m, ATTACHMENT_SOURCE_RUNTIME, &a) == 0);
        CHECK(a->state == ATTACHMENT_WAITING && a->reason && a->source == ATTACHMENT_SOURCE_RUNTIME);
        CHECK(match_equal(&a->match, &m) && !a->on_device && a->retry_usec > 0);
        attachment_free(a);
        CHECK(!attachment_free(NULL));
}

static void test_set(void) {
        static const char *const filters[] = { "m", "c", "x", "a", "n" };
        AttachmentSet s = { 0 };
        Attachment *again;

        for (size_t i = 0; i < 5; i++)
                CHECK(attachment_set_add(&s, attachment_of(filters[i], "1234abcd-01", "")) == 0);
        for (size_t i = 1; i < s.n_items; i++)
                CHECK(strcmp(s.items[i - 1]->id, s.items[i]->id) < 0);

        again = attachment_of("c", "1234abcd-01", "other");
        CHECK(attachment_set_add(&s, again) == -EEXIST && s.n_items == 5);
        attachment_free(again);

        CHECK(attachment_set_get(&s, "m_1234abcd_01") == s.items[2] && !attachment_set_get(&s, "m"));
        attachment_set_remove(&s, s.items[2]);
        CHECK(s.n_items == 4 && !attachment_set_get(&s, "m_1234abcd_01") && attachment_set_get(&s, "n_1234abcd_01"));
        attachment_set_remove(&s, s.items[3]);
        attachment_set_remove(&s, s.items[0]);
        CHECK(s.n_items == 2 && attachment_set_get(&s, "c_1234abcd_01") && attachment_set_get(&s, "n_1234abcd_01"));
        attachment_set_deinit(&s);
        CHECK(s.n_items == 0 && !s.items);
}

static void test_names(void) {
        static const char *const states[] = { "waiting",   "attaching", "attached", "detached", "conflict",   "ambiguous",
                                              "refused",   "failed",    "stuck",    "orphaned", "unsupported" };

        CHECK(sizeof(states) / sizeof(states[0]) == _ATTACHMENT_STATE_MAX);
        for (int i = 0; i < _ATTACHMENT_STATE_MAX; i++)
                CHECK_STR(attachment_state_to_string((AttachmentState) i), states[i]);
        CHECK_STR(attachment_source_to_string(ATTACHMENT_SOURCE_POLICY), "policy");
        CHECK_STR(attachment_source_to_string(ATTACHMENT_SOURCE_RUNTIME), "runtime");
}

static void test_set_state(void) {
        Attachment *a = attachment_of("bftrack", UUID_X, "");

        a->changed = 0;
        attachment_set_state(a, ATTACHMENT_FAILED, strdup("one"));
        CHECK(a->state == ATTACHMENT_FAILED && a->changed == ATTACHMENT_CHANGED_STATE);

        /* nothing new, nothing to tell; no memory for the words, the same */
        a->changed = 0;
        attachment_set_state(a, ATTACHMENT_FAILED, strdup("one"));
        attachment_set_state(a, ATTACHMENT_FAILED, NULL);
        CHECK(a->changed == 0);
        CHECK_STR(a->reason, "one");

        attachment_set_state(a, ATTACHMENT_FAILED, strdup("two"));
        CHECK(a->changed == ATTACHMENT_CHANGED_STATE);
        CHECK_STR(a->reason, "two");

        /* words of another state would lie */
        attachment_set_state(a, ATTACHMENT_ATTACHED, NULL);
        CHECK(a->state == ATTACHMENT_ATTACHED);
        CHECK_STR(a->reason, "");
        attachment_free(a);
}

static void test_first_time(void) {
        Attachment *a = attachment_of("bftrack", UUID_X, "");
        Fingerprint f = on_disk("sda", 1, 1);

        a->changed = 0;
        a->n_failures = 3;
        a->retry_at_usec = 99;
        attached(a, &f, false, 5);
        CHECK(a->on_device && a->intact_since_usec == T0 + 5 * SECOND && a->n_attached == 1 && a->n_gaps == 0);
        CHECK(a->has_fingerprint && a->fingerprint.diskseq == 1 && a->n_failures == 0 && a->retry_at_usec == 0);
        CHECK(a->changed == (ATTACHMENT_CHANGED_STATE | ATTACHMENT_CHANGED_RECORD));
        attachment_free(a);
}

/* What was not there cannot be lost, and what is lost is lost once. */
static void test_lost(void) {
        Attachment *a = attachment_of("bftrack", UUID_X, "");
        Fingerprint f = on_disk("sda", 1, 1);

        a->changed = 0;
        lost(a, "removed", 1);
        CHECK(a->n_gaps == 0 && a->changed == 0);

        attached(a, &f, false, 2);
        a->changed = 0;
        lost(a, "removed", 3);
        lost(a, "detached", 4);
        CHECK(a->n_gaps == 1 && a->n_gaps_kept == 1 && !a->on_device && a->intact_since_usec == 0);
        CHECK(a->gaps[0].begin_usec == T0 + 3 * SECOND && a->gaps[0].end_usec == 0);
        CHECK_STR(a->gaps[0].reason, "removed");
        CHECK_STR(a->device, "");
        CHECK(a->device_uid == 0 && a->changed & ATTACHMENT_CHANGED_LOST && a->changed & ATTACHMENT_CHANGED_RECORD);
        attachment_free(a);
}

/* What the gap is called when it is over. */
static void test_gap_reason_one(const char *why, const char *disk, uint64_t diskseq, const char *wanted) {
        Attachment *a = attachment_of("bftrack", UUID_X, "");
        Fingerprint before = on_disk("sda", 1, 1), after = on_disk(disk, diskseq, 2);

        attached(a, &before, false, 1);
        lost(a, why, 2);
        a->changed = 0;
        attached(a, &after, false, 3);
        CHECK(a->n_gaps == 1 && a->gaps[0].end_usec == T0 + 3 * SECOND);
        CHECK_STR(a->gaps[0].reason, wanted);
        CHECK(a->changed & ATTACHMENT_CHANGED_BACK && a->intact_since_usec == T0 + 3 * SECOND);
        attachment_free(a);
}

static void test_gap_reason(void) {
        test_gap_reason_one("removed", "sda", 1, "rescan");
        test_gap_reason_one("removed", "sda", 2, "removed");
        test_gap_reason_one("removed", "sdb", 1, "removed");
        test_gap_reason_one("detached", "sda", 1, "detached");
        test_gap_reason_one("a reason longer than any that there is", "sda", 1, "");
}

static void test_gaps_overflow(void) {
        Attachment *a = attachment_of("bftrack", UUID_X, "");
        Fingerprint f = on_disk("sda", 1, 1);
        const uint64_t n = 3 * ATTACHMENT_GAPS_MAX + 5;

        for (uint64_t i = 0; i < n; i++) {
                attached(a, &f, false, 10 * i);
                lost(a, "removed", 10 * i + 1);
                CHECK(a->n_gaps == i + 1 && a->n_gaps_kept == (i < ATTACHMENT_GAPS_MAX ? i + 1 : ATTACHMENT_GAPS_MAX));
        }

        /* the newest ones, oldest first, the last one lasting */
        for (uint64_t i = 0; i < ATTACHMENT_GAPS_MAX; i++) {
                uint64_t nth = n - ATTACHMENT_GAPS_MAX + i;

                CHECK(a->gaps[i].begin_usec == T0 + (10 * nth + 1) * SECOND);
                CHECK(a->gaps[i].end_usec == (nth + 1 == n ? 0 : T0 + 10 * (nth + 1) * SECOND));
        }
        attachment_free(a);
}

/* Asked again while it is on: nothing new. */
static void test_already_known(void) {
        Attachment *a = attachment_of("bftrack", UUID_X, "");
        Fingerprint f = on_disk("sda", 1, 1);

        attached(a, &f, false, 1);
        a->changed = 0;
        attached(a, &f, true, 100);
        CHECK(a->intact_since_usec == T0 + SECOND && a->n_attached == 1 && a->n_gaps == 0 && a->changed == 0);
        attachment_free(a);
}

/* What an earlier daemon noted is believed only of the same stay, the same number, a filter that
 * was there already, and when no gap was open. */
static void test_recorded_one(bool already, const char *disk, uint64_t diskseq, unsigned partno, bool lasting,
                              bool believed, const char *gap) {
        Attachment *a = attachment_of("bftrack", UUID_X, "");
        Fingerprint f = on_disk(disk, diskseq, partno);

        a->has_fingerprint = true;
        a->fingerprint = on_disk("sda", 1, 1);
        a->recorded_since_usec = T0 + SECOND;
        a->recorded_at_usec = T0 + 50 * SECOND;
        if (lasting) {
                a->gaps[a->n_gaps_kept++] = (Gap) { .begin_usec = T0 + 40 * SECOND, .reason = "removed" };
                a->n_gaps++;
        }

        attached(a, &f, already, 100);
        CHECK(a->on_device && a->recorded_since_usec == 0 && a->n_attached == !already);
        CHECK(a->intact_since_usec == T0 + (believed ? 1 : 100) * SECOND);
        CHECK(a->n_gaps == (gap != NULL));
        if (gap) {
                CHECK_STR(a->gaps[0].reason, gap);
                CHECK(a->gaps[0].begin_usec == T0 + (lasting ? 40 : 50) * SECOND);
                CHECK(a->gaps[0].end_usec == T0 + 100 * SECOND);
        }
        attachment_free(a);
}

static void test_recorded(void) {
        test_recorded_one(true, "sda", 1, 1, false, true, NULL);
        test_recorded_one(true, "sda", 2, 1, false, false, "daemon-not-running");
        test_recorded_one(true, "sdb", 1, 1, false, false, "daemon-not-running");
        test_recorded_one(true, "sda", 1, 2, false, false, "daemon-not-running");
        test_recorded_one(false, "sda", 1, 1, false, false, "daemon-not-running");
        test_recorded_one(true, "sda", 1, 1, true, false, "rescan");
        test_recorded_one(false, "sda", 1, 1, true, false, "rescan");
}

/* A record is not believed of another object of the kernel, nor where that is not known. */
static void test_recorded_object(void) {
        static const uint64_t objects[] = { 0, 7 };

        for (size_t i = 0; i < 2; i++) {
                Attachment *a = attachment_of("bftrack", UUID_X, "");
                Fingerprint f = on_disk("sda", 1, 1);

                a->has_fingerprint = true;
                a->fingerprint = f;
                a->fingerprint.object = f.object = objects[i];
                if (objects[i])
                        f.object++;
                a->recorded_since_usec = T0 + SECOND;
                a->recorded_at_usec = T0 + 50 * SECOND;
                attached(a, &f, true, 100);
                CHECK(a->intact_since_usec == T0 + 100 * SECOND && a->n_gaps == 1);
                attachment_free(a);
        }
}

/* Found on the device by a daemon that knows nothing of it: intact from now, not a moment earlier. */
static void test_unrecorded(void) {
        Attachment *a = attachment_of("bftrack", UUID_X, "");
        Fingerprint f = on_disk("sda", 1, 1);

        attached(a, &f, true, 100);
        CHECK(a->intact_since_usec == T0 + 100 * SECOND && a->n_gaps == 0 && a->n_attached == 0);
        attachment_free(a);
}

/* A clock that was set back makes no gap that ends before it begins. */
static void test_clock_set_back(void) {
        Attachment *a = attachment_of("bftrack", UUID_X, "");
        Fingerprint f = on_disk("sda", 1, 1);

        attached(a, &f, false, 1000);
        lost(a, "removed", 1001);
        attached(a, &f, false, 500);
        CHECK(a->gaps[0].begin_usec == T0 + 1001 * SECOND && a->gaps[0].end_usec == a->gaps[0].begin_usec);
        CHECK(a->intact_since_usec == T0 + 500 * SECOND);
        attachment_free(a);
}

static void test_delay(void) {
        Attachment *a = attachment_of("bftrack", UUID_X, "");
        Now now = at(10);

        CHECK(retry_delay_usec(1000, 0) == 1000 && retry_delay_usec(1000, 1) == 1000 && retry_delay_usec(1000, 2) == 2000);
        CHECK(retry_delay_usec(1000, 7) == 64000 && retry_delay_usec(1000, 8) == 64000);
        CHECK(retry_delay_usec(1000, UINT64_MAX) == 64000);
        CHECK(retry_delay_usec(POLICY_RETRY_USEC_MAX, UINT64_MAX) == 64 * POLICY_RETRY_USEC_MAX);

        a->retry_usec = 3 * SECOND;
        attachment_set_delay(a, &now);
        CHECK(a->n_failures == 1 && a->retry_at_usec == now.monotonic_usec + 3 * SECOND);
        attachment_set_delay(a, &now);
        CHECK(a->n_failures == 2 && a->retry_at_usec == now.monotonic_usec + 6 * SECOND);
        attachment_free(a);
}

int main(void) {
        test_id();
        test_id_form();
        test_new();
        test_set();
        test_names();
        test_set_state();
        test_first_time();
        test_lost();
        test_gap_reason();
        test_gaps_overflow();
        test_already_known();
        test_recorded();
        test_recorded_object();
        test_unrecorded();
        test_delay();
        test_clock_set_back();
        return EXIT_SUCCESS;
}
