/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Of several policies that want a device the first has it, also before udev has told of it; which have no effect. */

#undef NDEBUG

#include "tests/script-policies.h"

/* The first policy by name wins a device that a pattern and a list, or two patterns, want. */
static void test_precedence(void) {
        Attachment *by_name, *by_pattern;
        Script s;

        for (int i = 0; i < 2; i++) {
                begin(&s);
                edit(&s, i ? "10.conf" : "30.conf", "bftrack", "PartLabel=da*");
                edit(&s, "20.conf", "bfcount", "PartUUID=" UUID_X);
                settle(&s);
                by_pattern = find(&s, "bftrack", "PartUUID=" UUID_X "|PartLabel=da*");
                by_name = find(&s, "bfcount", "PartUUID=" UUID_X);
                CHECK(by_pattern && by_name && by_pattern->on_device == i && by_name->on_device == !i);
                CHECK((i ? by_name : by_pattern)->state == ATTACHMENT_CONFLICT);
                CHECK_HAS((i ? by_name : by_pattern)->reason, i ? "10.conf" : "20.conf");

                /* its file goes: its filter stays, and is in the way of the other */
                edit(&s, i ? "10.conf" : "20.conf", "", NULL);
                settle(&s);
                CHECK((i ? by_pattern : by_name)->state == ATTACHMENT_ORPHANED &&
                      (i ? by_pattern : by_name)->on_device);
                script_deinit(&s);
        }
}

/*
 * So too on a partition that is new, and of which only the table tells yet: the first may mean it by what udev says
 * next, be it what is on it, or as a pattern, which is not asked before.
 */
static void test_precedence_untold_one(const char *first, bool fits) {
        const Entry entries[] = { entry_of(1, UUID_Y, "other"), entry_of(2, UUID_X, fits ? "data" : "log") };
        Attachment *second;
        Script s;

        script_init(&s);
        script_table(&s, "sda", entries, 1);
        script_had(&s, "sda");
        script_look(&s);
        edit(&s, "10.conf", "bftrack", first);
        edit(&s, "20.conf", "bfcount", "PartUUID=" UUID_X);
        edit(&s, "30.conf", "bffault", "PartUUID=" UUID_Y);
        settle(&s);
        second = find(&s, "bfcount", "PartUUID=" UUID_X);
        CHECK(second && !second->on_device);

        script_table(&s, "sda", entries, 2);
        script_device(&s, "sda2")->values[MATCH_FS_TYPE] = fits ? "ext4" : "xfs";
        script_reread(&s, "sda");
        script_expect(&s, JOB_SCAN, "sda");
        script_answer(&s);
        script_settle(&s);
        CHECK(find(&s, "bffault", "PartUUID=" UUID_Y)->on_device);
        CHECK(second->on_device == (!fits && strstr(first, "PartLabel"))); /* the table tells that it does not */
        CHECK(second->on_device || second->state == ATTACHMENT_WAITING);
        script_udev(&s);
        settle(&s);
        CHECK(second->on_device == !fits && (second->state == ATTACHMENT_CONFLICT) == fits);
        script_deinit(&s);
}

/* Nor does one go where an administrator holds another of the same filter off, by what udev says next. */
static void test_hold_untold_one(const char *filter, bool released) {
        const Entry entries[] = { entry_of(1, UUID_Y, "other"), entry_of(2, UUID_X, "data") };
        Attachment *held, *other;
        Script s;

        script_init(&s);
        script_table(&s, "sda", entries, 1);
        script_had(&s, "sda");
        script_look(&s);
        edit(&s, "10.conf", "bftrack", "PartUUID=" UUID_X);
        edit(&s, "20.conf", filter, "FSUUID=1111-1111");
        edit(&s, "30.conf", "bffault", "PartUUID=" UUID_Y);
        settle(&s);
        other = find(&s, "bftrack", "PartUUID=" UUID_X);
        held = find(&s, filter, "FSUUID=1111-1111");
        held->held = true;
        world_touch_rivals(&s.world, held);

        script_table(&s, "sda", entries, 2);
        script_device(&s, "sda2")->values[MATCH_FS_UUID] = "1111-1111";
        script_reread(&s, "sda");
        script_expect(&s, JOB_SCAN, "sda");
        script_answer(&s);
        script_settle(&s);
        CHECK(other->on_device == !str_equal(filter, "bftrack"));
        if (released) {
                held->held = false;
                world_touch_rivals(&s.world, held);
                script_settle(&s);
                CHECK(other->on_device);
        }
        script_udev(&s);
        settle(&s);
        CHECK(other->state == (str_equal(filter, "bftrack") && !released ? ATTACHMENT_DETACHED : ATTACHMENT_ATTACHED));
        script_deinit(&s);
}

static void test_hold_untold(void) {
        test_hold_untold_one("bftrack", false);
        test_hold_untold_one("bftrack", true);
        test_hold_untold_one("bfcount", false);
}

static void test_precedence_untold(void) {
        for (int fits = 0; fits < 2; fits++) {
                test_precedence_untold_one("PartLabel=da*", fits);
                test_precedence_untold_one("FSType=ext*|PartNumber=2", fits);
                test_precedence_untold_one("PartUUID=" UUID_X "|FSType=ext4", fits);
        }
}

static void test_shadowed_one(const char *first, const char *second, const char *filter, bool shadowed) {
        PolicySet *set = policy_set_new();

        CHECK(set && policy_set_add(set, policy_new_of("10.conf", "bftrack", match_parse(first), NULL)) == 0);
        CHECK(policy_set_add(set, policy_new_of("20.conf", filter, match_parse(second), NULL)) == 0);
        CHECK(world_find_shadowed(set) == 0 && set->n_errors == shadowed);
        if (shadowed) {
                CHECK_STR(set->errors[0].path, "/etc/blkfilter.d/20.conf");
                CHECK_STR(set->errors[0].message,
                          "/etc/blkfilter.d/10.conf comes first and wants the same filter on the same"
                          " device, so this file has no effect; remove one of the two.");
                CHECK(set->errors[0].line == 0 && !set->errors[0].kept_last);
        }
        policy_set_free(set);
}

static void test_shadowed(void) {
        test_shadowed_one("PartLabel=a", "PartLabel=a", "bftrack", true);
        test_shadowed_one("PartLabel=a", "PartLabel=a", "bfcount", false);
        test_shadowed_one("PartLabel=a", "PartLabel=b", "bftrack", false);
        test_shadowed_one("PartLabel=a", "PartLabel=a|FSType=ext4", "bftrack", false);
        test_shadowed_one("PartLabel=a|PartLabel=b", "PartLabel=b", "bftrack", true);
        test_shadowed_one("PartLabel=a|PartLabel=b", "PartLabel=b|PartLabel=c", "bftrack", false);
        test_shadowed_one("PartLabel=a*", "PartLabel=a*", "bftrack", false);
        test_shadowed_one("PartLabel=a*", "PartLabel=ab", "bftrack", false);
        test_shadowed_one("FSType=ext4", "FSType=ext4", "bftrack", false);
}

int main(void) {
        test_precedence();
        test_hold_untold();
        test_precedence_untold();
        test_shadowed();
        return EXIT_SUCCESS;
}
