/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Records: what is written comes back, what is cut or made up does not, and what outlasts a reboot. */

#undef NDEBUG

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "daemon/boot.h"
#include "daemon/state.h"
#include "daemon/text.h"
#include "tests/check.h"

#define UUID_X "0fc63daf-8483-4772-8e79-3d69d8477de4"
#define BOOT_1 "11111111111111111111111111111111"
#define BOOT_2 "22222222222222222222222222222222"
#define DAY (UINT64_C(24) * 3600 * 1000000)

static char folder[] = "/tmp/blkfilter-test-state-XXXXXX";

static Match *match_of(const Term *terms, size_t n) {
        Match *m;

        CHECK(match_new(terms, n, &m) == 0);
        return m;
}

static Attachment *attachment_of(const Term *terms, size_t n, AttachmentSource source) {
        Match *m = match_of(terms, n);
        Attachment *a;

        CHECK(attachment_new("blksnap", m, source, &a) == 0);
        match_unref(m);
        return a;
}

static Attachment *plain(void) {
        return attachment_of(&(Term) { .key = MATCH_PART_UUID, .value = UUID_X }, 1, ATTACHMENT_SOURCE_POLICY);
}

static void set_gaps(Attachment *a, size_t n, uint64_t last_end_usec) {
        free(a->gaps);
        a->gaps = calloc(n, sizeof(*a->gaps));
        CHECK(a->gaps);
        a->n_gaps_kept = n;
        a->n_gaps = n + 100;
        for (size_t i = 0; i < n; i++) {
                a->gaps[i] = (Gap) { 1000 * i, 1000 * i + 10, i + 1 < n ? 1000 * i + 100 : last_end_usec, "" };
                CHECK(str_copy(a->gaps[i].reason, sizeof(a->gaps[i].reason), i % 2 ? "removed" : "foreign-detach"));
        }
}

static char *format(const Attachment *a, const char *boot, uint64_t now_usec) {
        RecordNote note;
        char *text;

        CHECK(str_copy(note.boot, sizeof(note.boot), boot));
        CHECK(record_format(a, &note, now_usec, &text) == 0);
        return text;
}

static int parse(const char *text, Attachment **ret) {
        char *copy = strdup(text);
        RecordNote note;
        int r;

        CHECK(copy);
        r = record_parse(copy, ret, &note);
        free(copy);
        return r;
}

static void check_fingerprint(const Fingerprint *a, const Fingerprint *b) {
        Entry e;

        kept_entry_get(b->entry, &e);
        CHECK(kept_entry_equal(a->entry, &e) && a->disk->diskseq == b->disk->diskseq && a->object == b->object);
        CHECK_STR(b->disk->pt_uuid, a->disk->pt_uuid);
        CHECK_STR(b->disk->name, a->disk->name);
        CHECK_STR(b->disk->wwn, a->disk->wwn);
        CHECK_STR(b->disk->serial, a->disk->serial);
        CHECK(memcmp(b->generation, a->generation, sizeof(a->generation)) == 0);
}

/* There and back; frees the one that went. */
static Attachment *round_trip(Attachment *a, uint64_t now_usec) {
        char *text = format(a, BOOT_1, now_usec), *again;
        Attachment *b;

        CHECK(parse(text, &b) == 0);
        CHECK_STR(b->id, a->id);
        CHECK_STR(b->filter, a->filter);
        CHECK(match_equal(a->match, b->match) && a->source == b->source);
        CHECK(a->past_due == b->past_due && a->asked == b->asked && a->held == b->held && a->orphaned == b->orphaned);
        CHECK(a->is_instance == b->is_instance && (!a->is_instance || a->pin == b->pin));
        CHECK(a->n_attached == b->n_attached && a->left_object == b->left_object);
        CHECK(a->has_fingerprint == b->has_fingerprint);
        check_fingerprint(&a->fingerprint, &b->fingerprint);
        CHECK(a->n_gaps == b->n_gaps && a->n_gaps_kept == b->n_gaps_kept);
        CHECK(a->n_gaps_kept == 0 || memcmp(a->gaps, b->gaps, a->n_gaps_kept * sizeof(*a->gaps)) == 0);
        CHECK(!b->on_device && !b->intact_since_usec && !b->device[0]);
        CHECK_STR(b->policy_path, a->policy_path ?: "(null)");

        /* what has been read and not looked at is written as it was */
        again = format(b, BOOT_1, now_usec + 1000 * DAY);
        CHECK_STR(again, text);
        free(again);
        free(text);
        attachment_free(a);
        return b;
}

