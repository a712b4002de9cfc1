/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The index: who has a value, against a plain list of the same, whatever comes and goes. */

#undef NDEBUG

#include "tests/test.h"

#define OWNERS 64
#define VALUES 300

static void test_hash(void) {
        /* FNV-1a and the last step of splitmix64: they stand in ids, so they stay what they are */
        CHECK(index_hash(0, "a") == UINT64_C(0x02c0bdbf481420f8));
        CHECK(index_hash(0, "foobar") == UINT64_C(0x404da9e3b74078c2));

        CHECK(index_hash(0, "a") != index_hash(1, "a") && index_hash(0, "") != index_hash(1, ""));
        CHECK(index_hash(0, "ab") != index_hash(0, "ba"));
        CHECK(index_hash_u64(0, 1) != index_hash_u64(0, 2) && index_hash_u64(0, 1) != index_hash_u64(1, 1));
}

/* Every byte of a value counts, wherever it is, and however long the value. */
static void test_key(void) {
        char value[41] = "", other[41];

        CHECK(index_key(0, "") != index_key(1, "") && index_key(0, "a") != index_key(1, "a"));

        for (size_t n = 0; n < sizeof(value) - 1; n++) {
                uint64_t key = index_key(3, value);

                value[n] = 'a';
                CHECK(index_key(3, value) != key && index_key(3, value) == index_key(3, value));

                for (size_t i = 0; i <= n; i++) {
                        memcpy(other, value, sizeof(other));
                        other[i] = 'b';
                        CHECK(index_key(3, other) != index_key(3, value));
                }
        }

        CHECK(index_key(0, "0123456789abcdef") != index_key(0, "89abcdef01234567"));
}

static void test_empty(void) {
        Index x = { 0 };

        CHECK(!index_first(&x, 0) && !index_first(&x, 1));
        index_remove(&x, 1, &x, 0);
        index_deinit(&x);
        index_deinit(&x);
        CHECK(x.n_items == 0 && !x.buckets);
}

static size_t count(const Index *x, uint64_t hash, const void *owner, unsigned detail) {
        size_t n = 0;

        for (const IndexItem *i = index_first(x, hash); i; i = index_next(i)) {
                CHECK(i->hash == (uint32_t) hash);
                n += i->owner == owner && i->detail == detail;
        }
        return n;
}

/* Only what was added exactly so is removed, once. */
static void test_exactly(void) {
        int a, b;
        Index x = { 0 };

        CHECK(index_add(&x, 7, &a, 1) == 0 && index_add(&x, 7, &a, 2) == 0 && index_add(&x, 7, &b, 1) == 0);
        CHECK(index_add(&x, 7 + 64, &a, 1) == 0); /* the same bucket */
        CHECK(x.n_items == 4 && count(&x, 7, &a, 1) == 1 && count(&x, 7 + 64, &a, 1) == 1);

        index_remove(&x, 7, &b, 2);
        index_remove(&x, 8, &a, 1);
        CHECK(x.n_items == 4);
        index_remove(&x, 7, &a, 1);
        CHECK(x.n_items == 3 && count(&x, 7, &a, 1) == 0 && count(&x, 7, &a, 2) == 1 && count(&x, 7, &b, 1) == 1);
        CHECK(count(&x, 7 + 64, &a, 1) == 1);

        CHECK(index_add(&x, 7, &b, 1) == 0 && count(&x, 7, &b, 1) == 2);
        index_remove(&x, 7, &b, 1);
        CHECK(count(&x, 7, &b, 1) == 1);

        /* of the upper half nothing is kept */
        CHECK(count(&x, 7 | UINT64_C(1) << 40, &b, 1) == 1);
        index_remove(&x, 7 | UINT64_C(1) << 40, &b, 1);
        CHECK(count(&x, 7, &b, 1) == 0);
        index_deinit(&x);
}

/* Grown far past its first size, with few values and so with many owners under each, some of one bucket. */
static void test_many(void) {
        static unsigned have[OWNERS][VALUES];
        char owners[OWNERS];
        uint64_t seed = 1;
        Index x = { 0 };
        size_t n = 0;

        memset(have, 0, sizeof(have));
        for (int step = 0; step < 60000; step++) {
                unsigned owner, value;

                seed = seed * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
                owner = (unsigned) (seed >> 33) % OWNERS;
                value = (unsigned) (seed >> 45) % VALUES;

                if (seed >> 63 && have[owner][value] > 0) {
                        index_remove(&x, value % 2 ? value * 64 : index_hash_u64(0, value), &owners[owner], value);
                        have[owner][value]--;
                        n--;
                } else if (have[owner][value] < 2) {
                        CHECK(index_add(&x, value % 2 ? value * 64 : index_hash_u64(0, value), &owners[owner],
                                        value) == 0);
                        have[owner][value]++;
                        n++;
                }

                CHECK(x.n_items == n);
                if (step % 6000 == 0)
                        for (owner = 0; owner < OWNERS; owner++)
                                for (value = 0; value < VALUES; value++)
                                        CHECK(count(&x, value % 2 ? value * 64 : index_hash_u64(0, value),
                                                    &owners[owner], value) ==
                                              have[owner][value]);
        }

        CHECK(n > 1000 && x.n_buckets >= n / 2);
        index_deinit(&x);
}

int main(void) {
        test_hash();
        test_key();
        test_empty();
        test_exactly();
        test_many();
        return EXIT_SUCCESS;
}
