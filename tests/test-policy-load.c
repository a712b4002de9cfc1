/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Policy files and folders: which are read, which are refused and how it is said, what stays in
 * force. Runs in a temporary folder, as any user. What the files say is test-policy-scan's.
 */

#undef NDEBUG

#include <sys/resource.h>

#include "tests/policy-folders.h"

static void test_large(void) {
        char *text = malloc(POLICY_FILE_SIZE_MAX + 1);
        PolicySet *s;

        assert(text);
        memset(text, '\n', POLICY_FILE_SIZE_MAX + 1);
        memcpy(text, GOOD, strlen(GOOD));

        clean();
        write_bytes(dir_a, "big.conf", text, POLICY_FILE_SIZE_MAX + 1);
        write_bytes(dir_a, "most.conf", text, POLICY_FILE_SIZE_MAX);
        free(text);

        s = load(NULL);
        current = "large";
        CHECK(s->n_policies == 1 && strcmp(s->policies[0]->name, "most.conf") == 0);
        CHECK(s->n_errors == 1 && strstr(s->errors[0].message, "at most 65536 bytes"));
        policy_set_free(s);
}

/* No file is left open, whatever was wrong: with few descriptors the same is read many times. */
static void test_kinds(void) {
        static const struct {
                const char *name, *message;
        } cases[] = {
                { "dir.conf", "It is a directory, not a regular file" },
                { "fifo.conf", "It is a FIFO, not a regular file" },
                { "group.conf", "Its group can write to it (mode 0664)" },
                { "socket.conf", "It is a socket, not a regular file" },
                { "link.conf", "It is a symbolic link" },
                { "dangling.conf", "It is a symbolic link" },
                { "world.conf", "Everybody can write to it (mode 0646)" },
        };
        PolicySet *s = NULL;
        Policy *p = NULL;
        struct rlimit limit;
        char *message = NULL;
        unsigned line = 77;

        clean();
        write_text(dir_a, "10-good.conf", GOOD);
        write_text(dir_a, "10-good.conf.bak", "nonsense\n");
        write_text(dir_a, ".hidden.conf", "nonsense\n");
        write_text(dir_a, ".conf", "nonsense\n");
        write_text(dir_a, "README", "nonsense\n");
        assert(mkdir(in(dir_a, "dir.conf"), 0755) == 0);
        assert(mkfifo(in(dir_a, "fifo.conf"), 0644) == 0);
        assert(mknod(in(dir_a, "socket.conf"), S_IFSOCK | 0644, 0) == 0);
        assert(symlink("10-good.conf", in(dir_a, "link.conf")) == 0);
        assert(symlink("nowhere", in(dir_a, "dangling.conf")) == 0);
        write_text(dir_a, "group.conf", GOOD);
        assert(chmod(in(dir_a, "group.conf"), 0664) == 0);
        write_text(dir_a, "world.conf", GOOD);
        assert(chmod(in(dir_a, "world.conf"), 0646) == 0);

        assert(getrlimit(RLIMIT_NOFILE, &limit) == 0);
        limit.rlim_cur = 32;
        assert(setrlimit(RLIMIT_NOFILE, &limit) == 0);

        for (unsigned i = 0; i < 50; i++) {
                policy_set_free(s);
                s = load(NULL);
        }

        CHECK(s->n_policies == 1 && s->n_errors == sizeof(cases) / sizeof(cases[0]));
        CHECK(strcmp(s->policies[0]->path, in(dir_a, "10-good.conf")) == 0);

        for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
                const PolicyError *e = error_of(s, in(dir_a, cases[i].name));

                current = cases[i].name;
                CHECK(e && e->line == 0 && !e->kept_last && strstr(e->message, cases[i].message));
                CHECK(policy_load_file(in(dir_a, cases[i].name), &p, &line, &message) == -EINVAL);
                CHECK(line == 0 && strstr(message, cases[i].message));
                free(message);
        }

        policy_set_free(s);

        current = "policy_load_file";
        CHECK(policy_load_file(in(dir_a, "none.conf"), &p, &line, &message) == -ENOENT);
        CHECK(strstr(message, "No such file"));
        free(message);

        write_text(dir_a, "wrong.conf", MATCH "x\n");
        CHECK(policy_load_file(in(dir_a, "wrong.conf"), &p, &line, &message) == -EINVAL);
        CHECK(line == 3 && strstr(message, "Expected"));
        free(message);

        CHECK(policy_load_file(in(dir_a, "10-good.conf"), &p, &line, &message) == 0);
        CHECK(strcmp(p->name, "10-good.conf") == 0);
        policy_free(p);

        if (geteuid() == 0) {
                assert(chown(in(dir_a, "10-good.conf"), 12345, 12345) == 0);
                CHECK(policy_load_file(in(dir_a, "10-good.conf"), &p, &line, &message) == -EINVAL);
                CHECK(strstr(message, "belongs to user 12345"));
                free(message);
        }
}

