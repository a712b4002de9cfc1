/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * From policies to attachments: lists of values, patterns and their instances, edits, and what an orphan hands
 * over.
 */

#undef NDEBUG

#include "tests/script-policies.h"

/* Several values: one attachment for each, with all that is demanded besides. */
static void test_list(void) {
        static const char *const matches[] = {
                "PartUUID=" UUID_X "|FSType=ext4", "PartUUID=" UUID_Y "|FSType=ext4", "PartUUID=" UUID_Z "|FSType=ext4",
        };
        Script s;

        begin(&s);
        edit(&s, "20.conf", "bftrack", "PartUUID=" UUID_Z "|PartUUID=" UUID_X "|PartUUID=" UUID_Y "|FSType=ext4");
        CHECK(s.world.attachments.n_items == 3 && s.world.n_patterns == 0);
        settle(&s);
        for (size_t i = 0; i < 3; i++) {
                const Attachment *a = find(&s, "bftrack", matches[i]);

                CHECK(a && a->source == ATTACHMENT_SOURCE_POLICY && a->rank == 1 && !a->is_instance);
                CHECK_STR(a->policy_path, "/etc/blkfilter.d/20.conf");
                CHECK(a->on_device == (i == 0)); /* sda2 is swap, the third is not there */
        }

        /* one value less */
        edit(&s, "20.conf", "bftrack", "PartUUID=" UUID_Z "|PartUUID=" UUID_X "|FSType=ext4");
        settle(&s);
        CHECK(s.world.attachments.n_items == 2 && find(&s, "bftrack", matches[0])->n_attached == 1);
        script_deinit(&s);
}

/* A pattern stands for every device that it fits, now and when they come. */
static void test_pattern(void) {
        Attachment *x, *y;
        Script s;

        begin(&s);
        edit(&s, "20.conf", "bftrack", "PartLabel=d*|FSType=!swap");
        CHECK(s.world.attachments.n_items == 0 && s.world.n_patterns == 1);
        settle(&s);
        x = find(&s, "bftrack", "PartUUID=" UUID_X "|PartLabel=d*|FSType=!swap");
        CHECK(s.world.attachments.n_items == 1 && x && x->on_device && x->is_instance && x->pin == MATCH_PART_UUID);
        CHECK(s.world.patterns[0].n_instances == 1 && x->rank == 1);

        /* it comes to fit; what is asked of a worker are its own values */
        script_device(&s, "sda2")->values[MATCH_FS_TYPE] = "xfs";
        script_kernel(&s, EVENT_CHANGE, "sda2");
        script_udev(&s);
        script_settle(&s);
        y = find(&s, "bftrack", "PartUUID=" UUID_Y "|PartLabel=d*|FSType=!swap");
        CHECK(y && y->on_device && s.world.patterns[0].n_instances == 2);

        /* one that is plugged in, and one that udev has not told all of */
        script_table_1(&s, "sdb", 1, UUID_Z, "dump");
        script_device(&s, "sdb1")->values[MATCH_FS_TYPE] = "ext4";
        script_plug(&s, "sdb");
        script_settle(&s);
        CHECK(s.world.attachments.n_items == 2);
        script_udev(&s);
        settle(&s);
        CHECK(s.world.attachments.n_items == 3);
        CHECK(find(&s, "bftrack", "PartUUID=" UUID_Z "|PartLabel=d*|FSType=!swap")->on_device);

        /* an instance outlives its device if it was on it, and is the same when that is back */
        script_unplug(&s, "sdb");
        settle(&s);
        CHECK(s.world.attachments.n_items == 3 && s.world.patterns[0].n_instances == 3);
        script_plug(&s, "sdb");
        script_udev(&s);
        settle(&s);
        CHECK(s.world.attachments.n_items == 3);
        CHECK(find(&s, "bftrack", "PartUUID=" UUID_Z "|PartLabel=d*|FSType=!swap")->n_attached == 2);
        script_deinit(&s);
}

