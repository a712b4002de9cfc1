/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* What is said of a device: what each policy makes of it, where that is written, and what comes of it. */

#undef NDEBUG

#include "daemon/explain.h"
#include "daemon/policy-draft.h"
#include "tests/script-run.h"

/* sda1 is "data" with UUID_X, sda2 is "other" with UUID_Y; sda has a WWN. */
static void begin(Script *s) {
        Entry entries[] = { entry_of(1, UUID_X, "data"), entry_of(2, UUID_Y, "other") };

        script_init(s);
        script_table(s, "sda", entries, 2);
        script_had(s, "sda");
        script_device(s, "sda")->values[MATCH_DISK_WWN] = "0x5000c500a1b2c3d4";
        script_device(s, "sda1")->values[MATCH_FS_TYPE] = "ext4";
        script_look(s);
}

static void explain(Script *s, const char *device, Explanation *ret) {
        Device d = device_set_get(&s->world.devices, device);

        CHECK(d.disk && world_explain(&s->world, s->policies, d, ret) == 0);
        CHECK(ret->n_policies == s->policies->n_policies && device_uid(ret->device) == device_uid(d));
        for (size_t i = 0; i < ret->n_policies; i++) {
                bool all = true;

                CHECK(ret->policies[i].policy == s->policies->policies[i] && ret->policies[i].n_keys > 0);
                for (size_t k = 0; k < ret->policies[i].n_keys; k++)
                        all &= ret->policies[i].keys[k].matches;

                /* no verdict that its keys do not give */
                CHECK(all == (ret->policies[i].verdict != EXPLAIN_NO_MATCH));
        }
}

static void expect_summary(Script *s, const char *device, const char *part) {
        Explanation e;

        explain(s, device, &e);
        CHECK_HAS(e.summary, part);
        explanation_deinit(&e);
}

/* The first that fits decides; what comes after it is told by what it wants. */
static void test_precedence(void) {
        static const char *const verdicts[] = { "no-match", "match", "shadowed", "later", "no-match" };
        Attachment *a;
        Explanation e;
        Script s;

        begin(&s);
        script_policy(&s, "10.conf", "bfcount", "", "other");
        a = script_policy(&s, "20.conf", "bftrack", UUID_X, "");
        script_policy(&s, "30.conf", "bftrack", "", "data");
        script_policy(&s, "40.conf", "bfcount", UUID_X, "data");
        script_policy(&s, "50.conf", "bftrack", UUID_Y, "data");
        script_settle(&s);

        explain(&s, "sda1", &e);
        for (size_t i = 0; i < 5; i++)
                CHECK_STR(explain_verdict_to_string(e.policies[i].verdict), verdicts[i]);
        CHECK(e.attachment == a);
        CHECK_STR(e.summary, "it has the filter bftrack, by the policy /etc/blkfilter.d/20.conf");
        CHECK_STR(e.facts.values[MATCH_PART_UUID], UUID_X);
        CHECK_STR(e.facts.values[MATCH_PART_NUMBER], "1");
        CHECK_STR(e.facts.values[MATCH_DISK_WWN], "0x5000c500a1b2c3d4");
        CHECK_STR(e.facts.values[MATCH_FS_TYPE], "ext4");
        CHECK_STR(e.facts.values[MATCH_KERNEL_NAME], "sda1");
        explanation_deinit(&e);

        explain(&s, "sda2", &e);
        CHECK(e.policies[0].verdict == EXPLAIN_MATCH && e.policies[1].verdict == EXPLAIN_NO_MATCH);
        explanation_deinit(&e);
        script_deinit(&s);
}

/* What one key of a policy makes of sda1, in words. */
static void expect_key(const char *match, bool matches, const char *wanted, const char *found, const char *verdict) {
        const ExplainedKey *k;
        Explanation e;
        Script s;

        begin(&s);
        script_policy_of(&s, "10.conf", "bftrack", match_parse(match), NULL);
        explain(&s, "sda1", &e);
        CHECK(e.policies[0].n_keys == 1);
        k = &e.policies[0].keys[0];
        CHECK(k->matches == matches && k->line == 0 && strncmp(match, k->key, strlen(k->key)) == 0);
        CHECK_STR(k->path, "/etc/blkfilter.d/10.conf");
        CHECK_STR(k->wanted, wanted);
        CHECK_STR(k->found, found);
        CHECK_STR(k->verdict, verdict);
        explanation_deinit(&e);
        script_deinit(&s);
}

