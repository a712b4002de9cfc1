/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The last good version over a restart of the daemon, and options that are in a file. */

#undef NDEBUG

#include "tests/policy-folders.h"

#include "daemon/policy-keep.h"
#include "daemon/policy-text.h"

#define WRONG "[Match]\nPartLabel=x\n[Filter]\nNaem=x\n"

static unsigned count_kept(void) {
        char command[128];
        unsigned n;
        FILE *f;

        snprintf(command, sizeof(command), "ls -A '%s' | wc -l", dir_keep);
        f = popen(command, "re");
        assert(f && fscanf(f, "%u", &n) == 1);
        assert(pclose(f) == 0);
        return n;
}

static struct stat stat_of(const char *path) {
        struct stat st;

        assert(stat(path, &st) == 0);
        return st;
}

static void test_restart(void) {
        static const char first_line[] = "# The last good version of ";
        PolicySet *first, *s;
        struct stat before;
        char line[PATH_MAX];
        FILE *f;

        current = "restart";
        clean();
        write_text(dir_a, "10.conf", "[Match]\nPartLabel=ten\n" FILTER "[Attach]\nRetrySec=9\n");
        write_text(dir_b, "20.conf", "[Match]\nPartLabel=\"a\\x22'#\\x01 ö\" \n" FILTER "Options=hex:00ff\n");
        write_text(dir_b, "30.conf", GOOD);
        assert(mkdir(in(dir_b, "20.conf.d"), 0755) == 0);
        write_text(dir_b, "20.conf.d/x.conf", "[Match]\nFSType=!swap\n");
        first = load_kept(NULL);
        CHECK(first->n_policies == 3 && first->n_errors == 0 && count_kept() == 3);
        CHECK((stat_of(dir_keep).st_mode & 07777) == 0700);
        CHECK((stat_of(in(dir_keep, "20.conf")).st_mode & 07777) == 0600);

        f = fopen(in(dir_keep, "20.conf"), "re");
        assert(f && fgets(line, sizeof(line), f));
        fclose(f);
        CHECK(strncmp(line, first_line, strlen(first_line)) == 0);
        CHECK(strncmp(line + strlen(first_line), in(dir_b, "20.conf"), strlen(in(dir_b, "20.conf"))) == 0);

        /* a restart: nothing in memory; two are wrong, one by its drop-in */
        before = stat_of(in(dir_keep, "20.conf"));
        write_text(dir_a, "10.conf", WRONG);
        write_text(dir_b, "20.conf.d/x.conf", "");
        s = load_kept(NULL);
        CHECK(s->n_policies == 3 && s->n_errors == 2);
        CHECK(error_of(s, in(dir_a, "10.conf"))->kept_last);
        CHECK(error_of(s, in(dir_b, "20.conf.d/x.conf"))->kept_last);
        for (size_t i = 0; i < 3; i++) {
                CHECK(policy_equal(s->policies[i], first->policies[i]));
                CHECK(strcmp(s->policies[i]->path, first->policies[i]->path) == 0);
                CHECK(strcmp(s->policies[i]->name, first->policies[i]->name) == 0);
        }
        CHECK(stat_of(in(dir_keep, "20.conf")).st_ino == before.st_ino);
        policy_set_free(s);

        /* the manager begins with an empty set, not with none */
        policy_set_free(first);
        first = policy_set_new();
        s = load_kept(first);
        CHECK(s->n_policies == 3 && s->n_errors == 2 && count_kept() == 3);
        policy_set_free(first);
        policy_set_free(s);

        /* the folder cannot be read at the start */
        assert(chmod(dir_b, 0777) == 0);
        s = load_kept(NULL);
        CHECK(s->n_policies == 3 && s->n_errors == 2 && error_of(s, dir_b)->kept_last);
        policy_set_free(s);
        assert(chmod(dir_b, 0755) == 0);

        /* made right, it is another one; gone, it is gone; masked, too */
        write_text(dir_a, "10.conf", "[Match]\nPartLabel=eleven\n" FILTER);
        assert(unlink(in(dir_b, "20.conf")) == 0 && unlink(in(dir_b, "20.conf.d/x.conf")) == 0);
        assert(symlink("/dev/null", in(dir_a, "30.conf")) == 0);
        s = load_kept(NULL);
        CHECK(s->n_policies == 1 && count_kept() == 1 && strcmp(label_of(s, "10.conf"), "eleven") == 0);
        policy_set_free(s);
        write_text(dir_a, "10.conf", "");
        s = load_kept(NULL);
        CHECK(s->n_policies == 1 && strcmp(label_of(s, "10.conf"), "eleven") == 0);
        policy_set_free(s);

        /* what was never right has nothing to keep */
        write_text(dir_a, "40.conf", WRONG);
        s = load_kept(NULL);
        CHECK(s->n_policies == 1 && !error_of(s, in(dir_a, "40.conf"))->kept_last && count_kept() == 1);
        policy_set_free(s);

        /* and without the folder nothing is kept */
        s = load(NULL);
        CHECK(s->n_policies == 0 && s->n_errors == 2 && !s->errors[0].kept_last);
        policy_set_free(s);
}

