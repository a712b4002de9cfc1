/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/policy-scan.h"
#include "daemon/text.h"

#define QUOTE_IN_MESSAGE_MAX 64 /* bytes of a file's text repeated in a sentence */

/* One line under the reader: [p, end) without the blanks around it. */
typedef struct Line {
        char *p;
        char *end;
        unsigned number; /* from 1 */
} Line;

/**
 * policy_fault_deinit() - release a fault's message
 * @f: the fault; POLICY_FAULT_INIT afterwards
 */
void policy_fault_deinit(PolicyFault *f) {
        free(f->path);
        free(f->message);
        *f = POLICY_FAULT_INIT;
}

/**
 * policy_scan_free() - release a scan
 * @s: the scan, half-built or NULL; consumed
 *
 * Return: NULL.
 */
PolicyScan *policy_scan_free(PolicyScan *s) {
        if (!s)
                return NULL;

        free(s->text);
        free(s->sections);
        free(s->items);
        free(s);
        return NULL;
}

/**
 * policy_scan_section() - look a section up
 * @s: the scan
 * @name: NUL-terminated, without brackets; case does not count
 *
 * Return: the section, borrowed from the scan; NULL if the file has none of that name.
 */
const PolicySection *policy_scan_section(const PolicyScan *s, const char *name) {
        for (size_t i = 0; i < s->n_sections; i++)
                if (ascii_casecmp_equal(s->sections[i].name, name))
                        return &s->sections[i];

        return NULL;
}

/* Length of the UTF-8 character at @s, 0 if there is none: no overlong form, no surrogate. */
static size_t utf8_character(const unsigned char *s, size_t n) {
        static const struct {
                unsigned char first, last, low, high; /* of the first byte; of the second */
                size_t length;
        } forms[] = {
                { 0x00, 0x7f, 0x00, 0x00, 1 },
                { 0xc2, 0xdf, 0x80, 0xbf, 2 },
                { 0xe0, 0xe0, 0xa0, 0xbf, 3 },
                { 0xe1, 0xec, 0x80, 0xbf, 3 },
                { 0xed, 0xed, 0x80, 0x9f, 3 },
                { 0xee, 0xef, 0x80, 0xbf, 3 },
                { 0xf0, 0xf0, 0x90, 0xbf, 4 },
                { 0xf1, 0xf3, 0x80, 0xbf, 4 },
                { 0xf4, 0xf4, 0x80, 0x8f, 4 },
        };

        for (size_t i = 0; i < sizeof(forms) / sizeof(forms[0]); i++) {
                size_t length = forms[i].length;

                if (s[0] < forms[i].first || s[0] > forms[i].last)
                        continue;

                if (length > n || (length > 1 && (s[1] < forms[i].low || s[1] > forms[i].high)))
                        return 0;

                for (size_t k = 2; k < length; k++)
                        if ((s[k] & 0xc0) != 0x80)
                                return 0;

                return length;
        }

        return 0;
}

/**
 * policy_text_is_clean() - whether bytes are valid UTF-8 without control characters
 * @s: the bytes; need not be NUL-terminated
 * @n: number of bytes
 * @ret_offset: NULL, or where the offset of the first bad byte goes if there is one
 *
 * A tab counts as clean; NUL and the ends of lines do not.
 */
bool policy_text_is_clean(const char *s, size_t n, size_t *ret_offset) {
        for (size_t i = 0, length; i < n; i += length) {
                unsigned char c = (unsigned char) s[i];

                length = utf8_character((const unsigned char *) s + i, n - i);

                if (length == 0 || (c < 0x20 && c != '\t') || c == 0x7f) {
                        if (ret_offset)
                                *ret_offset = i;

                        return false;
                }
        }

        return true;
}

static bool is_blank(char c) {
        return c == ' ' || c == '\t';
}

static bool is_alnum(char c) {
        c = ascii_tolower(c);
        return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
}