/* A match that names nothing that identifies is a pattern without a glob. */
static void test_pattern_without_glob(void) {
        Script s;

        begin(&s);
        edit(&s, "20.conf", "bftrack", "FSType=ext4");
        settle(&s);
        CHECK(s.world.n_patterns == 1 && s.world.attachments.n_items == 1);
        CHECK(find(&s, "bftrack", "PartUUID=" UUID_X "|FSType=ext4")->on_device);

        /* a file that names the very same device takes it over, and gives it back */
        edit(&s, "10.conf", "bftrack", "PartUUID=" UUID_X "|FSType=ext4");
        settle(&s);
        CHECK(s.world.attachments.n_items == 1);
        CHECK_STR(s.world.attachments.items[0]->policy_path, "/etc/blkfilter.d/10.conf");
        script_unplug(&s, "sda");
        settle(&s);
        s.world.attachments.items[0]->has_fingerprint = false;
        world_touch_all(&s.world);
        settle(&s);
        CHECK(s.world.attachments.n_items == 1); /* wanted by name, whether it is there or not */

        edit(&s, "10.conf", "bftrack", NULL);
        script_plug(&s, "sda");
        script_udev(&s);
        settle(&s);
        CHECK(s.world.attachments.n_items == 1 && s.world.attachments.items[0]->on_device);
        CHECK_STR(s.world.attachments.items[0]->policy_path, "/etc/blkfilter.d/20.conf");
        script_deinit(&s);
}

/* What has nothing to be recognised by, is left alone or not ready is no instance. */
static void test_pattern_leaves_alone(void) {
        DeviceEvent e;
        Script s;

        begin(&s);
        script_table_1(&s, "sdb", 1, "", "data");
        script_had(&s, "sdb");
        script_look(&s);
        e = script_event(&s, EVENT_UDEV, EVENT_CHANGE, "sda2", ++s.seqnum);
        e.ignored = "why";
        CHECK(device_set_apply(&s.world.devices, &e) == 0);
        e = script_event(&s, EVENT_UDEV, EVENT_CHANGE, "sda1", ++s.seqnum);
        e.settled = false;
        CHECK(device_set_apply(&s.world.devices, &e) == 0);
        edit(&s, "20.conf", "bftrack", "PartLabel=d*");
        settle(&s);
        CHECK(s.world.attachments.n_items == 0 && s.n_jobs == 0);
        script_deinit(&s);
}

/* An instance that never was on its device is forgotten with it. */
static void test_instance_goes(void) {
        Script s;

        begin(&s);
        (void) str_copy(script_device(&s, "sda1")->filter, FILTER_NAME_SIZE, "other");
        edit(&s, "20.conf", "bftrack", "PartLabel=da*");
        settle(&s);
        CHECK(s.world.attachments.n_items == 1 && s.world.attachments.items[0]->state == ATTACHMENT_CONFLICT);
        CHECK(s.world.patterns[0].n_instances == 1);
        script_unplug(&s, "sda");
        settle(&s);
        CHECK(s.world.attachments.n_items == 0 && s.world.patterns[0].n_instances == 0);
        script_deinit(&s);
}

/* Two devices with one UUID are one instance, and ambiguous. */
static void test_instance_of_clones(void) {
        Script s;

        script_init(&s);
        script_table_1(&s, "sda", 1, UUID_X, "data");
        script_table_1(&s, "sdb", 1, UUID_X, "disk");
        script_had(&s, "sda");
        script_had(&s, "sdb");
        script_look(&s);
        edit(&s, "20.conf", "bftrack", "PartLabel=d*");
        settle(&s);
        CHECK(s.world.attachments.n_items == 1 && s.world.attachments.items[0]->state == ATTACHMENT_AMBIGUOUS);
        CHECK_HAS(s.world.attachments.items[0]->reason, "/dev/sda1 and /dev/sdb1");
        script_deinit(&s);
}

/* No more instances of one policy than there may be; one that goes makes room. */
static void test_limit(void) {
        Script s;

        begin(&s);
        edit(&s, "20.conf", "bftrack", "PartLabel=d*");
        s.world.patterns[0].n_instances = PATTERN_INSTANCES_MAX - 1;
        script_settle(&s);
        CHECK(s.world.attachments.n_items == 1 && s.world.n_refused > 0);
        CHECK(s.world.patterns[0].n_instances == PATTERN_INSTANCES_MAX);

        /* counted anew when policies are read, and with those that are there already */
        edit(&s, "30.conf", "bfcount", "PartUUID=" UUID_Z);
        CHECK(s.world.patterns[0].n_instances == 1);
        script_settle(&s);
        CHECK(s.world.attachments.n_items == 3 && s.world.patterns[0].n_instances == 2);
        script_deinit(&s);
}