/* Whether a drop-in was part of what is kept nobody knows: in a folder that cannot be read there may be one. */
static void test_kept_dropin(void) {
        PolicySet *s = NULL, *last;

        current = "kept drop-in";
        clean();
        write_text(dir_b, "20.conf", GOOD);
        assert(mkdir(in(dir_a, "20.conf.d"), 0755) == 0);
        write_text(dir_a, "20.conf.d/x.conf", "[Match]\nFSType=!swap\n");
        policy_set_free(load_kept(NULL));
        assert(chmod(dir_a, 0777) == 0);

        /* a daemon that starts, and then reads them again, and starts again */
        for (unsigned i = 0; i < 3; i++) {
                last = s;
                s = load_kept(i == 1 ? last : NULL);
                policy_set_free(last);
                CHECK(s->n_policies == 1 && s->policies[0]->match->n_terms == 3);
        }
        policy_set_free(s);
        assert(chmod(dir_a, 0755) == 0);
        s = load_kept(NULL);
        CHECK(s->n_policies == 1 && s->policies[0]->match->n_terms == 3 && s->n_errors == 0);
        policy_set_free(s);
}

/* A policy that is called like a file of options; and one that could not be kept: that before is not the last. */
static void test_kept_or_not(void) {
        PolicySet *s;

        current = "kept or not";
        clean();
        write_text(dir_a, "options-x.conf", GOOD);
        policy_set_free(load_kept(NULL));
        CHECK(count_kept() == 1);
        write_text(dir_a, "options-x.conf", WRONG);
        s = load_kept(NULL);
        CHECK(s->n_policies == 1);
        policy_set_free(s);

        write_text(dir_a, "options-x.conf", "[Match]\nPartLabel=another\n" FILTER);
        assert(mkdir(in(dir_keep, ".new"), 0755) == 0 && mkdir(in(dir_keep, ".new/x"), 0755) == 0);
        s = load_kept(NULL);
        CHECK(s->n_policies == 1 && s->n_errors == 1 && s->errors[0].is_warning && count_kept() == 1);
        policy_set_free(s);
        assert(rmdir(in(dir_keep, ".new/x")) == 0 && rmdir(in(dir_keep, ".new")) == 0);
        write_text(dir_a, "options-x.conf", WRONG);
        s = load_kept(NULL);
        CHECK(s->n_policies == 0);
        policy_set_free(s);
}