static void test_precedence(void) {
        PolicySet *s;

        clean();
        write_text(dir_a, "50-both.conf", "[Match]\nPartLabel=a\n" FILTER);
        write_text(dir_b, "50-both.conf", "[Match]\nPartLabel=b\n" FILTER);
        write_text(dir_c, "50-both.conf", "nonsense\n");
        write_text(dir_c, "90-c.conf", "[Match]\nPartLabel=c\n" FILTER);
        write_text(dir_b, "10-b.conf", "[Match]\nPartLabel=b\n" FILTER);
        write_text(dir_c, "60-masked.conf", GOOD);
        write_text(dir_c, "61-masked.conf", GOOD);
        write_text(dir_a, "62-unmasked.conf", GOOD);
        write_text(dir_a, "63-wrong.conf", "");
        write_text(dir_c, "63-wrong.conf", GOOD);
        assert(symlink("/dev/null", in(dir_a, "60-masked.conf")) == 0);
        assert(symlink("../../../dev/null", in(dir_b, "61-masked.conf")) == 0);
        assert(symlink("/dev/null", in(dir_c, "62-unmasked.conf")) == 0);

        s = load(NULL);
        current = "precedence";
        CHECK(s->n_policies == 4);
        CHECK(strcmp(s->policies[0]->name, "10-b.conf") == 0);
        CHECK(strcmp(s->policies[1]->name, "50-both.conf") == 0);
        CHECK(strcmp(match_get_value(s->policies[1]->match, MATCH_PART_LABEL), "a") == 0);
        CHECK(strcmp(s->policies[2]->name, "62-unmasked.conf") == 0);
        CHECK(strcmp(s->policies[3]->name, "90-c.conf") == 0);

        /* a wrong file does not uncover the one that it replaces */
        CHECK(s->n_errors == 1 && strcmp(s->errors[0].path, in(dir_a, "63-wrong.conf")) == 0);
        CHECK(strstr(s->errors[0].message, "is empty") && s->errors[0].line == 0);
        policy_set_free(s);
}

static void test_no_folder(void) {
        PolicySet *s;

        clean();
        assert(rmdir(dir_a) == 0 && rmdir(dir_b) == 0 && rmdir(dir_c) == 0);
        s = load(NULL);
        current = "no folder";
        CHECK(s->n_policies == 0 && s->n_errors == 0);
        policy_set_free(s);
}

static void test_kept_last(void) {
        PolicySet *first, *second, *third;

        clean();
        write_text(dir_a, "10.conf", "[Match]\nPartLabel=ten\n" FILTER);
        write_text(dir_a, "20.conf", GOOD);
        write_text(dir_a, "30.conf", GOOD);
        write_text(dir_a, "40.conf", GOOD);
        write_text(dir_b, "50.conf", GOOD);
        first = load(NULL);
        current = "kept last";
        CHECK(first->n_policies == 5 && first->n_errors == 0);

        write_text(dir_a, "10.conf", "[Match]\nPartLabel=eleven\n[Filter]\nNaem=x\n"); /* wrong: stays */
        write_text(dir_a, "15.conf", "[Match]\n");                                      /* wrong and new */
        write_text(dir_a, "20.conf", "");                                               /* empty: stays */
        assert(unlink(in(dir_a, "30.conf")) == 0);                                      /* removed: goes */
        assert(unlink(in(dir_a, "40.conf")) == 0);
        assert(symlink("/dev/null", in(dir_a, "40.conf")) == 0);                        /* masked: goes */
        assert(mkdir(in(dir_a, "50.conf"), 0755) == 0);                                 /* another folder's: stays */
        second = load(first);
        CHECK(second->n_policies == 3 && second->n_errors == 4);
        CHECK(strcmp(label_of(second, "10.conf"), "ten") == 0);
        CHECK(policy_set_get(second, "20.conf") && policy_set_get(second, "50.conf"));
        CHECK(policy_set_get(second, "10.conf") != policy_set_get(first, "10.conf"));
        CHECK(strcmp(second->errors[0].path, in(dir_a, "10.conf")) == 0);
        CHECK(second->errors[0].line == 4 && second->errors[0].kept_last);
        CHECK(strstr(second->errors[0].message, "did you mean Name=?"));
        CHECK(!error_of(second, in(dir_a, "15.conf"))->kept_last);
        CHECK(error_of(second, in(dir_a, "20.conf"))->kept_last);
        CHECK(error_of(second, in(dir_a, "50.conf"))->kept_last);
        policy_set_free(first);

        /* and it stays over any number of reloads, until the file is right again */
        third = load(second);
        policy_set_free(second);
        CHECK(strcmp(label_of(third, "10.conf"), "ten") == 0);
        write_text(dir_a, "10.conf", "[Match]\nPartLabel=eleven\n" FILTER);
        second = load(third);
        policy_set_free(third);
        CHECK(strcmp(label_of(second, "10.conf"), "eleven") == 0);
        CHECK(!error_of(second, in(dir_a, "10.conf")));
        policy_set_free(second);
}