static void set_all(Attachment *a) {
        const Entry e = { .partno = 7, .uuid = UUID_X, .label = "caf\xc3\xa9 = \\x20 \"x\"", .type = "0x83",
                          .start_sectors = UINT64_MAX, .size_sectors = 1 };

        a->policy_path = shared_new("/etc/blkfilter.d/20 my\ndata\\.conf");
        a->past_due = a->asked = a->held = a->orphaned = a->has_fingerprint = a->is_instance = true;
        a->pin = MATCH_FS_UUID;
        a->n_attached = UINT64_MAX;
        a->left_object = 12;
        CHECK(kept_entry_new(&e, NULL, &a->fingerprint.entry) == 0);
        CHECK(fingerprint_set_disk(&a->fingerprint, &(DiskPrint) { .diskseq = 9, .name = "cciss/c0d0",
                                                                   .pt_uuid = "1234abcd", .wwn = "0x5000c500abcdef01",
                                                                   .serial = "S 3 Z=1" }) == 0);
        a->fingerprint.object = 4711;
        CHECK(fingerprint_set_generation(&a->fingerprint, "0123456789abcdef0123456789abcdef"));
        set_gaps(a, ATTACHMENT_GAPS_MAX, 0);
}

static void test_round_trip(void) {
        static const Term terms[] = {
                { .key = MATCH_PART_UUID, .value = UUID_X },
                { .key = MATCH_PART_LABEL, .negated = true, .glob = true, .value = "swap*" },
                { .key = MATCH_PART_LABEL, .glob = true, .value = " a  [b]?\xc3\xa9 " },
                { .key = MATCH_PART_LABEL, .value = "= ~ !=" },
                { .key = MATCH_FS_LABEL, .negated = true, .value = "back\\slash\n\x01\x7f\xff" },
                { .key = MATCH_DISK_SERIAL, .value = "match=PartUUID = x" },
                { .key = MATCH_KERNEL_NAME, .glob = true, .value = "sd[a-c]*" },
                { .key = MATCH_PART_NUMBER, .value = "12" },
        };
        Attachment *a = attachment_of(terms, sizeof(terms) / sizeof(terms[0]), ATTACHMENT_SOURCE_RUNTIME);

        attachment_free(round_trip(plain(), 1));
        set_all(a);
        a = round_trip(a, 1);
        CHECK_STR(a->policy_path, "/etc/blkfilter.d/20 my\ndata\\.conf");
        attachment_free(a);
}

/* Every term, and every byte in them that has to be escaped: it fits. */
static void test_largest(void) {
        static char values[MATCH_TERMS_MAX][FACT_SIZE];
        Term terms[MATCH_TERMS_MAX];
        Attachment *a;
        char *text, path[4096], serial[DISK_ID_SIZE] = "";
        DiskPrint disk;
        Entry e;

        for (size_t i = 0; i < MATCH_TERMS_MAX; i++) {
                memset(values[i], 1, FACT_SIZE - 1);
                values[i][0] = (char) (' ' + i);
                terms[i] = (Term) { .key = MATCH_DISK_SERIAL, .negated = i > 0, .glob = i > 0, .value = values[i] };
        }

        a = attachment_of(terms, MATCH_TERMS_MAX, ATTACHMENT_SOURCE_POLICY);
        set_all(a);
        shared_unref(a->policy_path);
        memset(path, 1, sizeof(path));
        path[sizeof(path) - 1] = 0;
        a->policy_path = shared_new(path);
        memset(serial, '\\', sizeof(serial) - 1);
        disk = *a->fingerprint.disk;
        disk.serial = serial;
        CHECK(fingerprint_set_disk(&a->fingerprint, &disk) == 0);
        kept_entry_get(a->fingerprint.entry, &e);
        memset(e.label, '\\', sizeof(e.label) - 1);
        kept_entry_unref(a->fingerprint.entry);
        CHECK(kept_entry_new(&e, NULL, &a->fingerprint.entry) == 0);
        text = format(a, BOOT_1, 1);
        CHECK(strlen(text) > RECORD_SIZE_MAX / 2);
        free(text);
        attachment_free(round_trip(a, 1));
}