static bool section_name_is_valid(const char *s, size_t n) {
        for (size_t i = 0; i < n; i++)
                if (!is_alnum(s[i]) && s[i] != '.' && s[i] != '_' && s[i] != '-')
                        return false;

        return n > 0 && n <= POLICY_SECTION_MAX;
}

static bool key_name_is_valid(const char *s, size_t n) {
        for (size_t i = 0; i < n; i++)
                if (!is_alnum(s[i]) && s[i] != '-')
                        return false;

        return n > 0 && n <= POLICY_KEY_MAX && ascii_tolower(s[0]) >= 'a';
}

/* At "#" and ";" iniparser cuts a value that has no quotes; a quotation mark within it is a slip. */
static bool value_is_plain(const char *s, size_t n) {
        for (size_t i = 0; i < n; i++)
                if (strchr("#;\"'", s[i]))
                        return false;

        return true;
}

/* Repeats the file's own text, cut at a character's end so that the sentence stays valid UTF-8. */
static void add_excerpt(Text *t, const char *s, size_t n) {
        size_t i = 0, length;

        while (i < n) {
                length = utf8_character((const unsigned char *) s + i, n - i);

                if (i + length > QUOTE_IN_MESSAGE_MAX)
                        break;

                i += length;
        }

        text_add_n(t, s, i);

        if (i < n)
                text_add(t, "...");
}

/* Ends a scan: the sentence is @before, the file's own text in [p, end) and @after. */
static int fault(PolicyFault *ret, unsigned line, const char *before, const char *p, const char *end,
                 const char *after) {
        Text t = TEXT_INIT;
        char *message;
        int r;

        text_add(&t, before);

        if (p)
                add_excerpt(&t, p, (size_t) (end - p));

        text_add(&t, after);

        r = text_steal(&t, &message);
        if (r < 0)
                return -ENOMEM;

        *ret = (PolicyFault){ .line = line, .message = message };
        return -EINVAL;
}

static int fault_with_line(PolicyFault *ret, unsigned line, const char *name, const char *before,
                           unsigned other, const char *after) {
        Text t = TEXT_INIT;
        char *message;
        int r;

        text_add(&t, name);
        text_add(&t, before);
        text_add_u64(&t, other);
        text_add(&t, after);

        r = text_steal(&t, &message);
        if (r < 0)
                return -ENOMEM;

        *ret = (PolicyFault){ .line = line, .message = message };
        return -EINVAL;
}

static int fault_byte(PolicyFault *ret, unsigned line, unsigned char c) {
        Text t = TEXT_INIT;
        char *message;
        int r;

        text_add(&t, "The byte 0x");
        text_add_hex(&t, c, 2);
        text_add(&t, c >= 0x80 ? " is not valid UTF-8 here: save the file as UTF-8."
                   : c == '\r' ? " (carriage return) stands within the line: only newlines, with or without "
                                 "a carriage return before them, may end a line."
                               : " is a control character: a policy is plain text, remove it.");

        r = text_steal(&t, &message);
        if (r < 0)
                return -ENOMEM;

        *ret = (PolicyFault){ .line = line, .message = message };
        return -EINVAL;
}

static int too_many(PolicyScan *s, unsigned line, PolicyFault *ret) {
        if (s->n_sections + s->n_items < POLICY_ITEMS_MAX)
                return 0;

        return fault_with_line(ret, line, "This is one too many", ": a policy file has at most ", POLICY_ITEMS_MAX,
                               " sections and keys in all.");
}