static void end_of_take_over(Script *s, Attachment *old, const char *match, uint64_t since) {
        uint64_t n_gaps = old->n_gaps;
        Attachment *new;

        script_pass(s, 10 * SECOND);
        edit(s, "20.conf", "bftrack", match);
        new = find(s, "bftrack", match);
        CHECK(new && new != old && old->orphaned && old->on_device && !new->on_device);
        script_expect(s, JOB_ATTACH, "sda1");
        script_answer(s);
        CHECK(new->on_device && !old->on_device && attachment_is_superfluous(old));
        CHECK(new->intact_since_usec == since && new->n_gaps == n_gaps && new->n_gaps_kept == n_gaps &&
              new->n_attached == 2);
        CHECK(!attachment_get_open_gap(new) && old->n_gaps_kept == 0);
        settle(s);
        CHECK(s->world.attachments.n_items == 1 && s->world.attachments.items[0] == new);
        CHECK(new->state == ATTACHMENT_ATTACHED && !new->recorded_since_usec && s->n_jobs == 0);

        /* it is the same device to it: a re-read is a re-read */
        script_reread(s, "sda");
        settle(s);
        CHECK(new->n_gaps == n_gaps + 1);
        CHECK_STR(new->gaps[n_gaps].reason, "rescan");
}

/* A policy is edited: another attachment, to which the filter and all that is known of it goes over. */
static void test_take_over(void) {
        uint64_t since;
        Attachment *old;
        Script s;

        old = script_begin(&s);
        edit(&s, "20-data.conf", "", NULL);
        edit(&s, "20.conf", "bftrack", "PartUUID=" UUID_X);
        settle(&s);
        script_pass(&s, 10 * SECOND);
        script_reread(&s, "sda");
        settle(&s);
        CHECK(old == find(&s, "bftrack", "PartUUID=" UUID_X) && old->n_gaps == 1);
        since = old->intact_since_usec;
        end_of_take_over(&s, old, "PartUUID=" UUID_X "|PartLabel=data", since);
        script_deinit(&s);
}

/* What is found there is another filter of that name by its generation: what went over ends in a gap. */
static void test_take_over_another(void) {
        Attachment *old, *new;
        uint64_t seen;
        Script s;

        begin(&s);
        s.tells_generation = true;
        edit(&s, "20.conf", "bftrack", "PartUUID=" UUID_X);
        settle(&s);
        old = find(&s, "bftrack", "PartUUID=" UUID_X);
        seen = old->seen_usec;
        script_pass(&s, SECOND);
        script_device(&s, "sda1")->generation = 99;
        edit(&s, "20.conf", "bftrack", "PartUUID=" UUID_X "|PartLabel=data");
        settle(&s);
        new = find(&s, "bftrack", "PartUUID=" UUID_X "|PartLabel=data");
        CHECK(new->on_device && new->n_gaps == 1 && new->intact_since_usec == s.now.realtime_usec);
        CHECK(new->gaps[0].begin_usec == seen && new->gaps[0].latest_usec == s.now.realtime_usec &&
              new->gaps[0].end_usec);
        script_deinit(&s);
}

/* From a run-time attachment as well; who asked for it is not forgotten. */
static void test_take_over_wish(void) {
        Attachment *wish, *policy;
        Script s;

        begin(&s);
        wish = script_wish(&s, "bftrack", UUID_X);
        settle(&s);
        CHECK(wish->on_device);
        script_pass(&s, SECOND);
        edit(&s, "20.conf", "bftrack", "PartLabel=data");
        policy = find(&s, "bftrack", "PartLabel=data");
        settle(&s);
        CHECK(s.world.attachments.n_items == 1 && policy->on_device && policy->asked);
        CHECK(policy->intact_since_usec == s.now.realtime_usec - SECOND && policy->n_gaps == 0);

        /* so when the policy goes the wish is there again */
        edit(&s, "20.conf", "", NULL);
        settle(&s);
        CHECK(s.world.attachments.n_items == 1 && policy->source == ATTACHMENT_SOURCE_RUNTIME && policy->on_device);
        CHECK(policy->state == ATTACHMENT_ATTACHED && !policy->policy_path);
        script_deinit(&s);
}

/*
 * Of what was on another device nothing goes over to what is known of this one: the gap that lasts ends now, and what
 * the other attachment saw, here, says nothing of the time before.
 */
