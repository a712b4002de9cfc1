/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "daemon/state.h"
#include "daemon/text.h"

#define RECORD_SIZE_MAX 8192

/**
 * state_open() - open the folder of records, and make it if it is not there
 * @folder: full path; its parent exists
 * @ret: to be closed by the caller
 *
 * Return: 0, or a negative errno.
 */
int state_open(const char *folder, StateDir *ret) {
        int fd;

        if (mkdir(folder, 0700) < 0 && errno != EEXIST)
                return -errno;

        fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
        if (fd < 0)
                return -errno;

        ret->fd = fd;
        return 0;
}

/**
 * state_close() - close the folder
 * @s: opened or not
 */
void state_close(StateDir *s) {
        if (s->fd >= 0)
                close(s->fd);
        s->fd = -EBADF;
}

static void write_record(FILE *f, const Attachment *a, uint64_t now_usec) {
        const Entry *e = &a->fingerprint.entry;

        (void) fprintf(f, "filter=%s\npart_uuid=%s\npart_label=%s\nsource=%s\nasked=%d\nheld=%d\norphaned=%d\n", a->filter,
                       a->match.part_uuid, a->match.part_label, attachment_source_to_string(a->source), a->asked, a->held,
                       a->orphaned);
        (void) fprintf(f, "policy=%s\nattached=%" PRIu64 "\ngaps=%" PRIu64 "\n", a->policy_path ?: "", a->n_attached,
                       a->n_gaps);

        if (a->has_fingerprint)
                (void) fprintf(f, "disk=%s\ndiskseq=%" PRIu64 "\nobject=%" PRIu64 "\npt_uuid=%s\npartno=%u\nstart=%" PRIu64 "\nsize=%" PRIu64
                               "\nuuid=%s\nlabel=%s\ntype=%s\n", a->fingerprint.disk, a->fingerprint.diskseq, a->fingerprint.object,
                               a->fingerprint.pt_uuid, e->partno, e->start_sectors, e->size_sectors, e->uuid, e->label,
                               e->type);

        /* What an earlier daemon noted is true until it has been looked at. */
        if (a->intact_since_usec)
                (void) fprintf(f, "intact_since=%" PRIu64 "\nnoted_at=%" PRIu64 "\n", a->intact_since_usec, now_usec);
        else if (a->recorded_since_usec)
                (void) fprintf(f, "intact_since=%" PRIu64 "\nnoted_at=%" PRIu64 "\n", a->recorded_since_usec,
                               a->recorded_at_usec);

        for (size_t i = 0; i < a->n_gaps_kept; i++)
                (void) fprintf(f, "gap=%" PRIu64 " %" PRIu64 " %s\n", a->gaps[i].begin_usec, a->gaps[i].end_usec,
                               a->gaps[i].reason);

        (void) fprintf(f, "end=1\n");
}

/**
 * state_save() - write the record of an attachment
 * @s: the folder
 * @a: the attachment
 * @now_realtime_usec: the time, noted with a claim that tracking is intact
 *
 * Return: 0, or a negative errno: the old record is still there.
 */
