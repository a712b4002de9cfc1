/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* When a worker rules out that a disk is a part of a larger device: an array, or a multipath device. */

#undef NDEBUG

#include <limits.h>
#include <sys/stat.h>

#include "daemon/owner.h"
#include "tests/worker-script.h"

static char root[] = "/tmp/test-owner-XXXXXX";

static const char *in_root(const char *path) {
        static char paths[2][PATH_MAX];
        static unsigned n;

        (void) snprintf(paths[++n % 2], PATH_MAX, "%s/%s", root, path);
        return paths[n % 2];
}

static void make_folder(const char *path) {
        CHECK(mkdir(in_root(path), 0755) == 0);
}

static void make_file(const char *path) {
        int fd = open(in_root(path), O_WRONLY | O_CREAT | O_CLOEXEC, 0644);

        CHECK(fd >= 0 && close(fd) == 0);
}

static bool is_ruled_out(void) {
        return owner_is_ruled_out(real.disk, root);
}

/* A superblock of md, version 1.0: at the end of a member, so that it looks like a disk. See linux/raid/md_p.h. */
static void put_member_in(int fd, uint64_t sectors) {
        uint64_t sector = (sectors - 16) & ~UINT64_C(7);
        uint8_t *device = map_of(fd, sectors * 512), *p = device + sector * 512;

        memset(p, 0, 512);
        put(p, 0xa92b4efc, 4);
        put(p + 4, 1, 4);
        put_uuid(p + 16, UUID_FS, false);
        put(p + 144, sector, 8);
        CHECK(munmap(device, sectors * 512) == 0);
}

static void put_member(void) {
        put_member_in(real.disk, DISK_SECTORS);
}

static void test_member(void) {
        JobRequest scan = request_of(JOB_SCAN, false);

        make(two, NULL);
        CHECK(is_ruled_out());
        put_member();
        CHECK(!is_ruled_out());

        /* without a table too, and what cannot be read may be anything */
        make(NULL, NULL);
        CHECK(is_ruled_out());
        put_member();
        CHECK(!is_ruled_out());
        CHECK(!owner_is_ruled_out(-1, root));

        /* what is on its partitions does not count */
        make(two, (const char *const[N_PARTS]) { UUID_FS, UUID_FS_2 });
        CHECK(is_ruled_out());

        /* a scan says it if asked, of the system that it runs on; and one that went wrong never */
        CHECK(run(&scan) == JOB_OK && !reply.unowned);
        scan.ask_unowned = true;
        CHECK(run(&scan) == JOB_OK && reply.unowned == owner_is_ruled_out(real.disk, ""));
        put_member();
        CHECK(run(&scan) == JOB_OK && reply.has_table && !reply.unowned);
        real.locked = true;
        CHECK(run(&scan) == JOB_LOCKED && !reply.unowned);
}

/* A partition that udev has not told of: it would say that a member is to be left alone. */
static void test_new_partition(void) {
        JobRequest attach = request_of(JOB_ATTACH, true);

        expect(&attach, MATCH_PART_UUID, UUID_X);
        make(two, NULL);
        put_member_in(real.part, DISK_SECTORS); /* libblkid looks for none on what is smaller than a floppy disk */
        attach.ask_unowned = true;
        CHECK(run(&attach) == JOB_MISMATCH);
        CHECK(strstr(reply.message, "RAID"));
        attach.ask_unowned = false;
        CHECK(run(&attach) == JOB_OK);

        make(two, (const char *const[N_PARTS]) { UUID_FS, UUID_FS_2 });
        attach.ask_unowned = true;
        CHECK(run(&attach) == JOB_OK);
        make(two, NULL);
        CHECK(run(&attach) == JOB_OK);
}

static void test_paths(void) {
        static const char *const rules[] = {
                "lib/udev/rules.d/60-multipath.rules", "usr/lib/udev/rules.d/11-dm-mpath.rules",
                "etc/udev/rules.d/99-multipath.rules", "run/udev/rules.d/62-multipath.rules",
        };

        make(two, NULL);
        for (size_t i = 0; i < sizeof(rules) / sizeof(rules[0]); i++) {
                CHECK(is_ruled_out());
                make_file(rules[i]);
                CHECK(!is_ruled_out());
                CHECK(unlink(in_root(rules[i])) == 0);
        }

        /* a folder that is not there has none; one that cannot be read may have any */
        CHECK(rmdir(in_root("run/udev/rules.d")) == 0);
        CHECK(is_ruled_out());
        CHECK(symlink("rules.d", in_root("run/udev/rules.d")) == 0);
        CHECK(!is_ruled_out());
        CHECK(unlink(in_root("run/udev/rules.d")) == 0);
        make_folder("run/udev/rules.d");

        make_file("lib/udev/rules.d/60-persistent-storage.rules");
        make_file("lib/udev/rules.d/60-multipath.rules.bak");
        CHECK(is_ruled_out());

        /* a path that no pattern can be made of */
        char longest[1024];

        memset(longest, 'x', sizeof(longest) - 1);
        longest[sizeof(longest) - 1] = 0;
        CHECK(!owner_is_ruled_out(real.disk, longest));
}

int main(void) {
        static const char *const folders[] = {
                "etc", "etc/udev", "etc/udev/rules.d", "run", "run/udev", "run/udev/rules.d", "usr", "usr/lib",
                "usr/lib/udev", "usr/lib/udev/rules.d", "lib", "lib/udev", "lib/udev/rules.d",
        };

        CHECK(mkdtemp(root));
        for (size_t i = 0; i < sizeof(folders) / sizeof(folders[0]); i++)
                make_folder(folders[i]);

        test_member();
        test_new_partition();
        test_paths();

        CHECK(unlink(in_root("lib/udev/rules.d/60-persistent-storage.rules")) == 0);
        CHECK(unlink(in_root("lib/udev/rules.d/60-multipath.rules.bak")) == 0);
        for (size_t i = sizeof(folders) / sizeof(folders[0]); i-- > 0; )
                CHECK(rmdir(in_root(folders[i])) == 0);
        CHECK(rmdir(root) == 0);
        return 0;
}
