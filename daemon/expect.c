/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <string.h>

#include "daemon/expect.h"
#include "daemon/text.h"

/**
 * expect_from_facts() - what a worker has to find, so that a device is what a match demands
 * @m: the match; @f fits it
 * @f: what is known of the device
 * @ret: written whole
 *
 * The values are the device's, not the match's: a worker compares and interprets no pattern. What cannot
 * be read from a device (its WWN, its serial number, its name) is left out: those are bound to the
 * device object and its sequence number, which a worker checks too.
 */
void expect_from_facts(const Match *m, const Facts *f, Expect *ret) {
        memset(ret, 0, sizeof(*ret));

        for (size_t i = 0; i < m->n_terms; i++) {
                MatchKey key = m->terms[i].key;

                if (key == MATCH_DISK_WWN || key == MATCH_DISK_SERIAL || key == MATCH_KERNEL_NAME) {
                        ret->bound = true;
                        continue;
                }

                ret->keys |= UINT32_C(1) << key;
                if (f->values[key])
                        (void) str_copy(ret->values[key], FACT_SIZE, f->values[key]);
        }
}

/**
 * expect_facts() - whether facts are those that were expected
 * @e: what was expected
 * @f: what was found
 * @ret_key: if they are not: the first key that differs
 *
 * The place is not looked at.
 */
bool expect_facts(const Expect *e, const Facts *f, MatchKey *ret_key) {
        for (MatchKey key = 0; key < MATCH_KERNEL_NAME; key++)
                if (e->keys & UINT32_C(1) << key &&
                    !str_equal(e->values[key], f->values[key] ? f->values[key] : "")) {
                        *ret_key = key;
                        return false;
                }

        return true;
}