static void test_words(void) {
        expect_key("PartLabel=data", true, "data", "data", "it is this one");
        expect_key("PartLabel=log", false, "log", "data", "it is another one");
        expect_key("PartLabel=data|PartLabel=log", true, "data log", "data", "it is one of these");
        expect_key("PartLabel=a b|PartLabel=log", false, "a\\x20b log", "data", "it is none of these");
        expect_key("PartLabel=d?t*", true, "d?t*", "data", "it fits the pattern");
        expect_key("PartLabel=e*", false, "e*", "data", "it does not fit the pattern");
        expect_key("PartLabel=!data", false, "!data", "data", "this must not be");
        expect_key("PartLabel=d*|PartLabel=!data", false, "d* !data", "data", "this must not be");
        expect_key("PartLabel=!log", true, "!log", "data", "it is not what must not be");
        expect_key("FSLabel=root", false, "root", "", "the device has none, or it is not known yet");
        expect_key("FSLabel=!root", true, "!root", "", "the device has none, and so not what must not be");
}

/* A policy as files say it: the policy's own, and a drop-in. */
static Policy *read_policy(const char *text, const char *dropin) {
        PolicyFault f = POLICY_FAULT_INIT;
        PolicyScan *scan;
        PolicyDraft *d;
        Policy *p;

        CHECK(policy_draft_new("10.conf", "/etc/blkfilter.d/10.conf", &d) == 0);
        CHECK(policy_scan(text, strlen(text), &scan, &f) == 0 && policy_draft_add(d, scan, NULL, &f) == 0);
        policy_scan_free(scan);
        CHECK(policy_scan(dropin, strlen(dropin), &scan, &f) == 0);
        CHECK(policy_draft_add(d, scan, "/run/blkfilter.d/10.conf.d/x.conf", &f) == 0);
        policy_scan_free(scan);
        CHECK(policy_draft_finish(d, NULL, &p, &f) == 0);
        policy_draft_free(d);
        return p;
}

/* Where each key stands is said, also of what a drop-in says. */
static void test_lines(void) {
        static const struct {
                const char *key, *path;
                unsigned line;
                const char *wanted, *found;
        } wanted[] = {
                { "PartUUID", "/etc/blkfilter.d/10.conf", 3, "0FC63DAF-8483-4772-8E79-3D69D8477DE4", UUID_X },
                { "PartLabel", "/run/blkfilter.d/10.conf.d/x.conf", 2, "log data", "data" },
                { "FSType", "/etc/blkfilter.d/10.conf", 5, "\"xfs\"", "ext4" },
        };
        Explanation e;
        Script s;

        begin(&s);
        CHECK(policy_set_add(s.policies, read_policy("# a comment\n[Match]\n"
                                                 "PartUUID=0FC63DAF-8483-4772-8E79-3D69D8477DE4\n"
                                                     "PartLabel=old\nFSType=\"xfs\"\n[Filter]\nName=bftrack\n",
                                                     "[Match]\nPartLabel=log data\n")) == 0);
        explain(&s, "sda1", &e);
        CHECK(e.policies[0].verdict == EXPLAIN_NO_MATCH && e.policies[0].n_keys == 3);
        for (size_t i = 0; i < 3; i++) {
                const ExplainedKey *k = &e.policies[0].keys[i];

                CHECK_STR(k->key, wanted[i].key);
                CHECK_STR(k->path, wanted[i].path);
                CHECK(k->line == wanted[i].line && k->matches == (i < 2));
                CHECK_STR(k->wanted, wanted[i].wanted);
                CHECK_STR(k->found, wanted[i].found);
        }
        CHECK_STR(e.summary, "no policy fits it, so it gets no filter");
        CHECK(!e.attachment);
        explanation_deinit(&e);
        script_deinit(&s);
}

/* Each key holds, and it is another kind of device that is meant. */
static void test_kind(void) {
        Explanation e;
        Script s;

        begin(&s);
        script_policy_of(&s, "10.conf", "bftrack", match_parse("DiskWWN=0x5000c500a1b2c3d4"), NULL);
        explain(&s, "sda1", &e);
        CHECK(e.policies[0].verdict == EXPLAIN_NO_MATCH && e.policies[0].n_keys == 2);
        CHECK_STR(e.policies[0].keys[0].key, "[Match]");
        CHECK_STR(e.policies[0].keys[0].wanted, "a whole device");
        CHECK_STR(e.policies[0].keys[0].found, "a partition");
        CHECK(!e.policies[0].keys[0].matches && e.policies[0].keys[1].matches);
        explanation_deinit(&e);

        explain(&s, "sda", &e);
        CHECK(e.policies[0].verdict == EXPLAIN_MATCH && e.policies[0].n_keys == 1);
        explanation_deinit(&e);
        script_deinit(&s);

        begin(&s);
        script_policy_of(&s, "10.conf", "bftrack", match_parse("PartNumber=!1|DiskWWN=0x5000c500a1b2c3d4"), NULL);
        explain(&s, "sda", &e);
        CHECK(e.policies[0].n_keys == 3 && !e.policies[0].keys[0].matches);
        CHECK(e.policies[0].keys[1].matches && e.policies[0].keys[2].matches);
        CHECK_STR(e.policies[0].keys[0].wanted, "a partition");
        CHECK_STR(e.policies[0].keys[0].found, "a whole device");
        explanation_deinit(&e);
        script_deinit(&s);
}

