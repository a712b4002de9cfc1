/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Drop-ins: which count, in which order, what they change, and what stays in force when one is wrong. */

#undef NDEBUG

#include "tests/policy-folders.h"

#include "daemon/policy-text.h"

static void make_dropins(const char *folder, const char *name) {
        char path[PATH_MAX];

        snprintf(path, sizeof(path), "%s/%s.d", folder, name);
        assert(mkdir(path, 0755) == 0 || errno == EEXIST);
}

/* "folder/NAME.conf.d/dropin" */
static const char *dropin(const char *folder, const char *name, const char *file) {
        static char paths[4][PATH_MAX];
        static unsigned n;

        snprintf(paths[++n % 4], sizeof(paths[0]), "%s/%s.d/%s", folder, name, file);
        return paths[n % 4];
}

static void write_dropin(const char *folder, const char *name, const char *file, const char *text) {
        make_dropins(folder, name);
        write_text(root, dropin(folder, name, file) + strlen(root) + 1, text);
}

static const PolicyLine *line_of(const Policy *p, const char *key) {
        for (size_t i = 0; i < p->n_lines; i++)
                if (strcmp(p->lines[i].key, key) == 0)
                        return &p->lines[i];

        return NULL;
}

static void test_merge(void) {
        const Policy *p;
        const PolicyLine *l;
        PolicySet *s;

        current = "merge";
        clean();
        write_text(dir_c, "20.conf",
                   "[Match]\nPartLabel=\"the data\"\nFSType=ext4 xfs\n[Filter]\nName=bfcount\nModule=m\n"
                   "[Attach]\nRetrySec=5\nOn=boot\n");
        write_dropin(dir_c, "20.conf", "50-c.conf", "[Attach]\nRetrySec=2\nTimeoutSec=60\n");
        write_dropin(dir_a, "20.conf", "10-a.conf", "[attach]\nretrysec=1\n[Match]\nPartLabel=a* b\n");
        write_dropin(dir_b, "20.conf", "90-b.conf", "\n[Match]\nPartLabel=\n\n[Filter]\nName=bftrack\n");
        s = load(NULL);
        CHECK(s->n_policies == 1 && s->n_errors == 0);
        p = s->policies[0];

        /* by name over all folders: 10-a, 50-c, 90-b */
        CHECK(p->settings->retry_usec == 2000000 && p->settings->timeout_usec == 60000000);
        CHECK(p->settings->on == POLICY_ON_BOOT && strcmp(p->settings->module, "m") == 0);
        CHECK(strcmp(p->filter, "bftrack") == 0);
        CHECK(strcmp(label_of(s, "20.conf"), "the data") == 0);
        CHECK(p->match->n_terms == 3);
        CHECK(strcmp(p->path, in(dir_c, "20.conf")) == 0);

        /* what counts, in the order of sections and keys, each with its place */
        CHECK(p->n_lines == 7);
        CHECK(strcmp(p->lines[0].key, "PartLabel") == 0 && strcmp(p->lines[1].key, "FSType") == 0);
        CHECK(strcmp(p->lines[6].key, "TimeoutSec") == 0 && strcmp(p->lines[6].section, "Attach") == 0);
        l = line_of(p, "PartLabel");
        CHECK(l->line == 2 && strcmp(l->value, "\"the data\"") == 0 && strcmp(l->path, in(dir_c, "20.conf")) == 0);
        l = line_of(p, "Name");
        CHECK(l->line == 6 && strcmp(l->value, "bftrack") == 0);
        CHECK(strcmp(l->path, dropin(dir_b, "20.conf", "90-b.conf")) == 0);
        l = line_of(p, "RetrySec");
        CHECK(l->line == 2 && strcmp(l->value, "2") == 0);
        CHECK(strcmp(l->path, dropin(dir_c, "20.conf", "50-c.conf")) == 0);
        policy_set_free(s);
}