int state_save(const StateDir *s, const Attachment *a, uint64_t now_realtime_usec) {
        char temporary[ATTACHMENT_ID_SIZE + 8];
        int fd, r;
        FILE *f;

        (void) snprintf(temporary, sizeof(temporary), ".%s.new", a->id);

        fd = openat(s->fd, temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
        if (fd < 0)
                return -errno;

        f = fdopen(fd, "w");
        if (!f) {
                close(fd);
                return -ENOMEM;
        }

        write_record(f, a, now_realtime_usec);

        r = fflush(f) != 0 || fsync(fd) < 0 ? -errno : 0;
        if (fclose(f) != 0 && r == 0)
                r = -errno;
        if (r == 0 && renameat(s->fd, temporary, s->fd, a->id) < 0)
                r = -errno;
        if (r < 0)
                (void) unlinkat(s->fd, temporary, 0);

        return r;
}

/**
 * state_remove() - forget an attachment
 * @s: the folder
 * @id: the attachment's
 *
 * Return: 0, also if there was no record; or a negative errno.
 */
int state_remove(const StateDir *s, const char *id) {
        return unlinkat(s->fd, id, 0) < 0 && errno != ENOENT ? -errno : 0;
}

/* What a record says before it is known to be whole. */
typedef struct Record {
        char filter[FILTER_NAME_SIZE];
        Match match;
        AttachmentSource source;
        char policy[512];
        bool whole;
        Attachment facts; /* numbers, fingerprint and gaps; the rest unused */
} Record;

static uint64_t to_u64(const char *s) {
        return strtoull(s, NULL, 10);
}

static void parse_gap(Attachment *a, const char *value) {
        char reason[32];
        Gap g = { 0 };

        if (a->n_gaps_kept == ATTACHMENT_GAPS_MAX ||
            sscanf(value, "%" SCNu64 " %" SCNu64 " %31s", &g.begin_usec, &g.end_usec, reason) != 3)
                return;

        (void) str_copy(g.reason, sizeof(g.reason), reason);
        a->gaps[a->n_gaps_kept++] = g;
}

static void parse_line(Record *r, const char *key, const char *value) {
        Attachment *a = &r->facts;
        Fingerprint *f = &a->fingerprint;
        const struct {
                const char *key;
                uint64_t *number;
        } numbers[] = {
                { "attached", &a->n_attached },           { "gaps", &a->n_gaps },
                { "object", &f->object },
                { "diskseq", &f->diskseq },               { "start", &f->entry.start_sectors },
                { "size", &f->entry.size_sectors },       { "intact_since", &a->recorded_since_usec },
                { "noted_at", &a->recorded_at_usec },
        };
        const struct {
                const char *key;
                char *text;
                size_t size;
        } texts[] = {
                { "filter", r->filter, sizeof(r->filter) },
                { "part_uuid", r->match.part_uuid, sizeof(r->match.part_uuid) },
                { "part_label", r->match.part_label, sizeof(r->match.part_label) },
                { "policy", r->policy, sizeof(r->policy) },
                { "disk", f->disk, sizeof(f->disk) },
                { "pt_uuid", f->pt_uuid, sizeof(f->pt_uuid) },
                { "uuid", f->entry.uuid, sizeof(f->entry.uuid) },
                { "label", f->entry.label, sizeof(f->entry.label) },
                { "type", f->entry.type, sizeof(f->entry.type) },
        };

        for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++)
                if (str_equal(key, numbers[i].key))
                        *numbers[i].number = to_u64(value);

        for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
                if (str_equal(key, texts[i].key))
                        (void) str_copy(texts[i].text, texts[i].size, value);

        if (str_equal(key, "partno")) {
                f->entry.partno = (unsigned) to_u64(value);
                a->has_fingerprint = true;
        } else if (str_equal(key, "source"))
                r->source = str_equal(value, "runtime") ? ATTACHMENT_SOURCE_RUNTIME : ATTACHMENT_SOURCE_POLICY;
        else if (str_equal(key, "asked"))
                a->asked = str_equal(value, "1");
        else if (str_equal(key, "held"))
                a->held = str_equal(value, "1");
        else if (str_equal(key, "orphaned"))
                a->orphaned = str_equal(value, "1");
        else if (str_equal(key, "gap"))
                parse_gap(a, value);
        else if (str_equal(key, "end"))
                r->whole = true;
}

static int read_record(int fd, Record *ret) {
        char buf[RECORD_SIZE_MAX], *line, *rest = buf;
        ssize_t n = read(fd, buf, sizeof(buf) - 1);

        if (n < 0)
                return -errno;

        buf[n] = 0;
        *ret = (Record) { 0 };

        while ((line = strsep(&rest, "\n"))) {
                char *value = strchr(line, '=');

                if (value) {
                        *value++ = 0;
                        parse_line(ret, line, value);
                }
        }

        return ret->whole ? 0 : -EBADMSG;
}

static int make_attachment(const Record *record, Attachment **ret) {
        const Attachment *f = &record->facts;
        Attachment *a;
        int r;

        r = attachment_new(record->filter, &record->match, record->source, &a);
        if (r < 0)
                return r;

        if (record->policy[0]) {
                a->policy_path = strdup(record->policy);
                if (!a->policy_path) {
                        attachment_free(a);
                        return -ENOMEM;
                }
        }

        a->asked = f->asked;
        a->held = f->held;
        a->orphaned = f->orphaned;
        a->n_attached = f->n_attached;
        a->n_gaps = f->n_gaps;
        a->n_gaps_kept = f->n_gaps_kept;
        memcpy(a->gaps, f->gaps, sizeof(a->gaps));
        a->has_fingerprint = f->has_fingerprint;
        a->fingerprint = f->fingerprint;
        a->recorded_since_usec = f->recorded_since_usec;
        a->recorded_at_usec = f->recorded_at_usec;

        *ret = a;
        return 0;
}

/**
 * state_load() - tell of all records
 * @s: the folder
 * @found: called for each with an attachment that it owns then
 * @userdata: for @found
 *
 * A record that is not whole, or that nobody here wrote, is passed over.
 *
 * Return: 0, or a negative errno: the folder cannot be read.
 */
int state_load(const StateDir *s, StateFound found, void *userdata) {
        struct dirent *e;
        DIR *d;
        int fd;

        fd = fcntl(s->fd, F_DUPFD_CLOEXEC, 3);
        if (fd < 0)
                return -errno;

        d = fdopendir(fd);
        if (!d) {
                close(fd);
                return -ENOMEM;
        }

        rewinddir(d);
        while ((e = readdir(d))) {
                Attachment *a;
                Record record;

                if (e->d_name[0] == '.')
                        continue;

                fd = openat(s->fd, e->d_name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
                if (fd < 0)
                        continue;

                if (read_record(fd, &record) == 0 && make_attachment(&record, &a) == 0)
                        found(a, userdata);

                close(fd);
        }

        closedir(d);
        return 0;
}