/* What is noted of the filter that is on, or may be. */
static void test_claim(void) {
        Attachment *a = plain();

        a->on_device = a->has_fingerprint = true;
        a->fingerprint.object = 5;
        a->noted_object = 6;
        a->intact_since_usec = 100;
        a->seen_usec = 300;
        a = round_trip(a, 400);
        CHECK(a->noted_object == 5 && a->recorded_since_usec == 100 && a->recorded_at_usec == 300);

        /* before it has been looked at; then while an attach is under way, of which nothing is known */
        a = round_trip(a, 500);
        CHECK(a->noted_object == 5 && a->recorded_since_usec == 100 && a->recorded_at_usec == 300);
        a->recorded_since_usec = 0;
        a->noted_object = 6;
        a = round_trip(a, 500);
        CHECK(a->noted_object == 6 && a->recorded_since_usec == 0 && a->recorded_at_usec == 0);

        /* nobody has looked since it was attached; or the clock was set back */
        a->intact_since_usec = 450;
        a = round_trip(a, 600);
        CHECK(a->recorded_at_usec == 600);
        a->intact_since_usec = 450;
        a->seen_usec = 700;
        a = round_trip(a, 600);
        CHECK(a->recorded_at_usec == 600);
        attachment_free(a);
}

static void test_cut(void) {
        Attachment *a = plain(), *b;
        char *text;

        set_all(a);
        text = format(a, BOOT_1, 1);
        for (size_t n = strlen(text); n-- > 0; ) {
                text[n] = 0;
                CHECK(parse(text, &b) == -EBADMSG);
        }

        free(text);
        attachment_free(a);
}

static char *replace(const char *text, const char *from, const char *to) {
        const char *at = strstr(text, from);
        char *s = malloc(strlen(text) + strlen(to) + 1);

        CHECK(at && s);
        memcpy(s, text, (size_t) (at - text));
        strcpy(s + (at - text), to);
        strcat(s, at + strlen(from));
        return s;
}

