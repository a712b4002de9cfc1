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

#include "daemon/boot.h"
#include "daemon/state.h"
#include "daemon/text.h"

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
        (void) boot_get_id(ret->boot);
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

/**
 * state_save() - write the record of an attachment
 * @s: the folder
 * @a: the attachment
 * @now_realtime_usec: the time
 *
 * Return: 0, or a negative errno: the old record is still there.
 */
int state_save(const StateDir *s, const Attachment *a, uint64_t now_realtime_usec) {
        RecordNote note;
        char *text;
        int r;

        memcpy(note.boot, s->boot, sizeof(note.boot));
        r = record_format(a, &note, now_realtime_usec, &text);
        if (r < 0)
                return r;

        r = state_write_file(s->fd, a->id, text, strlen(text));
        free(text);
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

/* Of this boot, for all that is known: the kernel's objects that it names can be meant. */
static bool is_of_this_boot(const StateDir *s, const RecordNote *note) {
        return !s->boot[0] || !note->boot[0] || str_equal(s->boot, note->boot);
}

static int load(const StateDir *s, bool this_boot, StateFound found, void *userdata) {
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
                RecordNote note;
                char *data;
                size_t size;
                int r;

                if (e->d_name[0] == '.' || state_read_file(s->fd, e->d_name, &data, &size) < 0)
                        continue;

                r = state_parse_file(e->d_name, data, size, &a, &note);
                free(data);
                if (r < 0)
                        continue;

                if (is_of_this_boot(s, &note) == this_boot)
                        found(a, userdata);
                else
                        attachment_free(a);
        }

        closedir(d);
        return 0;
}

/**
 * state_load() - tell of all records of this boot
 * @s: the folder
 * @found: called for each with an attachment that it owns then
 * @userdata: for @found
 *
 * A record that is not whole, or that nobody here wrote, is passed over.
 *
 * Return: 0, or a negative errno: the folder cannot be read.
 */
int state_load(const StateDir *s, StateFound found, void *userdata) {
        return load(s, true, found, userdata);
}

typedef struct LastBoot {
        StateFound found;
        void *userdata;
} LastBoot;

/* What was of the kernel went with it, and so did an administrator's word that was not made persistent. */
static void found_of_last_boot(Attachment *a, void *userdata) {
        const LastBoot *l = userdata;
        DiskPrint disk = *a->fingerprint.disk;

        a->noted_object = a->left_object = a->number = a->left_number = 0;
        a->foreign = false;
        a->fingerprint.object = 0;
        disk.diskseq = 0;
        if (fingerprint_set_disk(&a->fingerprint, &disk) < 0) {
                fingerprint_deinit(&a->fingerprint);
                a->has_fingerprint = false;
        }
        (void) fingerprint_set_generation(&a->fingerprint, "");
        a->asked = a->held = a->orphaned = a->past_due = false;
        l->found(a, l->userdata);
}

static bool parent_is_there(const char *path) {
        const char *slash = strrchr(path, '/');
        char parent[4096];

        if (!slash || (size_t) (slash - path) >= sizeof(parent))
                return true;

        memcpy(parent, path, (size_t) (slash - path));
        parent[slash - path] = 0;
        return access(parent, F_OK) >= 0 || errno != ENOENT;
}

/**
 * state_load_last_boot() - tell of all records that were kept of earlier boots
 * @folder: full path of where state_keep() has put them; need not be there. What it is in is on a disk that is
 *          mounted, if it is there
 * @found: called for each with an attachment that it owns then. Of it counts what it has seen: its
 *         fingerprint, its gaps, and if recorded_since_usec is not 0, that the filter was on until
 *         recorded_at_usec; it went not later than boot_get_time_usec()
 * @userdata: for @found
 *
 * Blocks on that disk: at the start, and once later if it was not there then. Without the id of this boot none can be
 * told from those of this boot, and none is.
 *
 * Return: 0, STATE_E_NOT_THERE if not even what the folder is in is there, as in an initramfs; or a negative errno: the
 * folder cannot be read.
 */
