/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/policy-keys.h"
#include "daemon/text.h"

#define N_ELEMENTS(a) (sizeof(a) / sizeof((a)[0]))

#define VALUE_IN_MESSAGE_MAX 160 /* bytes; a longer value is not repeated */

/* A key of a policy. A new one needs a line in the table below, its parser, and a field of Policy. */
typedef struct PolicyKey {
        const char *section;
        const char *key;
        bool (*parse)(Policy *p, const char *value); /* false: the value is not acceptable */
        const char *expected; /* ends the sentence "PartUUID=x is not valid: " */
} PolicyKey;

static bool parse_part_uuid(Policy *p, const char *value) {
        return part_uuid_normalize(value, p->match.part_uuid);
}

static bool parse_part_label(Policy *p, const char *value) {
        return value[0] && str_copy(p->match.part_label, sizeof(p->match.part_label), value);
}

static bool parse_filter_name(Policy *p, const char *value) {
        return filter_name_is_valid(value) && str_copy(p->filter, sizeof(p->filter), value);
}

static bool parse_retry(Policy *p, const char *value) {
        static const struct {
                const char *unit;
                uint64_t usec;
        } units[] = {
                { "", UINT64_C(1000000) },
                { "ms", UINT64_C(1000) },
                { "s", UINT64_C(1000000) },
                { "min", UINT64_C(60000000) },
        };
        uint64_t v = 0;
        const char *c;

        for (c = value; *c >= '0' && *c <= '9'; c++) {
                v = v * 10 + (uint64_t) (*c - '0');

                /* beyond the limit in any unit, and the product below never overflows */
                if (v > POLICY_RETRY_USEC_MAX)
                        return false;
        }

        if (c == value)
                return false;

        for (size_t i = 0; i < N_ELEMENTS(units); i++) {
                if (!str_equal(c, units[i].unit))
                        continue;

                p->retry_usec = v * units[i].usec;
                return p->retry_usec >= POLICY_RETRY_USEC_MIN && p->retry_usec <= POLICY_RETRY_USEC_MAX;
        }

        return false;
}

static const PolicyKey policy_keys[] = {
        { "Match", "PartUUID", parse_part_uuid,
          "expected the partition's UUID, either of a GPT, as in 0fc63daf-8483-4772-8e79-3d69d8477de4, or of an MBR, "
          "as in 1234abcd-01, and not all zeros; \"lsblk -o NAME,PARTUUID\" shows them." },
        { "Match", "PartLabel", parse_part_label,
          "expected the partition's name in the GPT, letter by letter, 1 to 127 bytes; "
          "\"lsblk -o NAME,PARTLABEL\" shows them." },
        { "Filter", "Name", parse_filter_name,
          "expected the name under which the kernel knows the filter, 1 to 31 letters, digits, \"_\" or \"-\", as in "
          "blksnap." },
        { "Attach", "RetrySec", parse_retry,
          "expected a time from 100ms to 60min, a whole number of seconds or with one of the units ms, s, min directly "
          "behind it, as in 2, 500ms or 1min." },
};

_Static_assert(PART_LABEL_SIZE == 128 && FILTER_NAME_SIZE == 32, "the table's sentences name these limits");
_Static_assert(POLICY_RETRY_USEC_MIN == 100000 && POLICY_RETRY_USEC_MAX == 3600000000, "and these");

static size_t min3(size_t a, size_t b, size_t c) {
        size_t m = a < b ? a : b;

        return m < c ? m : c;
}

/* Letters to insert, drop or change to make @b of @a; case does not count. Neither is longer than POLICY_SECTION_MAX. */
static size_t edit_distance(const char *a, const char *b) {
        size_t row[POLICY_SECTION_MAX + 1], n = strlen(b);

        for (size_t k = 0; k <= n; k++)
                row[k] = k;

        for (size_t i = 1; a[i - 1]; i++) {
                size_t diagonal = row[0];

                row[0] = i;

                for (size_t k = 1; k <= n; k++) {
                        size_t above = row[k];

                        row[k] = min3(above + 1, row[k - 1] + 1,
                                      diagonal + (ascii_tolower(a[i - 1]) != ascii_tolower(b[k - 1])));
                        diagonal = above;
                }
        }

        return row[n];
}

/* Close enough to be a slip of the finger: at most a third of the letters, or two of a short name. */
static bool is_near(size_t distance, const char *known) {
        size_t limit = strlen(known) / 3;

        return distance <= (limit > 2 ? limit : 2) && distance < strlen(known);
}

static int finish(Text *t, unsigned line, PolicyFault *ret) {
        char *message;
        int r;

        r = text_steal(t, &message);
        if (r < 0)
                return -ENOMEM;

        *ret = (PolicyFault){ .line = line, .message = message };
        return -EINVAL;
}

static bool section_is_new(size_t i) {
        return i == 0 || !str_equal(policy_keys[i].section, policy_keys[i - 1].section);
}

static int fault_unknown_section(const PolicySection *s, PolicyFault *ret) {
        const char *nearest = NULL;
        size_t best = SIZE_MAX;
        Text t = TEXT_INIT;

        for (size_t i = 0; i < N_ELEMENTS(policy_keys); i++) {
                size_t distance = edit_distance(s->name, policy_keys[i].section);

                if (distance < best) {
                        best = distance;
                        nearest = policy_keys[i].section;
                }
        }

        text_add(&t, "[");
        text_add(&t, s->name);
        text_add(&t, "] is not a section of a policy");

        if (is_near(best, nearest)) {
                text_add(&t, ", did you mean [");
                text_add(&t, nearest);
                text_add(&t, "]?");
        } else
                text_add(&t, ".");

        text_add(&t, " There are");

        for (size_t i = 0; i < N_ELEMENTS(policy_keys); i++) {
                if (!section_is_new(i))
                        continue;

                text_add(&t, i == 0 ? " [" : ", [");
                text_add(&t, policy_keys[i].section);
                text_add(&t, "]");
        }

        text_add(&t, ".");
        return finish(&t, s->line, ret);
}