static void test_precedence(void) {
        PolicySet *s;

        current = "precedence of drop-ins";
        clean();
        write_text(dir_b, "20.conf", "[Match]\nPartLabel=base\n" FILTER);
        write_dropin(dir_a, "20.conf", "10.conf", "[Match]\nPartLabel=a\n");
        write_dropin(dir_c, "20.conf", "10.conf", "nonsense\n"); /* of that name, a's counts */
        write_dropin(dir_c, "20.conf", "05.conf", "[Match]\nPartLabel=c\n");
        write_dropin(dir_c, "20.conf", "80.conf", "[Match]\nPartLabel=masked\n");
        write_dropin(dir_c, "20.conf", "85.conf", "[Match]\nPartLabel=masked\n");
        assert(symlink("/dev/null", dropin(dir_a, "20.conf", "80.conf")) == 0);
        make_dropins(dir_b, "20.conf");
        assert(symlink("../../../../dev/null", dropin(dir_b, "20.conf", "85.conf")) == 0);

        /* none of these is a drop-in */
        write_dropin(dir_a, "20.conf", ".90.conf", "nonsense\n");
        write_dropin(dir_a, "20.conf", "90.conf~", "nonsense\n");
        assert(mkdir(dropin(dir_a, "20.conf", "90.conf.d"), 0755) == 0);
        s = load(NULL);
        CHECK(s->n_policies == 1 && s->n_errors == 0);
        CHECK(strcmp(label_of(s, "20.conf"), "a") == 0);
        policy_set_free(s);

        /* a policy of the same name in a folder before: the drop-ins are for it */
        write_text(dir_a, "20.conf", "[Match]\nPartLabel=other\nFSType=xfs\n" FILTER);
        s = load(NULL);
        CHECK(s->n_policies == 1 && s->n_errors == 0 && s->policies[0]->match->n_terms == 2);
        CHECK(strcmp(label_of(s, "20.conf"), "a") == 0);
        policy_set_free(s);

        /* a masked policy stays masked, and says nothing */
        assert(unlink(in(dir_a, "20.conf")) == 0 && symlink("/dev/null", in(dir_a, "20.conf")) == 0);
        s = load(NULL);
        CHECK(s->n_policies == 0 && s->n_errors == 0);
        policy_set_free(s);
}

/* A drop-in makes a policy whole, or breaks it; the error names the file that has the line. */
static void test_complete(void) {
        const PolicyError *e;
        PolicySet *s;

        current = "complete";
        clean();
        write_text(dir_a, "20.conf", "[Match]\nFSType=!swap\n[Filter]\nModule=x\n");
        write_dropin(dir_a, "20.conf", "10.conf", FILTER MATCH);
        s = load(NULL);
        CHECK(s->n_policies == 1 && s->n_errors == 0);
        policy_set_free(s);

        write_dropin(dir_a, "20.conf", "20.conf", "# no longer\n[Match]\n\nPartLabel=!x\n");
        s = load(NULL);
        CHECK(s->n_policies == 0 && s->n_errors == 1);
        e = error_of(s, dropin(dir_a, "20.conf", "20.conf"));
        CHECK(e && e->line == 4 && strstr(e->message, "says only what the device has not"));
        CHECK(strcmp(e->name, "20.conf") == 0 && !e->kept_last && !e->is_warning);
        policy_set_free(s);

        /* what is missing in the whole is the policy's own fault */
        write_dropin(dir_a, "20.conf", "10.conf", MATCH);
        write_dropin(dir_a, "20.conf", "20.conf", "# nothing\n");
        s = load(NULL);
        e = error_of(s, in(dir_a, "20.conf"));
        CHECK(s->n_errors == 1 && e && e->line == 3 && strstr(e->message, "Name= is missing"));
        policy_set_free(s);
}

/* Each file is right, but not both together: the line that is one too many is blamed, where it is. */
static void test_together(void) {
        char text[1024] = "[Match]\nPartNumber=";
        const PolicyError *e;
        PolicySet *s;

        current = "together";
        clean();
        for (unsigned i = 1; i <= 64; i++)
                sprintf(text + strlen(text), "%u ", i);
        strcat(text, "\n" FILTER);
        write_text(dir_a, "20.conf", text);
        write_dropin(dir_b, "20.conf", "10.conf", "# one more\n[Match]\nKernelName=sda\n");
        s = load(NULL);
        e = error_of(s, dropin(dir_b, "20.conf", "10.conf"));
        CHECK(s->n_policies == 0 && s->n_errors == 1 && e && e->line == 3 && strstr(e->message, "more than 64 values"));
        policy_set_free(s);
}