static void test_take_over_elsewhere(void) {
        Attachment *wish, *policy;
        Script s;

        begin(&s);
        script_table_1(&s, "sdb", 1, UUID_Z, "log");
        script_plug(&s, "sdb");
        script_udev(&s);
        edit(&s, "20.conf", "bftrack", "PartLabel=data");
        wish = script_wish(&s, "bftrack", UUID_Z);
        settle(&s);
        policy = find(&s, "bftrack", "PartLabel=data");
        CHECK(policy->on_device && wish->on_device);
        CHECK_STR(wish->device, "sdb1");

        script_pass(&s, SECOND);
        script_unplug(&s, "sda");
        script_udev(&s);
        settle(&s);
        CHECK(!policy->on_device && policy->n_gaps == 1);

        /* the other one is given the name, and keeps its filter */
        script_pass(&s, SECOND);
        script_table_1(&s, "sdb", 1, UUID_Z, "data");
        script_kernel(&s, EVENT_CHANGE, "sdb");
        script_kernel(&s, EVENT_CHANGE, "sdb1");
        script_udev(&s);
        settle(&s);
        CHECK(policy->on_device && policy->asked && s.world.attachments.n_items == 1);
        CHECK_STR(policy->device, "sdb1");
        CHECK(policy->n_gaps == 1 && policy->gaps[0].end_usec == s.now.realtime_usec);
        CHECK_STR(policy->gaps[0].reason, "removed");
        CHECK(policy->intact_since_usec == s.now.realtime_usec);
        script_deinit(&s);
}

/* Of another filter nothing goes over: it stays where it is, and is in the way. */
static void test_no_take_over(void) {
        Attachment *old, *new;
        Script s;

        begin(&s);
        edit(&s, "20.conf", "bftrack", "PartUUID=" UUID_X);
        settle(&s);
        old = find(&s, "bftrack", "PartUUID=" UUID_X);
        edit(&s, "20.conf", "bfcount", "PartUUID=" UUID_X);
        settle(&s);
        new = find(&s, "bfcount", "PartUUID=" UUID_X);
        CHECK(old->on_device && old->state == ATTACHMENT_ORPHANED && new->state == ATTACHMENT_CONFLICT);
        CHECK_HAS(new->reason, "(bftrack)");
        script_deinit(&s);
}

/* Only the settings changed: the same attachment, with the new ones, and nothing is done. */
static void test_settings_edited(void) {
        Settings *settings;
        Attachment *a;
        Script s;

        begin(&s);
        edit(&s, "20.conf", "bftrack", "PartUUID=" UUID_X);
        settle(&s);
        a = find(&s, "bftrack", "PartUUID=" UUID_X);

        edit(&s, "20.conf", "", NULL);
        CHECK(a->orphaned && settings_new(&settings) == 0);
        settings->retry_usec = 5 * SECOND;
        CHECK(script_policy_of(&s, "20.conf", "bftrack", match_of(UUID_X, ""), settings) == a);
        CHECK(a->settings == settings && settings->n_refs == 2 && !a->orphaned && a->on_device);
        settle(&s);
        CHECK(a->n_attached == 1 && a->state == ATTACHMENT_ATTACHED);
        script_deinit(&s);
}

/* A wrong file keeps what it had made, instances too, and makes nothing new. */
static void test_wrong_pattern_is_kept(void) {
        PolicySet *wrong = policy_set_new();
        Attachment *a;
        Script s;

        begin(&s);
        edit(&s, "20.conf", "bftrack", "PartLabel=da*");
        settle(&s);
        a = find(&s, "bftrack", "PartUUID=" UUID_X "|PartLabel=da*");
        CHECK(wrong && policy_set_add_error(wrong, a->policy_path, 1, "why", false) == 0);
        CHECK(world_set_policies(&s.world, wrong) == 0);
        script_table_1(&s, "sdb", 1, UUID_Z, "data");
        script_plug(&s, "sdb");
        script_udev(&s);
        script_reread(&s, "sda");
        settle(&s);
        CHECK(s.world.attachments.n_items == 1 && !a->orphaned && a->on_device && a->n_attached == 2);

        /* mended: it is as before, and the one that came meanwhile has its own */
        CHECK(world_set_policies(&s.world, s.policies) == 0);
        settle(&s);
        CHECK(s.world.attachments.n_items == 2 && a->n_attached == 2 && a->rank == 1);
        policy_set_free(wrong);
        script_deinit(&s);
}

int main(void) {
        test_list();
        test_pattern();
        test_pattern_without_glob();
        test_pattern_leaves_alone();
        test_instance_goes();
        test_instance_of_clones();
        test_limit();
        test_take_over();
        test_take_over_another();
        test_take_over_wish();
        test_take_over_elsewhere();
        test_no_take_over();
        test_settings_edited();
        test_wrong_pattern_is_kept();
        return EXIT_SUCCESS;
}