static int fault_unknown_key(const PolicyItem *item, const char *section, PolicyFault *ret) {
        const PolicyKey *nearest = NULL, *elsewhere = NULL;
        size_t best = SIZE_MAX, n = 0;
        Text t = TEXT_INIT;

        for (size_t i = 0; i < N_ELEMENTS(policy_keys); i++) {
                const PolicyKey *k = &policy_keys[i];
                size_t distance = edit_distance(item->key, k->key);

                if (!str_equal(k->section, section)) {
                        if (distance == 0)
                                elsewhere = k;
                } else if (distance < best) {
                        best = distance;
                        nearest = k;
                }
        }

        text_add(&t, item->key);
        text_add(&t, "= is not a key of [");
        text_add(&t, section);
        text_add(&t, "]");

        if (elsewhere) {
                text_add(&t, ": it belongs to [");
                text_add(&t, elsewhere->section);
                text_add(&t, "], move it there.");
                return finish(&t, item->line, ret);
        }

        if (is_near(best, nearest->key)) {
                text_add(&t, ", did you mean ");
                text_add(&t, nearest->key);
                text_add(&t, "=?");
        } else
                text_add(&t, ".");

        text_add(&t, " It knows");

        for (size_t i = 0; i < N_ELEMENTS(policy_keys); i++) {
                if (!str_equal(policy_keys[i].section, section))
                        continue;

                text_add(&t, n++ == 0 ? " " : ", ");
                text_add(&t, policy_keys[i].key);
                text_add(&t, "=");
        }

        text_add(&t, ".");
        return finish(&t, item->line, ret);
}

static int fault_value(const PolicyItem *item, const PolicyKey *k, PolicyFault *ret) {
        Text t = TEXT_INIT;

        text_add(&t, k->key);
        text_add(&t, "=");

        if (strlen(item->value) <= VALUE_IN_MESSAGE_MAX)
                text_add(&t, item->value);

        text_add(&t, item->value[0] ? " is not valid: " : " is empty: ");
        text_add(&t, k->expected);
        return finish(&t, item->line, ret);
}

/* The table's name of a section, NULL if there is no such section. */
static const char *known_section(const PolicySection *s) {
        for (size_t i = 0; i < N_ELEMENTS(policy_keys); i++)
                if (ascii_casecmp_equal(policy_keys[i].section, s->name))
                        return policy_keys[i].section;

        return NULL;
}

static int apply_item(Policy *p, const PolicyItem *item, PolicyFault *ret) {
        const char *section = known_section(item->section);

        if (!section)
                return fault_unknown_section(item->section, ret);

        for (size_t i = 0; i < N_ELEMENTS(policy_keys); i++) {
                const PolicyKey *k = &policy_keys[i];

                if (!str_equal(k->section, section) || !ascii_casecmp_equal(k->key, item->key))
                        continue;

                return k->parse(p, item->value) ? 0 : fault_value(item, k, ret);
        }

        return fault_unknown_key(item, section, ret);
}

static int fault_missing(const PolicyScan *scan, const char *section, const char *what, PolicyFault *ret) {
        const PolicySection *s = policy_scan_section(scan, section);
        Text t = TEXT_INIT;

        text_add(&t, what);
        return finish(&t, s ? s->line : 0, ret);
}

static int check_complete(const Policy *p, const PolicyScan *scan, PolicyFault *ret) {
        if (match_is_empty(&p->match))
                return fault_missing(scan, "Match", "[Match] PartUUID= and PartLabel= are both missing: name the "
                                     "partition by at least one of them, a policy never means every partition.", ret);

        if (!p->filter[0])
                return fault_missing(scan, "Filter", "[Filter] Name= is missing: name the filter that the partition "
                                     "gets, as in Name=blksnap.", ret);

        return 0;
}

/**
 * policy_from_scan() - make a policy of what a file says
 * @scan: what the file says; borrowed
 * @name: the file's name without folder; copied
 * @path: the file's full path; copied
 * @ret: set on success; owned by the caller, policy_free()
 * @ret_fault: set on -EINVAL: the first key that is wrong, a section that is unknown, or what is
 *             missing; owned by the caller, policy_fault_deinit()
 *
 * Return: 0, -EINVAL for an unknown section or key, a value that is not valid or a key that is
 * missing, or -ENOMEM.
 */
int policy_from_scan(const PolicyScan *scan, const char *name, const char *path, Policy **ret, PolicyFault *ret_fault) {
        Policy *p = calloc(1, sizeof(*p));
        int r = 0;

        if (!p)
                return -ENOMEM;

        p->retry_usec = POLICY_RETRY_USEC_DEFAULT;
        p->name = strdup(name);
        p->path = strdup(path);

        if (!p->name || !p->path)
                r = -ENOMEM;

        for (size_t i = 0; i < scan->n_items && r == 0; i++)
                r = apply_item(p, &scan->items[i], ret_fault);

        /* a section without a key in it has not come by above */
        for (size_t i = 0; i < scan->n_sections && r == 0; i++)
                if (!known_section(&scan->sections[i]))
                        r = fault_unknown_section(&scan->sections[i], ret_fault);

        if (r == 0)
                r = check_complete(p, scan, ret_fault);

        if (r < 0) {
                policy_free(p);
                return r;
        }

        *ret = p;
        return 0;
}
