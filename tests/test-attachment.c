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
        Match *m = match_of(uuid, label);
        Attachment *a = NULL;

        CHECK(attachment_new(filter, m, ATTACHMENT_SOURCE_POLICY, &a) == 0);
        match_unref(m);
        return a;
}

static int set_home(Attachment *a, const char *disk) {
        const char *shared = shared_new(disk);
        int r;

        CHECK(shared);
        r = attachment_set_home(a, shared);
        shared_unref(shared);
        return r;
}

static Fingerprint on_disk(const char *disk, uint64_t diskseq, unsigned partno) {
        const Entry e = entry_of(partno, UUID_X, "data");
        Fingerprint f = FINGERPRINT_INIT;

        f.object = 100 + partno;
        fingerprint_set_entry(&f, &e);
        CHECK(fingerprint_set_disk(&f, &(DiskPrint) { .diskseq = diskseq, .name = disk }) == 0);
        return f;
}

static void attached(Attachment *a, const Fingerprint *f, bool already, uint64_t seconds) {
        Now now = at(seconds);

        CHECK(shared_copy(&a->device, "sda1") == 0);
        a->device_uid = 1;
        a->job_since_usec = now.realtime_usec;
        attachment_attached(a, f, already, &now);
}

static void lost(Attachment *a, const char *why, uint64_t seconds) {
        Now now = at(seconds);

        attachment_lost(a, why, 0, &now);
}

static void test_id_one(const char *filter, const char *uuid, const char *label, const char *wanted) {
        char id[ATTACHMENT_ID_SIZE] = "untouched";
        Match *m = match_of(uuid, label);

        CHECK(attachment_make_id(filter, m, id) == 0);
        CHECK_STR(id, wanted);
        match_unref(m);
}

/* Nothing that stands for one device: there is nothing to be known by. */
static void test_no_id_one(const char *text) {
        char id[ATTACHMENT_ID_SIZE] = "untouched";
        Match *m = match_parse(text);
        Attachment *a = NULL;

        CHECK(attachment_make_id("bftrack", m, id) == -EINVAL);
        CHECK_STR(id, "untouched");
        CHECK(attachment_new("bftrack", m, ATTACHMENT_SOURCE_RUNTIME, &a) == -EINVAL && !a);
        match_unref(m);
}

/* The hashes are FNV-1a of the match in a line, 64 bits, and the last step of splitmix64. */
static void test_id(void) {
        test_id_one("bftrack", UUID_X, "", "bftrack_0fc63daf_8483_4772_8e79_3d69d8477de4");
        test_id_one("bf-track", "1234abcd-01", "", "bf_track_1234abcd_01_f129e28075d17d4e");
        test_id_one("bftrack", "", "a", "bftrack_PartLabel_d95712aea8f49175");
        test_id_one("bftrack", "", "foobar", "bftrack_PartLabel_b00eceb39d6ed793");

        /* what is demanded besides makes another attachment */
        test_id_one("bftrack", UUID_X, "data", "bftrack_0fc63daf_8483_4772_8e79_3d69d8477de4_b616e851825ac8d0");

        test_no_id_one("PartLabel=da*");
        test_no_id_one("PartLabel=!data");
        test_no_id_one("PartUUID=" UUID_X "|PartUUID=" UUID_Y);
        test_no_id_one("FSType=ext4|PartNumber=1|PartType=0x83");
}