/* What is kept is looked at like any other file. */
static void test_bad_keep(void) {
        PolicySet *s;

        current = "bad keep";
        clean();
        write_text(dir_a, "10.conf", GOOD);
        policy_set_free(load_kept(NULL));
        write_text(dir_a, "10.conf", WRONG);

        assert(chmod(in(dir_keep, "10.conf"), 0666) == 0);
        s = load_kept(NULL);
        CHECK(s->n_policies == 0 && s->n_errors == 1 && count_kept() == 0);
        policy_set_free(s);

        /* without its first line, or for another name, it is nothing */
        write_text(dir_keep, "10.conf", GOOD);
        write_text(dir_keep, "20.conf",
                   "# The last good version of /x/10.conf. Kept by blkfilterd; do not edit.\n" GOOD);
        write_text(dir_keep, "30.conf", "# The last good version of ");
        write_text(dir_keep, "40.conf", "");
        write_text(dir_a, "20.conf", WRONG);
        s = load_kept(NULL);
        CHECK(s->n_policies == 0 && s->n_errors == 2 && count_kept() == 0);
        policy_set_free(s);

        /* a folder that cannot be made or trusted: it is said, and the policies are in force */
        write_text(dir_a, "10.conf", GOOD);
        assert(unlink(in(dir_a, "20.conf")) == 0);
        assert(chmod(dir_keep, 0770) == 0);
        s = load_kept(NULL);
        CHECK(s->n_policies == 1 && s->n_errors == 1 && s->errors[0].is_warning);
        CHECK(strcmp(s->errors[0].path, dir_keep) == 0 && strstr(s->errors[0].message, "not permitted"));
        policy_set_free(s);
        assert(rmdir(dir_keep) == 0);
        write_text(root, "keep", "a file\n");
        s = load_kept(NULL);
        CHECK(s->n_policies == 1 && s->n_errors == 1 && s->errors[0].is_warning);
        policy_set_free(s);
        assert(unlink(dir_keep) == 0);
        s = load_kept(NULL);
        CHECK(s->n_policies == 1 && s->n_errors == 0 && count_kept() == 1);
        policy_set_free(s);
}

static void options_one(const char *file, const char *message) {
        char text[PATH_MAX + 128];
        PolicySet *s;

        current = message;
        snprintf(text, sizeof(text), "%sOptions=\"%s\"\n%s", FILTER, file, MATCH);
        write_text(dir_a, "20.conf", text);
        s = load(NULL);
        CHECK(s->n_policies == 0 && s->n_errors == 1);
        if (s->errors[0].line != 3 || !strstr(s->errors[0].message, message))
                fprintf(stderr, "line %u: %s\n", s->errors[0].line, s->errors[0].message);
        CHECK(s->errors[0].line == 3 && strstr(s->errors[0].message, message));
        CHECK(strstr(s->errors[0].message, file) && strcmp(s->errors[0].path, in(dir_a, "20.conf")) == 0);
        policy_set_free(s);
}

static void test_options_file(void) {
        char text[PATH_MAX + 128], large[POLICY_OPTIONS_MAX + 1], file[64];
        PolicySet *first, *s;

        clean();
        memset(large, 7, sizeof(large));
        assert(mkdir(in(root, "etc"), 0755) == 0);
        snprintf(file, sizeof(file), "%s/etc/my options", root);

        options_one(file, "No such file");
        write_text(root, "etc/my options", "");
        options_one(file, "is empty");
        write_bytes(root, "etc/my options", large, sizeof(large));
        options_one(file, "is too large");
        write_bytes(root, "etc/my options", large, 1);
        assert(chmod(file, 0664) == 0);
        options_one(file, "Its group can write to it");
        if (geteuid() == 0) {
                assert(chmod(file, 0644) == 0 && chown(file, 12345, 0) == 0);
                options_one(file, "It belongs to user 12345");
        }
        assert(unlink(file) == 0 && symlink("other", file) == 0);
        options_one(file, "symbolic link");
        assert(unlink(file) == 0 && mkfifo(file, 0644) == 0);
        options_one(file, "a FIFO");
        assert(unlink(file) == 0 && mkdir(file, 0755) == 0);
        options_one(file, "a directory");
        assert(rmdir(file) == 0);

        /* as many as there can be; kept over a restart beside the policy, as no line holds them */
        current = "options";
        write_bytes(root, "etc/my options", large, POLICY_OPTIONS_MAX);
        snprintf(text, sizeof(text), "[Match]\nPartLabel=a\n[Filter]\nName=x\nOptions='%s'\n", file);
        write_text(dir_a, "20.conf", text);
        write_text(dir_a, "30.conf", text);
        first = load_kept(NULL);
        CHECK(first->n_policies == 2 && first->n_errors == 0 && count_kept() == 3);
        CHECK(first->policies[0]->settings->options_size == POLICY_OPTIONS_MAX);
        CHECK(memcmp(first->policies[0]->settings->options, large, POLICY_OPTIONS_MAX) == 0);

        assert(unlink(file) == 0);
        s = load_kept(NULL);
        CHECK(s->n_policies == 2 && s->n_errors == 2 && s->errors[0].kept_last);
        CHECK(policy_equal(s->policies[0], first->policies[0]) && policy_equal(s->policies[1], first->policies[1]));
        CHECK(count_kept() == 3);
        policy_set_free(s);
        policy_set_free(first);

        /* two options of one length */
        large[0] = 8;
        write_bytes(root, "etc/other", large, POLICY_OPTIONS_MAX);
        write_bytes(root, "etc/my options", large + 1, POLICY_OPTIONS_MAX);
        snprintf(text, sizeof(text), "[Match]\nPartLabel=b\n[Filter]\nName=x\nOptions=%s\n", in(root, "etc/other"));
        write_text(dir_a, "30.conf", text);
        first = load_kept(NULL);
        CHECK(first->n_policies == 2 && first->n_errors == 0 && count_kept() == 4);
        write_text(dir_a, "20.conf", WRONG);
        write_text(dir_a, "30.conf", WRONG);
        s = load_kept(NULL);
        CHECK(s->n_policies == 2 && s->n_errors == 2);
        CHECK(policy_equal(s->policies[0], first->policies[0]) && policy_equal(s->policies[1], first->policies[1]));
        policy_set_free(s);
        policy_set_free(first);
        snprintf(text, sizeof(text), "[Match]\nPartLabel=a\n[Filter]\nName=x\nOptions='%s'\n", file);
        write_text(dir_a, "20.conf", text);

        /* options that nobody has any more are not kept */
        assert(unlink(in(dir_a, "30.conf")) == 0);
        policy_set_free(load_kept(NULL));
        CHECK(count_kept() == 2);
        write_bytes(root, "etc/my options", large, POLICY_OPTIONS_MAX - 1);
        policy_set_free(load_kept(NULL));
        CHECK(count_kept() == 2);
        write_bytes(root, "etc/my options", large, 3);
        policy_set_free(load_kept(NULL));
        CHECK(count_kept() == 1);
        s = load_kept(NULL);
        CHECK(s->n_errors == 0 && s->policies[0]->settings->options_size == 3);
        policy_set_free(s);
}