static void test_hostile(void) {
        static const char *const lies[][2] = {
                { "filter=blksnap", "filter=blk/snap" },
                { "filter=blksnap\n", "filter=\n" },
                { "filter=blksnap\n", "" },
                { "filter=blksnap\n", "filter=blksnap\nfilter=bftrack\n" },
                { "filter=blksnap\n", "filter=blksnap\nnonsense\n" },
                { "filter=blksnap\n", "filter=blksnap\n\n" },
                { "filter=blksnap\n", "filter=blksnap\nend=1\n" },
                { "filter=blksnap", "filter=blk\\x00snap" },
                { "filter=blksnap", "filter=blk\\snap" },
                { "boot=" BOOT_1, "boot=1" },
                { "boot=" BOOT_1, "boot=" BOOT_1 "1" },
                { "source=policy", "source=nobody" },
                { "source=policy\n", "" },
                { "pin=FSUUID", "pin=Nothing" },
                { "asked=1", "asked=2" },
                { "held=1", "held=yes" },
                { "held=1", "held=" },
                { "partno=7", "partno=4294967296" },
                { "left_object=12", "left_object=-1" },
                { "left_object=12", "left_object= 12" },
                { "left_object=12", "left_object=12x" },
                { "left_object=12", "left_object=18446744073709551616" },
                { "match=PartUUID = " UUID_X, "match=PartUUID = 0FC63DAF-8483-4772-8e79-3d69d8477de4" },
                { "match=PartUUID = " UUID_X, "match=PartUUID = x" },
                { "match=PartUUID = " UUID_X, "match=PartUUID ~ " UUID_X },
                { "match=PartUUID = " UUID_X, "match=PartUUID != " UUID_X },
                { "match=PartUUID = " UUID_X, "match=PartUUID == " UUID_X },
                { "match=PartUUID = " UUID_X, "match=PartUUID =" },
                { "match=PartUUID = " UUID_X, "match=PartUUID = " },
                { "match=PartUUID = " UUID_X, "match=PartUUID" },
                { "match=PartUUID = " UUID_X, "match=Nothing = x" },
                { "match=PartUUID = " UUID_X "\n", "" },
                { "uuid=" UUID_X, "uuid=any words" },
                { "label=caf", "label=\\xff" },
                { "generation=0123", "generation=zzzz" },
                { "generation=0123", "generation=" },
                { "gaps=116", "gaps=3" },
                { "gap=0 10 100 foreign-detach", "gap=0 10 0 foreign-detach" },
                { "gap=0 10 100 foreign-detach", "gap=11 10 100 foreign-detach" },
                { "gap=0 10 100 foreign-detach", "gap=10 10 9 foreign-detach" },
                { "gap=0 10 100 foreign-detach", "gap=0 10 100" },
                { "gap=0 10 100 foreign-detach", "gap=0 10 100 a-word-that-is-longer-than-any-of-ours" },
                { "gap=0 10 100 foreign-detach", "gap=1 2 3 x\ngap=1 2 3 x" },
                { "end=1", "end=2" },
                { "end=1\n", "end=1\nheld=1\n" },
                { "end=1\n", "end=1\n\n" },
        };
        Attachment *a = plain(), *b;
        char *text, *s;

        set_all(a);
        text = format(a, BOOT_1, 1);
        for (size_t i = 0; i < sizeof(lies) / sizeof(lies[0]); i++) {
                int r;

                s = replace(text, lies[i][0], lies[i][1]);
                r = parse(s, &b);
                if (r != -EBADMSG) {
                        fprintf(stderr, "\"%s\" was believed: %d\n", lies[i][1], r);
                        abort();
                }
                free(s);
        }

        /* what a newer daemon may have noted besides */
        s = replace(text, "source=policy\n", "source=policy\nfuture=anything\n");
        CHECK(parse(s, &b) == 0);
        attachment_free(b);
        free(s);
        free(text);
        attachment_free(a);
}

/* Any byte flipped: refused, or a record all the same; never worse. */
static void test_flipped(void) {
        Attachment *a = plain(), *b;
        char *text;

        set_all(a);
        text = format(a, BOOT_1, 1);
        for (size_t i = 0; text[i]; i++)
                for (int k = 0; k < 8; k++) {
                        text[i] = (char) (text[i] ^ 1 << k);
                        if (text[i] && parse(text, &b) == 0)
                                attachment_free(b);
                        text[i] = (char) (text[i] ^ 1 << k);
                }

        free(text);
        attachment_free(a);
}

/* Folders. */

static Attachment *found[8];
static size_t n_found;

static void on_found(Attachment *a, void *userdata) {
        CHECK(userdata == &n_found && n_found < 8);
        found[n_found++] = a;
}

static void forget_found(void) {
        while (n_found > 0)
                attachment_free(found[--n_found]);
}

static size_t load(const StateDir *s) {
        forget_found();
        CHECK(state_load(s, on_found, &n_found) == 0);
        return n_found;
}

static size_t load_last(const char *path) {
        forget_found();
        CHECK(state_load_last_boot(path, on_found, &n_found) == 0);
        return n_found;
}

static const char *path_of(const char *name) {
        static char paths[4][128];
        static unsigned i;

        i = (i + 1) % 4;
        (void) snprintf(paths[i], sizeof(paths[i]), "%s/%s", folder, name);
        return paths[i];
}

