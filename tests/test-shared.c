/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Strings and entries that are shared by counting. That each is released once, and only then, sanitizers see. */

#undef NDEBUG

#include "daemon/shared.h"
#include "tests/test.h"

static void test_string(void) {
        const char *a = shared_new("sda1"), *b = NULL, *c = NULL;
        char text[] = "sda1";

        CHECK(a && a != text);
        CHECK_STR(a, "sda1");
        CHECK(shared_ref(a) == a && !shared_ref(NULL));
        shared_unref(a);
        shared_unref(NULL);

        shared_set(&b, a);
        CHECK(b == a);
        shared_unref(a);
        CHECK_STR(b, "sda1");
        shared_set(&b, b); /* the last share of it */
        CHECK_STR(b, "sda1");

        /* what is equal stays as it is */
        shared_set(&c, b);
        CHECK(shared_copy(&c, text) == 0 && c == b);
        CHECK(shared_copy(&c, "sda2") == 0);
        CHECK_STR(c, "sda2");
        CHECK_STR(b, "sda1");

        shared_set(&b, NULL);
        CHECK(!b);
        shared_unref(c);
}

static void test_empty(void) {
        const char *a = NULL;

        CHECK(shared_new("") == shared_empty && shared_ref(shared_empty) == shared_empty);
        shared_unref(shared_empty);
        shared_unref(shared_empty);
        CHECK(shared_copy(&a, "") == 0 && a == shared_empty);
        CHECK(shared_copy(&a, "x") == 0);
        shared_set(&a, shared_empty);
        CHECK_STR(a, "");
}

static void test_entry(void) {
        Entry e = { .partno = 7, .uuid = UUID_X, .label = "data", .type = "0x83", .start_sectors = UINT64_MAX,
                    .size_sectors = 1 }, again;
        const KeptEntry *k, *like, *other;

        CHECK(kept_entry_new(&e, NULL, &k) == 0 && kept_entry_equal(k, &e));
        kept_entry_get(k, &again);
        CHECK(memcmp(&e, &again, sizeof(e)) == 0);

        CHECK(kept_entry_new(&e, k, &like) == 0 && like != k && like->type == k->type);
        CHECK(kept_entry_ref(k) == k);
        kept_entry_unref(k);
        kept_entry_unref(k);
        CHECK_STR(like->type, "0x83");

        (void) str_copy(e.type, sizeof(e.type), "0x82");
        CHECK(!kept_entry_equal(like, &e));
        CHECK(kept_entry_new(&e, like, &other) == 0 && kept_entry_equal(other, &e));
        CHECK_STR(like->type, "0x83");
        kept_entry_unref(like);
        kept_entry_unref(other);
}

/* Every field counts. */
static void test_entry_differs(void) {
        const Entry e = entry_of(1, UUID_X, "data");
        Entry others[6];
        const KeptEntry *k;

        for (size_t i = 0; i < 6; i++)
                others[i] = e;
        others[0].partno++;
        others[1].start_sectors++;
        others[2].size_sectors++;
        others[3] = entry_of(1, UUID_Y, "data");
        others[4] = entry_of(1, UUID_X, "dat");
        others[5].type[0] = 'x';

        CHECK(kept_entry_new(&e, NULL, &k) == 0);
        for (size_t i = 0; i < 6; i++)
                CHECK(!kept_entry_equal(k, &others[i]));
        kept_entry_unref(k);
}

static void test_no_entry(void) {
        const Entry nothing = { 0 };

        CHECK(kept_entry_equal(&kept_entry_none, &nothing) && kept_entry_ref(&kept_entry_none) == &kept_entry_none);
        kept_entry_unref(&kept_entry_none);
        kept_entry_unref(NULL);
}

int main(void) {
        test_string();
        test_empty();
        test_entry();
        test_entry_differs();
        test_no_entry();
        return EXIT_SUCCESS;
}