static void check_compare(const char *earlier, const char *except, const char *want) {
        char *name;

        CHECK(policy_keep_compare(dir_keep, earlier, except, &name) == 0);
        CHECK(want ? name && strcmp(name, want) == 0 : !name);
        free(name);
}

/* What an initramfs had, against what is in force now. */
static void test_compare(void) {
        char command[256], earlier[64];

        current = "compare";
        clean();
        snprintf(earlier, sizeof(earlier), "%s/earlier", root);
        check_compare(earlier, "/run/", NULL);

        write_text(dir_a, "10.conf", GOOD);
        write_text(dir_b, "20.conf", GOOD);
        policy_set_free(load_kept(NULL));
        check_compare(earlier, "/run/", "10.conf");
        snprintf(command, sizeof(command), "cp -a '%s' '%s'", dir_keep, earlier);
        assert(system(command) == 0);
        check_compare(earlier, "/run/", NULL);

        /* a comment is no difference, a value is; nor is a file that does not count yet */
        write_text(dir_b, "20.conf", "# again\n" GOOD);
        write_text(dir_b, "30.conf", WRONG);
        policy_set_free(load_kept(NULL));
        check_compare(earlier, "/run/", NULL);
        write_text(dir_b, "20.conf", GOOD "[Attach]\nRetrySec=9\n");
        policy_set_free(load_kept(NULL));
        check_compare(earlier, "/run/", "20.conf");
        check_compare(earlier, dir_b, NULL);

        /* one more, one less */
        write_text(dir_b, "20.conf", GOOD);
        write_text(dir_b, "30.conf", GOOD);
        policy_set_free(load_kept(NULL));
        check_compare(earlier, "/run/", "30.conf");
        assert(unlink(in(dir_b, "30.conf")) == 0 && unlink(in(dir_a, "10.conf")) == 0);
        policy_set_free(load_kept(NULL));
        check_compare(earlier, "/run/", "10.conf");
}

int main(void) {
        folders_init();

        test_restart();
        test_kept_dropin();
        test_kept_or_not();
        test_bad_keep();
        test_options_file();
        test_compare();

        folders_deinit();
        return EXIT_SUCCESS;
}
