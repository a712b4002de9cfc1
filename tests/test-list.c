/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Lists that grow in steps: there is room for one more, whatever came and went before. Sanitizers see the rest. */

#undef NDEBUG

#include "daemon/list.h"
#include "tests/test.h"

static void test_room(void) {
        CHECK(list_room(0) == 0 && list_room(1) == LIST_STEP && list_room(LIST_STEP) == LIST_STEP);
        CHECK(list_room(LIST_STEP + 1) == 2 * LIST_STEP);
}

static void test_grow(void) {
        int x[1000];
        int **list = NULL;
        size_t n = 0;

        for (size_t up = 1; up < 1000; up += 37) {
                while (n < up) {
                        list = list_grow(list, n);
                        CHECK(list);
                        list[n] = &x[n];
                        n++;
                }
                for (size_t i = 0; i < n; i++)
                        CHECK(list[i] == &x[i]);
                n -= up % 5 * n / 4; /* now and then shorter by a step or more */
        }
        free(list);

        list = calloc(list_room(LIST_STEP), sizeof(*list));
        CHECK(list);
        for (n = LIST_STEP; n <= 2 * LIST_STEP; n++) {
                list = list_grow(list, n);
                CHECK(list);
                list[n] = &x[n];
        }
        CHECK(!list[0] && list[LIST_STEP] == &x[LIST_STEP]);
        free(list);
}

int main(void) {
        test_room();
        test_grow();
        return EXIT_SUCCESS;
}