/* Fit for an object path, whatever the label and however long the filter's name. */
static void test_id_form(void) {
        char label[PART_LABEL_SIZE], id[ATTACHMENT_ID_SIZE];
        Match *m;

        memset(label, '\xff', sizeof(label) - 1);
        label[sizeof(label) - 1] = 0;

        for (MatchKey key = 0; key < _MATCH_KEY_MAX; key++) {
                if (!match_key_identifies(key))
                        continue;

                m = match_one(key, key == MATCH_PART_UUID ? UUID_X : label);
                CHECK(attachment_make_id("A234567890-2345678901_345678901", m, id) == 0);
                CHECK(strlen(id) > 31);
                CHECK(id[strspn(id, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_")] == 0);
                match_unref(m);
        }

        /* the longest there is */
        m = match_of(UUID_X, label);
        CHECK(attachment_make_id("A234567890-2345678901_345678901", m, id) == 0);
        CHECK(strlen(id) == 31 + 1 + 36 + 1 + 16);
        match_unref(m);
}

static void test_new(void) {
        static const char *const bad[] = { "", "a b", "a/b", "12345678901234567890123456789012" };
        Match *m = match_of(UUID_X, "data");
        Attachment *a = NULL;

        for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
                CHECK(attachment_new(bad[i], m, ATTACHMENT_SOURCE_RUNTIME, &a) == -EINVAL && !a);

        CHECK(attachment_new("bftrack", m, ATTACHMENT_SOURCE_RUNTIME, &a) == 0);
        CHECK(a->state == ATTACHMENT_WAITING && !reason_of(a)[0] && a->source == ATTACHMENT_SOURCE_RUNTIME && a->asked);
        CHECK(a->match == m && m->n_refs == 2 && !a->on_device && a->settings->retry_usec > 0 && !a->set);
        CHECK(a->settings->on == POLICY_ON_ALL && !a->is_instance);
        attachment_free(a);
        CHECK(m->n_refs == 1);
        match_unref(m);
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

        again = attachment_of("c", "1234abcd-01", "");
        CHECK(attachment_set_add(&s, again) == -EEXIST && s.n_items == 5 && !again->set);
        attachment_free(again);
        CHECK(s.n_in_state[ATTACHMENT_WAITING] == 5 && s.by_claim.n_items == 5);

        CHECK(attachment_set_get(&s, "m_1234abcd_01") == s.items[2] && !attachment_set_get(&s, "m"));
        attachment_set_remove(&s, s.items[2]);
        CHECK(s.n_items == 4 && !attachment_set_get(&s, "m_1234abcd_01") && attachment_set_get(&s, "n_1234abcd_01"));
        attachment_set_remove(&s, s.items[3]);
        attachment_set_remove(&s, s.items[0]);
        CHECK(s.n_items == 2 && attachment_set_get(&s, "c_1234abcd_01") && attachment_set_get(&s, "n_1234abcd_01"));
        CHECK(s.n_in_state[ATTACHMENT_WAITING] == 2 && s.by_claim.n_items == 2 && s.n_touched == 2 && s.n_untold == 2);
        attachment_set_deinit(&s);
        CHECK(s.n_items == 0 && !s.items);
}

static size_t count(const IndexItem *i, const Attachment *a) {
        size_t n = 0;

        for (; i; i = index_next(i))
                n += i->owner == a;
        return n;
}

/* The lists of what is to be looked at and told: each once, and none that is gone. */
static void test_lists(void) {
        AttachmentSet s = { 0 };
        Attachment *a = attachment_of("a", UUID_X, ""), *b = attachment_of("b", UUID_X, "");

        /* in no set there is nobody to tell */
        attachment_touch(a);
        CHECK(!a->touched);

        CHECK(attachment_set_add(&s, a) == 0 && attachment_set_add(&s, b) == 0);
        CHECK(s.n_touched == 2 && s.n_untold == 2 && a->touched && a->untold && a->changed == ATTACHMENT_CHANGED_ADDED);
        attachment_touch(a);
        attachment_changed(a, ATTACHMENT_CHANGED_STATE);
        CHECK(s.n_touched == 2 && s.n_untold == 2);
        CHECK(a->changed == (ATTACHMENT_CHANGED_ADDED | ATTACHMENT_CHANGED_STATE));

        CHECK(set_home(a, "sda") == 0 && set_home(b, "sda") == 0);
        CHECK(set_home(a, "sda") == 0 && count(attachment_set_first_at(&s, "sda"), a) == 1);
        CHECK(count(attachment_set_first_at(&s, "sda"), b) == 1 && !attachment_set_first_at(&s, "sdb"));
        CHECK(set_home(b, "sdb") == 0 && count(attachment_set_first_at(&s, "sda"), b) == 0);
        CHECK_STR(b->home, "sdb");
        CHECK(set_home(b, "") == 0 && !attachment_set_first_at(&s, "sdb") && !b->home[0]);
        CHECK(set_home(b, "sda") == 0);

        attachment_set_remove(&s, a);
        CHECK(s.n_touched == 1 && s.touched[0] == b && s.n_untold == 1 && s.untold[0] == b);
        CHECK(s.by_home.n_items == 1 && count(attachment_set_first_at(&s, "sda"), b) == 1);
        attachment_set_deinit(&s);
}

static void test_names(void) {
        static const char *const states[] = {
                "waiting", "attaching", "attached", "detached", "conflict", "ambiguous", "refused", "failed", "stuck",
                "orphaned", "unsupported",
        };

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
        attachment_set_state(a, ATTACHMENT_CONFLICT, NULL);
        CHECK(a->state == ATTACHMENT_CONFLICT);
        CHECK_STR(reason_of(a), "");

        /* what there is to say of most that are attached is not kept */
        CHECK(shared_copy(&a->device, "sda1") == 0);
        attachment_set_state(a, ATTACHMENT_ATTACHED, strdup("a clone is there"));
        CHECK_STR(reason_of(a), "a clone is there");
        a->changed = 0;
        attachment_set_state(a, ATTACHMENT_ATTACHED, NULL);
        CHECK(!a->reason && a->changed == ATTACHMENT_CHANGED_STATE);
        CHECK_STR(reason_of(a), "filter bftrack is on /dev/sda1");
        a->changed = 0;
        attachment_set_state(a, ATTACHMENT_ATTACHED, NULL);
        CHECK(a->changed == 0);
        attachment_free(a);
}

static void test_first_time(void) {
        Attachment *a = attachment_of("bftrack", UUID_X, "");
        __attribute__((cleanup(fingerprint_deinit))) Fingerprint f = on_disk("sda", 1, 1);

        a->changed = 0;
        a->n_failures = 3;
        a->retry_at_usec = 99;
        attached(a, &f, false, 5);
        CHECK(a->on_device && a->intact_since_usec == T0 + 5 * SECOND && a->n_attached == 1 && a->n_gaps == 0);
        CHECK(a->has_fingerprint && a->fingerprint.disk->diskseq == 1 && a->n_failures == 0 && a->retry_at_usec == 0);
        CHECK(a->changed == (ATTACHMENT_CHANGED_STATE | ATTACHMENT_CHANGED_RECORD));
        attachment_free(a);
}

/* What was not there cannot be lost, and what is lost is lost once. */
static void test_lost(void) {
        Attachment *a = attachment_of("bftrack", UUID_X, "");
        __attribute__((cleanup(fingerprint_deinit))) Fingerprint f = on_disk("sda", 1, 1);

        a->changed = 0;
        lost(a, "removed", 1);
        CHECK(a->n_gaps == 0 && a->changed == 0);

        attached(a, &f, false, 2);
        a->changed = 0;
        lost(a, "removed", 3);
        lost(a, "detached", 4);
        CHECK(a->n_gaps == 1 && a->n_gaps_kept == 1 && !a->on_device && a->intact_since_usec == 0);
        CHECK(a->gaps[0].begin_usec == T0 + 3 * SECOND && a->gaps[0].latest_usec == T0 + 3 * SECOND);
        CHECK(a->gaps[0].end_usec == 0 && attachment_get_open_gap(a) == &a->gaps[0]);
        CHECK_STR(a->gaps[0].reason, "removed");
        CHECK_STR(a->device, "");
        CHECK_STR(a->lost_device, "sda1");
        CHECK(a->device_uid == 0 && a->changed & ATTACHMENT_CHANGED_LOST && a->changed & ATTACHMENT_CHANGED_RECORD);
        attachment_free(a);
}

/* It was not seen to go: it went at some time since it was known to be on. */
static void test_lost_before(void) {
        Attachment *a = attachment_of("bftrack", UUID_X, "");
        __attribute__((cleanup(fingerprint_deinit))) Fingerprint f = on_disk("sda", 1, 1);
        Now now = at(30);

        attached(a, &f, false, 2);
        CHECK(a->seen_usec == T0 + 2 * SECOND);
        attached(a, &f, true, 20);
        CHECK(a->seen_usec == T0 + 20 * SECOND && a->intact_since_usec == T0 + 2 * SECOND);
        attachment_lost(a, "foreign-detach", a->seen_usec, &now);
        CHECK(a->gaps[0].begin_usec == T0 + 20 * SECOND && a->gaps[0].latest_usec == T0 + 30 * SECOND);
        CHECK(a->gaps[0].end_usec == 0 && a->intact_since_usec == 0);

        /* a time to come is no begin: a clock was set back */
        attached(a, &f, false, 40);
        now = at(50);
        attachment_lost(a, "foreign-detach", T0 + 60 * SECOND, &now);
        CHECK(a->gaps[1].begin_usec == T0 + 50 * SECOND && a->gaps[1].latest_usec == T0 + 60 * SECOND);

        /* nor does a gap begin before the one before it has ended */
        attached(a, &f, false, 60);
        now = at(70);
        attachment_lost(a, "foreign-detach", T0 + 45 * SECOND, &now);
        CHECK(a->gaps[2].begin_usec == T0 + 60 * SECOND && a->gaps[2].latest_usec == T0 + 70 * SECOND);
        attachment_free(a);
}

/* What an earlier daemon noted is lost once, with the time of its note; nothing noted, nothing lost. */
static void test_lost_unseen(void) {
        Attachment *a = attachment_of("bftrack", UUID_X, "");
        Now now = at(30);

        a->noted_object = 7; /* it was only about to attach */
        a->changed = 0;
        attachment_lost_unseen(a, "daemon-not-running", &now);
        CHECK(a->n_gaps == 0 && a->changed == 0 && a->noted_object == 0);

        a->noted_object = 7;
        a->recorded_since_usec = T0;
        a->recorded_at_usec = T0 + 10 * SECOND;
        attachment_lost_unseen(a, "daemon-not-running", &now);
        attachment_lost_unseen(a, "daemon-not-running", &now);
        CHECK(a->n_gaps == 1 && a->noted_object == 0 && a->recorded_since_usec == 0);
        CHECK(a->gaps[0].begin_usec == T0 + 10 * SECOND && a->gaps[0].latest_usec == T0 + 30 * SECOND);
        CHECK(a->changed & ATTACHMENT_CHANGED_LOST && a->changed & ATTACHMENT_CHANGED_RECORD);
        attachment_free(a);
}

/* What the gap is called when it is over. */
static void test_gap_reason_one(const char *why, const char *disk, uint64_t diskseq, const char *wanted) {
        Attachment *a = attachment_of("bftrack", UUID_X, "");
        __attribute__((cleanup(fingerprint_deinit))) Fingerprint before = on_disk("sda", 1, 1);
        __attribute__((cleanup(fingerprint_deinit))) Fingerprint after = on_disk(disk, diskseq, 2);

        attached(a, &before, false, 1);
        lost(a, why, 2);
        a->changed = 0;
        attached(a, &after, false, 3);
        CHECK(a->n_gaps == 1 && a->gaps[0].end_usec == T0 + 3 * SECOND && !attachment_get_open_gap(a));
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
        __attribute__((cleanup(fingerprint_deinit))) Fingerprint f = on_disk("sda", 1, 1);
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

/* Asked again while it is on: nothing new to tell, but the record has since when it is not known any more. */
static void test_already_known(void) {
        Attachment *a = attachment_of("bftrack", UUID_X, "");
        __attribute__((cleanup(fingerprint_deinit))) Fingerprint f = on_disk("sda", 1, 1);

        attached(a, &f, false, 1);
        a->changed = 0;
        attached(a, &f, true, 100);
        CHECK(a->intact_since_usec == T0 + SECOND && a->n_attached == 1 && a->n_gaps == 0);
        CHECK(a->changed == ATTACHMENT_CHANGED_RECORD && a->seen_usec == T0 + 100 * SECOND);
        attachment_free(a);
}

/* What an earlier daemon noted is believed only of the same stay, the same number, a filter that
 * was there already, and when no gap was open. */
static void test_recorded_one(bool already, const char *disk, uint64_t diskseq, unsigned partno, bool lasting,
                              bool believed, const char *gap) {
        Attachment *a = attachment_of("bftrack", UUID_X, "");
        __attribute__((cleanup(fingerprint_deinit))) Fingerprint f = on_disk(disk, diskseq, partno);

        a->has_fingerprint = true;
        a->fingerprint = on_disk("sda", 1, 1);
        a->recorded_since_usec = T0 + SECOND;
        a->recorded_at_usec = T0 + 50 * SECOND;
        if (lasting) {
                a->gaps = calloc(1, sizeof(*a->gaps));
                CHECK(a->gaps);
                a->gaps[a->n_gaps_kept++] = (Gap) { .begin_usec = T0 + 40 * SECOND, .latest_usec = T0 + 40 * SECOND,
                                                    .reason = "removed" };
                a->n_gaps++;
        }

        attached(a, &f, already, 100);
        CHECK(a->on_device && a->recorded_since_usec == 0 && a->n_attached == !already);
        CHECK(a->intact_since_usec == T0 + (believed ? 1 : 100) * SECOND);
        CHECK(a->n_gaps == (gap != NULL));
        if (gap) {
                CHECK_STR(a->gaps[0].reason, gap);
                CHECK(a->gaps[0].begin_usec == T0 + (lasting ? 40 : 50) * SECOND);
                CHECK(a->gaps[0].latest_usec == T0 + (lasting ? 40 : 100) * SECOND);
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

/* A record is not believed of another object of the kernel, nor where that is not known; nor of the same with
 * another filter of that name on it, as its generation tells. */
static void test_recorded_object(void) {
        static const uint64_t objects[] = { 0, 7, 8 };

        for (size_t i = 0; i < 3; i++) {
                Attachment *a = attachment_of("bftrack", UUID_X, "");
                __attribute__((cleanup(fingerprint_deinit))) Fingerprint f = on_disk("sda", 1, 1);

                a->has_fingerprint = true;
                fingerprint_set(&a->fingerprint, &f);
                a->fingerprint.object = f.object = objects[i];
                if (objects[i] == 7)
                        f.object++;
                if (objects[i] == 8)
                        f.generation[0] = 45;
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
        __attribute__((cleanup(fingerprint_deinit))) Fingerprint f = on_disk("sda", 1, 1);

        attached(a, &f, true, 100);
        CHECK(a->intact_since_usec == T0 + 100 * SECOND && a->n_gaps == 0 && a->n_attached == 0);
        attachment_free(a);
}

/* It went unseen, and the clock is behind what was noted before: since when it was on, and when it was known to be. */
static void test_noted_later(uint64_t since, uint64_t at) {
        Attachment *a = attachment_of("bftrack", UUID_X, "");
        __attribute__((cleanup(fingerprint_deinit))) Fingerprint f = on_disk("sda", 1, 1);

        a->recorded_since_usec = T0 + since * SECOND;
        a->recorded_at_usec = T0 + at * SECOND;
        attachment_lost_unseen(a, "reboot", &(Now) { .realtime_usec = T0 + 500 * SECOND });
        attached(a, &f, false, 501);
        CHECK(a->n_gaps == 1 && a->gaps[0].end_usec == T0 + 1000 * SECOND);
        CHECK(a->intact_since_usec == T0 + 1000 * SECOND);
        attachment_free(a);
}

/* A clock that was set back makes no gap that ends before it begins, nor one that a backup from before seems to be
 * behind. */
static void test_clock_set_back(void) {
        Attachment *a = attachment_of("bftrack", UUID_X, "");
        __attribute__((cleanup(fingerprint_deinit))) Fingerprint f = on_disk("sda", 1, 1);

        attached(a, &f, false, 1000);
        lost(a, "removed", 1001);
        attached(a, &f, false, 500);
        CHECK(a->gaps[0].begin_usec == T0 + 1001 * SECOND && a->gaps[0].end_usec == a->gaps[0].begin_usec);
        CHECK(a->intact_since_usec == T0 + 1001 * SECOND);

        /* taken off and put on by another program meanwhile, as its generation tells */
        f.generation[0]++;
        attached(a, &f, true, 600);
        CHECK(a->intact_since_usec == T0 + 1001 * SECOND);
        attachment_free(a);

        /* it was seen to be on by the clock of then */
        a = attachment_of("bftrack", UUID_X, "");
        attached(a, &f, false, 100);
        attached(a, &f, true, 1000);
        lost(a, "removed", 500);
        attached(a, &f, false, 501);
        CHECK(a->gaps[0].begin_usec == T0 + 500 * SECOND && a->intact_since_usec == T0 + 1000 * SECOND);
        attachment_free(a);

        /* the clock of a boot is behind the records of the last one; it was noted by another clock that it still was on */
        test_noted_later(10, 1000);
        test_noted_later(1000, 400);
}

static void test_delay(void) {
        Attachment *a = attachment_of("bftrack", UUID_X, "");
        Now now = at(10);

        CHECK(retry_delay_usec(1000, 0) == 1000 && retry_delay_usec(1000, 1) == 1000 &&
              retry_delay_usec(1000, 2) == 2000);
        CHECK(retry_delay_usec(1000, 7) == 64000 && retry_delay_usec(1000, 8) == 64000);
        CHECK(retry_delay_usec(1000, UINT64_MAX) == 64000);
        CHECK(retry_delay_usec(POLICY_RETRY_USEC_MAX, UINT64_MAX) == 64 * POLICY_RETRY_USEC_MAX);

        CHECK(lock_delay_usec(1) == 2000 && lock_delay_usec(2) == 2500 && lock_delay_usec(3) == 3125);
        CHECK(lock_delay_usec(31) < 2000000 && lock_delay_usec(32) == 2000000);
        CHECK(lock_delay_usec(UINT64_MAX) == 2000000);

        settings_unref(a->settings);
        CHECK(settings_new(&a->settings) == 0);
        a->settings->retry_usec = 3 * SECOND;
        attachment_set_delay(a, JOB_FAILED, &now);
        CHECK(a->n_failures == 1 && a->retry_at_usec == now.monotonic_usec + 3 * SECOND);
        attachment_set_delay(a, JOB_FAILED, &now);
        CHECK(a->n_failures == 2 && a->retry_at_usec == now.monotonic_usec + 6 * SECOND);
        attachment_free(a);
}

int main(void) {
        test_id();
        test_id_form();
        test_new();
        test_set();
        test_lists();
        test_names();
        test_set_state();
        test_first_time();
        test_lost();
        test_lost_before();
        test_lost_unseen();
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