static void write_file(int dir_fd, const char *name, const char *data, size_t size) {
        int fd = openat(dir_fd, name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

        CHECK(fd >= 0 && write(fd, data, size) == (ssize_t) size);
        close(fd);
}

static void boot(StateDir *s, const char *id) {
        CHECK(setenv("BLKFILTERD_BOOT_ID", id, 1) == 0);
        state_close(s);
        CHECK(state_open(path_of("run"), s) == 0);
        CHECK_STR(s->boot, id);
}

static void test_folder(void) {
        static const char zeros[64] = { 0 };
        StateDir s = { .fd = -EBADF };
        Attachment *a = plain();
        char *text;

        boot(&s, BOOT_1);
        CHECK(load(&s) == 0);
        set_all(a);
        CHECK(state_save(&s, a, 1) == 0 && load(&s) == 1);
        CHECK(found[0]->held && found[0]->n_gaps_kept == ATTACHMENT_GAPS_MAX);

        /* what else may lie there */
        text = format(a, BOOT_1, 1);
        write_file(s.fd, "another_name", text, strlen(text));
        write_file(s.fd, "cut", text, strlen(text) / 2);
        write_file(s.fd, "zeros", zeros, sizeof(zeros));
        write_file(s.fd, "empty", "", 0);
        CHECK(mkfifoat(s.fd, "fifo", 0600) == 0 && mkdirat(s.fd, "folder", 0700) == 0);
        CHECK(symlinkat("/dev/zero", s.fd, "link") == 0);
        write_file(s.fd, "large", text, strlen(text));
        CHECK(truncate(path_of("run/large"), RECORD_SIZE_MAX + 1) == 0);
        CHECK(load(&s) == 1);

        /* with a NUL behind it, it is not what was written */
        write_file(s.fd, a->id, text, strlen(text) + 1);
        CHECK(load(&s) == 0);
        CHECK(state_save(&s, a, 1) == 0 && load(&s) == 1);

        /* of another run of the kernel: its objects are not ours */
        boot(&s, BOOT_2);
        CHECK(load(&s) == 0);
        boot(&s, BOOT_1);

        CHECK(state_remove(&s, a->id) == 0 && state_remove(&s, a->id) == 0 && load(&s) == 0);
        free(text);
        attachment_free(a);
        state_close(&s);
}

static void test_keep(void) {
        StateDir s = { .fd = -EBADF }, kept = { .fd = -EBADF };
        struct timespec old[2] = { 0 };
        Attachment *a = plain();
        struct stat before, after;
        const char *to;

        CHECK(state_keep(path_of("nowhere"), path_of("kept"), DAY) == 0);
        CHECK(load_last(path_of("kept")) == 0);
        CHECK(state_load_last_boot(path_of("nowhere/kept"), on_found, &n_found) == STATE_E_NOT_THERE);

        boot(&s, BOOT_1);
        set_all(a);
        a->on_device = true;
        a->intact_since_usec = 100;
        a->seen_usec = 200;
        CHECK(state_save(&s, a, 300) == 0);
        CHECK(state_keep(path_of("run"), path_of("kept"), DAY) == 0);
        CHECK(state_open(path_of("kept"), &kept) == 0 && load(&kept) == 1);

        /* in this boot there is nothing to learn from it; what is the same is not written again */
        CHECK(load_last(path_of("kept")) == 0);
        CHECK(fstatat(kept.fd, a->id, &before, 0) == 0);
        CHECK(state_keep(path_of("run"), path_of("kept"), DAY) == 0);
        CHECK(fstatat(kept.fd, a->id, &after, 0) == 0 && before.st_ino == after.st_ino);

        /* the next boot: /run is empty, and what the kernel had is gone */
        CHECK(state_remove(&s, a->id) == 0);
        boot(&s, BOOT_2);
        CHECK(load_last(path_of("kept")) == 1);
        CHECK(found[0]->recorded_since_usec == 100 && found[0]->recorded_at_usec == 200);
        CHECK(found[0]->n_gaps_kept == ATTACHMENT_GAPS_MAX && found[0]->fingerprint.entry->partno == 7);
        CHECK(!found[0]->noted_object && !found[0]->left_object && !found[0]->fingerprint.object &&
              !found[0]->fingerprint.disk->diskseq && !fingerprint_has_generation(&found[0]->fingerprint) &&
              !found[0]->held && !found[0]->asked && !found[0]->orphaned && !found[0]->past_due);

        /* nobody has asked for it yet in this boot */
        CHECK(state_keep(path_of("run"), path_of("kept"), DAY) == 0);
        CHECK(load_last(path_of("kept")) == 1);

        /* by a daemon that has not seen what was kept: that stays, as long as there is any */
        a->past_due = true;
        CHECK(state_save(&s, a, 300) == 0);
        CHECK(state_keep(path_of("run"), path_of("kept"), DAY) == 0);
        CHECK(load_last(path_of("kept")) == 1);
        CHECK(unlinkat(kept.fd, a->id, 0) == 0);
        CHECK(state_keep(path_of("run"), path_of("kept"), DAY) == 0);
        CHECK(load_last(path_of("kept")) == 0 && fstatat(kept.fd, a->id, &after, 0) == 0);
        a->n_attached = 12;
        CHECK(state_save(&s, a, 300) == 0 && fstatat(kept.fd, a->id, &before, 0) == 0);
        CHECK(state_keep(path_of("run"), path_of("kept"), DAY) == 0);
        CHECK(fstatat(kept.fd, a->id, &after, 0) == 0 && before.st_ino != after.st_ino);
        a->past_due = false;

        /* then it is of this boot; and forgotten in it, it goes */
        CHECK(state_save(&s, a, 300) == 0);
        CHECK(state_keep(path_of("run"), path_of("kept"), DAY) == 0);
        CHECK(load_last(path_of("kept")) == 0);
        CHECK(state_remove(&s, a->id) == 0);
        to = path_of("kept");
        CHECK(state_keep(path_of("run"), to, DAY) == 0);
        CHECK(fstatat(kept.fd, a->id, &after, 0) < 0);

        /* nobody asks for it any more */
        boot(&s, BOOT_1);
        CHECK(state_save(&s, a, 300) == 0 && state_keep(path_of("run"), path_of("kept"), DAY) == 0);
        CHECK(state_remove(&s, a->id) == 0);
        boot(&s, BOOT_2);
        CHECK(utimensat(kept.fd, a->id, old, 0) == 0);
        CHECK(state_keep(path_of("run"), path_of("kept"), UINT64_MAX) == 0 && load_last(path_of("kept")) == 1);
        CHECK(state_keep(path_of("run"), path_of("kept"), DAY) == 0 && load_last(path_of("kept")) == 0);

        /* one that cannot be written is told of */
        CHECK(state_save(&s, a, 300) == 0 && mkdirat(kept.fd, a->id, 0700) == 0);
        CHECK(state_keep(path_of("run"), path_of("kept"), DAY) < 0);

        forget_found();
        attachment_free(a);
        state_close(&s);
        state_close(&kept);
}

static void test_boot(void) {
        char id[BOOT_ID_SIZE];

        CHECK(boot_get_time_usec() > 0);
        CHECK(setenv("BLKFILTERD_BOOT_ID", "no id", 1) == 0);
        CHECK(boot_get_id(id) == (access("/proc/sys/kernel/random/boot_id", R_OK) == 0));
        CHECK(!id[0] || strlen(id) == 32);
}

int main(void) {
        char command[128];

        test_round_trip();
        test_largest();
        test_claim();
        test_cut();
        test_hostile();
        test_flipped();
        test_boot();

        CHECK(mkdtemp(folder));
        test_folder();
        test_keep();
        forget_found();
        (void) snprintf(command, sizeof(command), "rm -rf '%s'", folder);
        CHECK(system(command) == 0);
        return EXIT_SUCCESS;
}