static void wrong_one(const PolicySet *first, const char *text, unsigned line, const char *message) {
        const PolicyError *e;
        PolicySet *s;

        current = text;
        write_dropin(dir_b, "20.conf", "50.conf", text);
        s = load(first);
        e = error_of(s, dropin(dir_b, "20.conf", "50.conf"));
        CHECK(s->n_errors == 1 && e);
        if (e->line != line || !strstr(e->message, message))
                fprintf(stderr, "line %u: %s\n", e->line, e->message);
        CHECK(e->line == line && strstr(e->message, message) && e->kept_last);
        CHECK(strcmp(e->name, "20.conf") == 0);
        CHECK(s->n_policies == 2);
        CHECK(policy_equal(policy_set_get(s, "20.conf"), policy_set_get(first, "20.conf")));
        CHECK(policy_set_get(s, "20.conf")->n_lines == 4);
        CHECK(strcmp(label_of(s, "30.conf"), "thirty") == 0);
        policy_set_free(s);

        /* and nothing of it is in force without a last version */
        s = load(NULL);
        CHECK(s->n_policies == 1 && s->n_errors == 1 && !s->errors[0].kept_last);
        policy_set_free(s);
}

static void test_wrong(void) {
        PolicySet *first, *s;

        current = "wrong";
        clean();
        write_text(dir_a, "20.conf", "[Match]\nPartLabel=twenty\n" FILTER);
        write_text(dir_a, "30.conf", "[Match]\nPartLabel=thirty\n" FILTER);
        write_dropin(dir_b, "20.conf", "40.conf", "[Match]\nFSType=ext4\n[Attach]\nRetrySec=3\n");
        first = load(NULL);
        CHECK(first->n_policies == 2 && first->n_errors == 0);

        wrong_one(first, "", 0, "is empty");
        wrong_one(first, "[Match]\nPartUID=x\n", 2, "did you mean PartUUID=?");
        wrong_one(first, "[Macth]\n", 1, "did you mean [Match]?");
        wrong_one(first, "[Attach]\nOn=hotplgu\n", 2, "did you mean hotplug?");
        wrong_one(first, "[Match]\nPartLabel=a\nPartlabel=\n", 3, "is set twice");
        wrong_one(first, "[Match]\nColour=\n", 2, "is not a key of [Match]");
        wrong_one(first, "[Filter]\nName=x", 2, "cut in half");
        wrong_one(first, "[Filter]\nOptions=/nonexistent/x\n", 2, "cannot be used");

        /* its folder: nobody else may write to it, and it is no link */
        assert(unlink(dropin(dir_b, "20.conf", "50.conf")) == 0);
        assert(chmod(in(dir_b, "20.conf.d"), 0775) == 0);
        s = load(first);
        CHECK(s->n_policies == 2 && s->n_errors == 1 && s->errors[0].kept_last);
        CHECK(strcmp(s->errors[0].path, in(dir_b, "20.conf.d")) == 0 && strstr(s->errors[0].message, "chmod go-w"));
        policy_set_free(s);
        assert(chmod(in(dir_b, "20.conf.d"), 0755) == 0);
        assert(rename(in(dir_b, "20.conf.d"), in(root, "away")) == 0);
        assert(symlink("../away", in(dir_b, "20.conf.d")) == 0);
        s = load(first);
        CHECK(s->n_errors == 1 && strstr(s->errors[0].message, "symbolic link") && s->errors[0].kept_last);
        policy_set_free(s);
        assert(unlink(in(dir_b, "20.conf.d")) == 0);
        write_text(dir_b, "20.conf.d", "a file\n");
        s = load(first);
        CHECK(s->n_errors == 1 && strstr(s->errors[0].message, "Not a directory") && s->errors[0].kept_last);
        policy_set_free(s);
        assert(unlink(in(dir_b, "20.conf.d")) == 0);

        /* removed it is gone, as it should */
        s = load(first);
        CHECK(s->n_policies == 2 && s->n_errors == 0 && policy_set_get(s, "20.conf")->match->n_terms == 1);
        policy_set_free(s);

        /* the folder that it was in cannot be read: it is not gone */
        assert(rename(in(root, "away"), in(dir_b, "20.conf.d")) == 0);
        assert(chmod(dir_b, 0777) == 0);
        write_text(dir_a, "30.conf", "[Match]\nPartLabel=new\n" FILTER);
        s = load(first);
        CHECK(s->n_policies == 2 && s->n_errors == 1 && s->errors[0].kept_last);
        CHECK(strcmp(s->errors[0].path, dir_b) == 0 && !s->errors[0].name);
        CHECK(policy_set_get(s, "20.conf")->match->n_terms == 2);
        CHECK(strcmp(label_of(s, "30.conf"), "new") == 0);
        policy_set_free(s);
        policy_set_free(first);
}