static int scan_section(PolicyScan *s, const Line *l, PolicyFault *ret) {
        const PolicySection *other;
        char *name = l->p + 1, *end = l->end - 1;
        int r;

        if (*end != ']')
                return fault(ret, l->number, "A section must be \"[Name]\" alone on its line, without a comment "
                             "behind it, not: ", l->p, l->end, "");

        if (!section_name_is_valid(name, (size_t) (end - name)))
                return fault(ret, l->number, "\"", l->p, l->end, "\" is not a section: its name must be 1 to 64 "
                             "letters, digits, \".\", \"_\" or \"-\", without blanks, as in [Match].");

        *end = 0;

        other = policy_scan_section(s, name);
        if (other)
                return fault_with_line(ret, l->number, name, " is a section that is there already, in line ",
                                       other->line, ": put the keys of both together under one heading.");

        r = too_many(s, l->number, ret);
        if (r < 0)
                return r;

        s->sections[s->n_sections++] = (PolicySection){ .name = name, .line = l->number };
        return 0;
}

/* Finds the value of an assignment: [*p, *end) without the quotes, and which they were. */
static int scan_value(const Line *l, char **p, char **end, char *ret_quote, PolicyFault *ret) {
        char quote, *close;

        *ret_quote = 0;

        if (*p == *end || (**p != '"' && **p != '\'')) {
                if (value_is_plain(*p, (size_t) (*end - *p)))
                        return 0;

                return fault(ret, l->number, "A value with \"#\", \";\" or a quotation mark in it must stand in quotes "
                             "as a whole, as in PartLabel=\"my #1\" (a comment needs a line of its own; of several"
                             " values "
                             "each writes such a sign as \\xHH, its code in hexadecimal digits): ", *p, *end, "");
        }

        quote = **p;
        close = memchr(*p + 1, quote, (size_t) (*end - *p - 1));

        if (!close)
                return fault(ret, l->number, "The quote is not closed: the value must end in the quotation mark that "
                             "it begins with: ", *p, *end, "");

        if (close + 1 != *end)
                return fault(ret, l->number, "Nothing may follow the closing quote: a value that has one kind of "
                             "quotation mark in it stands in the other kind (or has it as \\x22 or \\x27), several "
                             "values stand without quotes (with \\x20 for a blank in one), a comment needs a line of"
                             " its own: ", *p, *end, "");

        (*p)++;
        *end = close;
        *ret_quote = quote;
        return 0;
}

static int scan_assignment(PolicyScan *s, const Line *l, PolicyFault *ret) {
        char *equals = memchr(l->p, '=', (size_t) (l->end - l->p)), *key_end, *value, *value_end, quote;
        const PolicySection *section;
        int r;

        if (!equals)
                return fault(ret, l->number, "Expected \"Key=value\", \"[Section]\", or a comment beginning with \"#\" "
                             "or \";\", not: ", l->p, l->end, "");

        for (key_end = equals; key_end > l->p && is_blank(key_end[-1]); key_end--)
                ;

        for (value = equals + 1; value < l->end && is_blank(*value); value++)
                ;

        if (!key_name_is_valid(l->p, (size_t) (key_end - l->p)))
                return fault(ret, l->number, "\"", l->p, key_end,
                             "\" is not a key: a key must be 1 to 32 letters, digits "
                             "or \"-\", beginning with a letter, as in PartUUID=.");

        if (s->n_sections == 0)
                return fault(ret, l->number, "", l->p, key_end, "= stands before the first section: put a line with "
                             "its section, for example [Match], above it.");

        section = &s->sections[s->n_sections - 1];
        value_end = l->end;

        r = scan_value(l, &value, &value_end, &quote, ret);
        if (r < 0)
                return r;

        *key_end = 0;
        *value_end = 0;

        for (size_t i = 0; i < s->n_items; i++)
                if (s->items[i].section == section && ascii_casecmp_equal(s->items[i].key, l->p))
                        return fault_with_line(ret, l->number, l->p, "= is set twice in its section, first in line ",
                                               s->items[i].line, ": remove one of the two.");

        r = too_many(s, l->number, ret);
        if (r < 0)
                return r;

        s->items[s->n_items++] = (PolicyItem){
                .section = section,
                .key = l->p,
                .value = value,
                .quote = quote,
                .line = l->number,
        };
        return 0;
}