/* A folder that cannot be read keeps what came from it, and hides what it may have masked. */
static void test_bad_folder(void) {
        PolicySet *first, *second;

        clean();
        write_text(dir_a, "10.conf", "[Match]\nPartLabel=a\n" FILTER);
        write_text(dir_b, "10.conf", "[Match]\nPartLabel=b\n" FILTER);
        write_text(dir_b, "20.conf", "[Match]\nPartLabel=b\n" FILTER);
        write_text(dir_b, "30.conf", GOOD);
        assert(symlink("/dev/null", in(dir_a, "30.conf")) == 0);
        first = load(NULL);
        current = "bad folder";
        CHECK(first->n_policies == 2);

        assert(rename(dir_a, in(root, "away")) == 0);
        write_text(root, "a", "not a folder\n");
        write_text(dir_b, "20.conf", "[Match]\nPartLabel=new\n" FILTER);
        second = load(first);
        CHECK(second->n_policies == 2 && second->n_errors == 2);
        CHECK(strcmp(match_get_value(second->policies[0]->match, MATCH_PART_LABEL), "a") == 0);
        CHECK(strcmp(match_get_value(second->policies[1]->match, MATCH_PART_LABEL), "new") == 0);
        CHECK(strcmp(second->errors[0].path, dir_a) == 0 && second->errors[0].kept_last);
        CHECK(strstr(second->errors[0].message, "Not a directory"));
        CHECK(strcmp(second->errors[1].path, in(dir_b, "30.conf")) == 0 && !second->errors[1].kept_last);
        CHECK(strstr(second->errors[1].message, "may mask"));
        policy_set_free(second);

        /* the same for a folder that anybody can write to */
        assert(unlink(dir_a) == 0 && rename(in(root, "away"), dir_a) == 0);
        assert(chmod(dir_a, 0777) == 0);
        assert(unlink(in(dir_a, "10.conf")) == 0);
        second = load(first);
        CHECK(second->n_policies == 2 && second->n_errors == 2);
        CHECK(strcmp(label_of(second, "10.conf"), "a") == 0);
        CHECK(strstr(second->errors[0].message, "chmod go-w"));
        policy_set_free(second);
        policy_set_free(first);
}

static void test_many(void) {
        PolicySet *first, *second;
        char name[32];

        clean();
        write_text(dir_a, "z.conf", GOOD);
        first = load(NULL);

        for (unsigned i = 0; i < 300; i++) {
                snprintf(name, sizeof(name), "%04u.conf", i);
                write_text(dir_a, name, GOOD);
        }

        second = load(first);
        current = "many";
        CHECK(second->n_policies == 257 && second->n_errors == 45);
        CHECK(strcmp(second->errors[0].path, in(dir_a, "0256.conf")) == 0 && !second->errors[0].kept_last);
        CHECK(strstr(second->errors[0].message, "first 256 files"));
        CHECK(error_of(second, in(dir_a, "z.conf"))->kept_last);
        policy_set_free(second);

        for (unsigned i = 300; i < 1024; i++) {
                snprintf(name, sizeof(name), "%04u.conf", i);
                write_text(dir_a, name, GOOD);
        }

        second = load(first);
        current = "too many to list";
        CHECK(second->n_policies == 1 && second->n_errors == 1);
        CHECK(strcmp(second->errors[0].path, dir_a) == 0 && second->errors[0].kept_last);
        policy_set_free(second);
        policy_set_free(first);
}

static void test_names(void) {
        PolicySet *s;

        clean();
        write_text(dir_a, "my policy.conf", GOOD);
        write_text(dir_a, "bad\xff\n.conf", GOOD);
        s = load(NULL);
        current = "names";
        CHECK(s->n_policies == 1 && strcmp(s->policies[0]->name, "my policy.conf") == 0);
        CHECK(s->n_errors == 1 && strcmp(s->errors[0].path, in(dir_a, "bad\\xff\\x0a.conf")) == 0);
        CHECK(strstr(s->errors[0].message, "rename it"));
        policy_set_free(s);
}

int main(void) {
        folders_init();

        test_large();
        test_precedence();
        test_no_folder();
        test_kept_last();
        test_bad_folder();
        test_many();
        test_names();
        test_kinds(); /* lowers the limit of open files */

        folders_deinit();
        return 0;
}