static void test_lonely(void) {
        PolicySet *s;

        current = "lonely";
        clean();
        write_text(dir_a, "20.conf", GOOD);
        write_dropin(dir_b, "20.confg.conf", "x.conf", "[Match]\n");
        make_dropins(dir_c, "30.conf"); /* empty: nothing to wonder about */
        s = load(NULL);
        CHECK(s->n_policies == 1 && s->n_errors == 1);
        CHECK(strcmp(s->errors[0].path, in(dir_b, "20.confg.conf.d")) == 0 && s->errors[0].is_warning);
        CHECK(strstr(s->errors[0].message, "no policy 20.confg.conf in any") && !s->errors[0].kept_last);
        policy_set_free(s);
}

static void test_many(void) {
        char name[32];
        PolicySet *s;

        current = "many drop-ins";
        clean();
        write_text(dir_a, "20.conf", GOOD);

        for (unsigned i = 1; i <= 64; i++) {
                snprintf(name, sizeof(name), "%02u.conf", i);
                write_dropin(i % 2 ? dir_a : dir_b, "20.conf", name, i == 64 ? "[Filter]\nName=last\n" :
                             "[Filter]\nName=x\n");
        }

        s = load(NULL);
        CHECK(s->n_policies == 1 && s->n_errors == 0 && strcmp(s->policies[0]->filter, "last") == 0);
        policy_set_free(s);

        write_dropin(dir_c, "20.conf", "00.conf", "[Filter]\nName=x\n");
        s = load(NULL);
        CHECK(s->n_policies == 0 && s->n_errors == 1 && strstr(s->errors[0].message, "more than 64 drop-ins"));
        policy_set_free(s);

        /* many reloads leave no file open: there are not as many descriptors */
        assert(unlink(dropin(dir_c, "20.conf", "00.conf")) == 0);
        for (unsigned i = 0; i < 500; i++)
                policy_set_free(load(NULL));
        assert(open(root, O_RDONLY | O_CLOEXEC) < 16);

        assert(unlink(dropin(dir_a, "20.conf", "01.conf")) == 0);
        write_dropin(dir_a, "20.conf", "bad\x01.conf", "[Filter]\nName=x\n");
        s = load(NULL);
        CHECK(s->n_errors == 1 && strstr(s->errors[0].path, "bad\\x01.conf"));
        policy_set_free(s);
}

/* A drop-in can be checked alone: it need not be complete. */
static void test_alone(void) {
        Policy *p = (Policy *) 1;
        unsigned line;
        char *message;

        current = "alone";
        clean();
        write_dropin(dir_a, "20.conf", "x.conf", "[Attach]\nOn=boot\n");
        CHECK(policy_load_file(dropin(dir_a, "20.conf", "x.conf"), &p, &line, &message) == 0 && !p);
        write_dropin(dir_a, "20.conf", "x.conf", "[Attach]\nOn=boto\n");
        CHECK(policy_load_file(dropin(dir_a, "20.conf", "x.conf"), &p, &line, &message) == -EINVAL);
        CHECK(line == 2 && strstr(message, "did you mean boot?"));
        free(message);
}

int main(void) {
        folders_init();

        test_merge();
        test_precedence();
        test_complete();
        test_together();
        test_wrong();
        test_lonely();
        test_many();
        test_alone();

        folders_deinit();
        return EXIT_SUCCESS;
}