static int scan_line(PolicyScan *s, Line *l, PolicyFault *ret) {
        size_t offset;

        /* the carriage return of a line's end is no part of the line; any other is a control character */
        if (l->end > l->p && l->end[-1] == '\r')
                l->end--;

        if (l->end - l->p > POLICY_LINE_MAX)
                return fault_with_line(ret, l->number, "The line is too long", ": it may have at most ",
                                       POLICY_LINE_MAX, " bytes.");

        if (!policy_text_is_clean(l->p, (size_t) (l->end - l->p), &offset))
                return fault_byte(ret, l->number, (unsigned char) l->p[offset]);

        while (l->p < l->end && is_blank(*l->p))
                l->p++;

        while (l->end > l->p && is_blank(l->end[-1]))
                l->end--;

        if (l->p == l->end)
                return 0;

        /* iniparser would join the next line to this one, even to a comment and over blanks behind the backslash */
        if (l->end[-1] == '\\')
                return fault(ret, l->number, "A line, comments included, must not end in \"\\\": lines are not "
                             "continued; remove it.", NULL, NULL, "");

        switch (*l->p) {
        case '#':
        case ';':
                return 0;
        case '[':
                return scan_section(s, l, ret);
        default:
                return scan_assignment(s, l, ret);
        }
}

/**
 * policy_scan() - read the text of a policy file, line by line
 * @data: the whole file, any content; need not be NUL-terminated; borrowed
 * @size: bytes of it
 * @ret: set on success: sections, keys and values with their lines; owned by the caller,
 *       policy_scan_free()
 * @ret_fault: set on -EINVAL: what is wrong at the first line that is not acceptable, and what was
 *             expected; owned by the caller, policy_fault_deinit()
 *
 * Knows the form only: which sections and keys there are is policy-keys.c's.
 *
 * A last line without a newline is refused: it is how a file that was cut in half looks, and half
 * a name could be another partition's name.
 *
 * Return: 0, -EINVAL if the file is not acceptable, or -ENOMEM.
 */
int policy_scan(const char *data, size_t size, PolicyScan **ret, PolicyFault *ret_fault) {
        PolicyScan *s;
        unsigned number = 1;
        int r = 0;

        if (size == 0)
                return fault(ret_fault, 0, "The file is empty: expected sections with keys, as in [Match]; to switch "
                             "it off, remove the file or make it a link to /dev/null.", NULL, NULL, "");

        if (size > POLICY_FILE_SIZE_MAX)
                return fault_with_line(ret_fault, 0, "The file is too large", ": a policy has at most ",
                                       POLICY_FILE_SIZE_MAX, " bytes.");

        if (size >= 3 && memcmp(data, "\xef\xbb\xbf", 3) == 0)
                return fault(ret_fault, 1, "The file begins with a byte order mark: save it as UTF-8 without one.",
                             NULL, NULL, "");

        s = calloc(1, sizeof(*s));
        if (!s)
                return -ENOMEM;

        s->text = malloc(size + 1); /* a value's NUL can fall behind a last line without newline */
        s->sections = calloc(POLICY_ITEMS_MAX, sizeof(*s->sections));
        s->items = calloc(POLICY_ITEMS_MAX, sizeof(*s->items));

        if (!s->text || !s->sections || !s->items) {
                policy_scan_free(s);
                return -ENOMEM;
        }

        memcpy(s->text, data, size);

        for (char *p = s->text, *end = s->text + size; p < end && r == 0; number++) {
                char *newline = memchr(p, '\n', (size_t) (end - p));
                Line l = { .p = p, .end = newline ? newline : end, .number = number };

                r = scan_line(s, &l, ret_fault);

                if (r == 0 && !newline)
                        r = fault(ret_fault, number,
                                  "The last line does not end in a newline, so the file may have been "
                                  "cut in half: check that it is whole and end it with a newline.", NULL, NULL, "");

                p = newline ? newline + 1 : end;
        }

        if (r < 0) {
                policy_scan_free(s);
                return r;
        }

        *ret = s;
        return 0;
}