int state_load_last_boot(const char *folder, StateFound found, void *userdata) {
        LastBoot l = { found, userdata };
        StateDir s = { .fd = -EBADF };
        int r;

        if (!boot_get_id(s.boot))
                return 0;

        s.fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
        if (s.fd < 0 && errno == ENOENT)
                return parent_is_there(folder) ? 0 : STATE_E_NOT_THERE;
        if (s.fd < 0)
                return -errno;

        r = load(&s, false, found_of_last_boot, &l);
        state_close(&s);
        return r;
}

#define BOOT_DISKSEQ ".boot-diskseq" /* hidden from state_load() */

/**
 * state_boot_diskseq() - the highest sequence number of the disks that came with the boot
 * @s: the folder
 * @highest: the one that is there now; 0: that is not known yet
 *
 * Return: what an earlier daemon noted; @highest, noted from now on unless it is 0, if none did.
 */
uint64_t state_boot_diskseq(const StateDir *s, uint64_t highest) {
        char *data = NULL, text[32];
        uint64_t v = 0;
        size_t size;

        if (state_read_file(s->fd, BOOT_DISKSEQ, &data, &size) >= 0)
                v = strtoull(data, NULL, 10);
        free(data);
        if (v > 0 || !highest)
                return v;

        /* without the note a later daemon takes all that is there then for there at boot */
        (void) snprintf(text, sizeof(text), "%" PRIu64 "\n", highest);
        (void) state_write_file(s->fd, BOOT_DISKSEQ, text, strlen(text));
        return highest;
}

#define STALE ".stale-numbers" /* hidden from state_load() */

/**
 * state_save_stale() - note which filters may be left on which device numbers
 * @s: the folder
 * @w: the world; what is beyond the size of a record is left out
 *
 * Return: 0, or a negative errno: the old note is still there.
 */
int state_save_stale(const StateDir *s, const World *w) {
        Text t = TEXT_INIT;
        char *text;
        int r;

        if (w->n_stale == 0)
                return unlinkat(s->fd, STALE, 0) < 0 && errno != ENOENT ? -errno : 0;

        text_add(&t, "boot ");
        text_add(&t, s->boot);
        text_add(&t, "\n");

        for (size_t i = 0; i < w->n_stale && t.length < RECORD_SIZE_MAX - 64; i++) {
                text_add_u64(&t, w->stale[i]->number);
                text_add(&t, " ");
                text_add_u64(&t, w->stale[i]->spared);
                text_add(&t, " ");
                text_add(&t, w->stale[i]->filter);
                text_add(&t, "\n");
        }

        r = text_steal(&t, &text);
        if (r < 0)
                return r;

        r = state_write_file(s->fd, STALE, text, strlen(text));
        free(text);
        return r;
}

/**
 * state_load_stale() - take in what an earlier daemon of this boot noted by state_save_stale()
 * @s: the folder
 * @w: the world; gets each that makes sense
 *
 * Return: 0, also if nothing was noted; or a negative errno.
 */
int state_load_stale(const StateDir *s, World *w) {
        char *data, *rest, *line;
        size_t size;
        int r;

        r = state_read_file(s->fd, STALE, &data, &size);
        if (r < 0)
                return r == -ENOENT ? 0 : r;

        rest = data;
        line = strsep(&rest, "\n");
        if (strncmp(line, "boot ", 5) != 0 || !str_equal(line + 5, s->boot))
                rest = NULL;

        while (r >= 0 && (line = strsep(&rest, "\n"))) {
                char *end, *filter;
                uint64_t number = strtoull(line, &end, 10), spared = strtoull(end, &filter, 10);

                if (number && *filter == ' ' && filter_name_is_valid(filter + 1))
                        r = world_add_stale(w, number, filter + 1, spared);
        }

        free(data);
        return r;
}