static void test_summary_of_attachments(void) {
        Attachment *a;
        Script s;

        /* not attached yet, held, gone with its policy; by hand */
        begin(&s);
        a = script_policy(&s, "20.conf", "bftrack", UUID_X, "");
        (void) script_run(&s);
        expect_summary(&s, "sda1", "it is meant to get the filter bftrack, by the policy"
                       " /etc/blkfilter.d/20.conf; attaching: ");
        script_settle(&s);
        policy_set_free(s.policies);
        s.policies = policy_set_new();
        CHECK(world_set_policies(&s.world, s.policies) == 0);
        script_settle(&s);
        expect_summary(&s, "sda1", "it has the filter bftrack, by the policy /etc/blkfilter.d/20.conf, which is gone");
        a->held = true;
        a->on_device = false;
        world_touch_all(&s.world);
        (void) script_run(&s);
        expect_summary(&s, "sda1", "it gets no filter: it had bftrack, by the policy"
                       " /etc/blkfilter.d/20.conf; detached: ");
        script_wish(&s, "bfcount", UUID_Y);
        script_settle(&s);
        expect_summary(&s, "sda2", "it has the filter bfcount, as was asked for by hand");
        script_deinit(&s);

        /* a clone of what has the filter */
        begin(&s);
        script_policy(&s, "20.conf", "bftrack", UUID_X, "");
        script_settle(&s);
        script_table_1(&s, "sdb", 1, UUID_X, "data");
        script_plug(&s, "sdb");
        script_udev(&s);
        script_settle(&s);
        expect_summary(&s, "sdb1", "it gets no filter: /dev/sda1 has the same identity, and the filter bftrack");
        expect_summary(&s, "sda1", "it has the filter bftrack");
        script_deinit(&s);
}

static void test_summary_of_none(void) {
        DeviceEvent e;
        Script s;

        begin(&s);
        expect_summary(&s, "sda1", "there is no policy, so it gets no filter");
        script_policy(&s, "10.conf", "bftrack", "", "log");
        expect_summary(&s, "sda1", "no policy fits it, so it gets no filter");

        /* a pattern fits: what has no UUID, what udev has not told of, what is too much */
        script_table_1(&s, "sdb", 1, "", "data");
        script_plug(&s, "sdb");
        script_policy_of(&s, "20.conf", "bftrack", match_parse("PartNumber=?"), NULL);
        script_settle(&s);
        expect_summary(&s, "sdb1", "no policy fits it, so it gets no filter; udev has not told all of it yet");
        script_udev(&s);
        script_settle(&s);
        expect_summary(&s, "sdb1", "20.conf fits it, but it has nothing to be recognised by");

        script_table_1(&s, "sdc", 1, UUID_Z, "data");
        s.world.patterns[0].n_instances = PATTERN_INSTANCES_MAX;
        script_plug(&s, "sdc");
        script_udev(&s);
        script_settle(&s);
        expect_summary(&s, "sdc1", "20.conf fits it, but its pattern fits more devices than are taken in");

        script_kernel(&s, EVENT_CHANGE, "sdc1");
        expect_summary(&s, "sdc1", "20.conf fits it, but udev has not told all of it yet");

        /* whatever fits, this is not touched */
        e = script_event(&s, EVENT_ENUMERATION, EVENT_ADD, "sdc1", 0);
        e.ignored = "it is a path of a multipath device";
        CHECK(device_set_apply(&s.world.devices, &e) == 0);
        expect_summary(&s, "sdc1", "it is left alone, and gets no filter: it is a path of a multipath device");
        script_deinit(&s);
}

int main(void) {
        test_precedence();
        test_words();
        test_lines();
        test_kind();
        test_summary_of_attachments();
        test_summary_of_none();
        return EXIT_SUCCESS;
}
