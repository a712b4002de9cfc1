/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <errno.h>
#include <string.h>

#include "daemon/policy-scan.h"
#include "daemon/policy-words.h"

/* A word under the reader. */
typedef struct Reader {
        const char *p, *end;
        PolicyWord *word;
        size_t length;   /* of word->value */
        bool failed;
        const char *why; /* what is wrong; NULL it is too long */
} Reader;

/* One character as written. */
typedef struct Unit {
        char c;
        bool escaped; /* it was written as "\xHH": no sign of a pattern */
} Unit;

/**
 * policy_word_next() - cut the next word off a list
 * @s: NUL-terminated; moved behind the word
 * @ret: set to the word's begin, which points into *@s; not NUL-terminated
 * @ret_n: set to its bytes, at least 1
 *
 * Blanks and tabs stand between words.
 *
 * Return: false if there is no further word.
 */
bool policy_word_next(const char **s, const char **ret, size_t *ret_n) {
        *s += strspn(*s, " \t");
        if (!**s)
                return false;

        *ret = *s;
        *ret_n = strcspn(*s, " \t");
        *s += *ret_n;
        return true;
}

static unsigned hex_value(char c) {
        c = ascii_tolower(c);
        return (unsigned) (c <= '9' ? c - '0' : c - 'a' + 10);
}

static bool fail(Reader *r, const char *why) {
        r->failed = true;
        r->why = why;
        return false;
}

static bool read_unit(Reader *r, Unit *ret) {
        if (*r->p != '\\') {
                *ret = (Unit) { .c = *r->p++ };
                return true;
        }

        if (r->end - r->p < 4 || r->p[1] != 'x' || !ascii_is_hex(r->p[2]) || !ascii_is_hex(r->p[3]))
                return fail(r, "behind a \"\\\" it needs \"x\" and two hexadecimal digits, the code of one byte, as in "
                            "\\x20 for a blank; a \"\\\" itself is \\x5c.");

        *ret = (Unit) { .c = (char) (hex_value(r->p[2]) << 4 | hex_value(r->p[3])), .escaped = true };
        r->p += 4;
        return ret->c || fail(r, "\\x00 ends a name and cannot be in it.");
}

static bool put(Reader *r, char c) {
        if (r->length + 1 >= sizeof(r->word->value))
                return fail(r, r->word->glob ? "expected a pattern of at most 255 bytes." : NULL);

        r->word->value[r->length++] = c;
        r->word->value[r->length] = 0;
        return true;
}

/* A character that stands for itself. In a pattern, fnmatch(3) has to be told so of its own signs. */
static bool put_literal(Reader *r, char c, const char *signs) {
        if (r->word->glob && strchr(signs, c) && !put(r, '\\'))
                return false;

        return put(r, c);
}

/* One character of a "[...]", the first of it or not: fnmatch(3) knows classes, and bytes of the locale
 * besides; not here. */
static bool read_member(Reader *r, bool first, Unit *ret) {
        if (!read_unit(r, ret))
                return false;

        if ((unsigned char) ret->c >= 0x80)
                return fail(r, "within \"[...]\" it takes ASCII characters only.");

        if (!ret->escaped && ret->c == '[')
                return fail(r,
                            "within \"[...]\" a \"[\" must be written as \\x5b; classes like [:digit:] are not known, "
                            "write [0-9].");

        return put_literal(r, ret->c, first ? "]-[\\!^" : "]-[\\");
}

static bool at(const Reader *r, char c) {
        return r->p < r->end && *r->p == c;
}

static bool read_bracket(Reader *r) {
        bool any = false, negated = false;

        if (!put(r, '['))
                return false;

        if (at(r, '!') || at(r, '^')) {
                negated = true;
                r->p++;
                if (!put(r, '!'))
                        return false;
        }

        for (; r->p < r->end && *r->p != ']'; any = true) {
                Unit first, last;

                /* first or last it is itself, to fnmatch(3) too */
                if (at(r, '-')) {
                        if (any && r->p + 1 < r->end && r->p[1] != ']')
                                return fail(r,
                                            "within \"[...]\" a \"-\" that stands for itself must come first or last.");

                        r->p++;
                        if (!put(r, '-'))
                                return false;

                        continue;
                }

                if (!read_member(r, !any && !negated, &first))
                        return false;

                if (!at(r, '-') || r->p + 1 >= r->end || r->p[1] == ']')
                        continue;

                r->p++;
                if (!put(r, '-') || !read_member(r, false, &last))
                        return false;

                if (first.c > last.c)
                        return fail(r, "the range in \"[...]\" ends before it begins.");
        }

        if (r->p >= r->end || !any)
                return fail(r,
                            "a \"[\" begins a set like [0-9], which needs its \"]\" and something before that; a \"[\" "
                            "that stands for itself is \\x5b.");

        r->p++;
        return put(r, ']');
}

static bool read_value(Reader *r) {
        while (r->p < r->end) {
                Unit u;

                if (r->word->glob && at(r, '[')) {
                        r->p++;
                        if (!read_bracket(r))
                                return false;

                        continue;
                }

                if (!read_unit(r, &u))
                        return false;

                if (!u.escaped && r->word->glob && (u.c == '*' || u.c == '?')) {
                        if (!put(r, u.c))
                                return false;

                        continue;
                }

                if (!put_literal(r, u.c, "*?[\\"))
                        return false;
        }

        return true;
}

/**
 * policy_word_is_utf8() - whether a string is valid UTF-8
 * @s: NUL-terminated, any content; control characters are welcome
 */
bool policy_word_is_utf8(const char *s) {
        size_t offset;

        while (!policy_text_is_clean(s, strlen(s), &offset)) {
                if ((unsigned char) s[offset] >= 0x80)
                        return false;

                s += offset + 1;
        }

        return true;
}

/**
 * policy_word_parse() - read one word
 * @s: @n bytes without a NUL, valid UTF-8; borrowed
 * @n: number of bytes
 * @ret: written whole; use it on success only
 * @ret_why: set on -EINVAL: the end of a sentence that says what was expected; static; NULL if a word that
 *           is no pattern has more than 255 bytes
 *
 * It is a pattern if it has any of "*?[" that is not escaped.
 *
 * Return: 0, or -EINVAL if the word is not acceptable.
 */
int policy_word_parse(const char *s, size_t n, PolicyWord *ret, const char **ret_why) {
        Reader r = { .p = s, .end = s + n, .word = ret };

        *ret = (PolicyWord) { 0 };

        if (at(&r, '!')) {
                ret->negated = true;
                r.p++;
        }

        for (const char *p = r.p; p < r.end; p++)
                ret->glob |= *p == '*' || *p == '?' || *p == '[';

        if (r.p == r.end)
                (void) fail(&r, ret->negated ?
                            "\"!\" means \"not\" and needs a value directly behind it; a \"!\" that stands "
                                               "for itself is \\x21."
                                             : "expected a value.");
        else if (at(&r, '!'))
                (void) fail(&r, "\"!\" means \"not\" and stands once; a name's own \"!\" in first place is \\x21.");
        else if (read_value(&r) && !policy_word_is_utf8(ret->value))
                (void) fail(&r,
                            "its escapes do not make valid UTF-8; a pattern with \"?\" for each odd byte can stand for"
                            " it.");

        if (r.failed) {
                *ret_why = r.why;
                return -EINVAL;
        }

        return 0;
}

/* Bytes of the UTF-8 character at @s, which is valid. */
static size_t character_length(const char *s) {
        size_t n = 1;

        while (((unsigned char) s[n] & 0xc0) == 0x80)
                n++;

        return n;
}

/**
 * policy_word_write() - append a term's value as a word that is read as the same again
 * @t: the text
 * @term: the term; its value is valid UTF-8; borrowed
 * @quote: the mark that the word is going to stand in, alone; 0: it stands in a list, or without quotes
 */
void policy_word_write(Text *t, const Term *term, char quote) {
        const char *first = term->value;
        bool in_bracket = false;

        if (term->negated)
                text_add(t, "!");

        for (const char *p = first; *p; ) {
                bool escaped = term->glob && *p == '\\' && p[1];
                size_t n;
                char c;

                if (escaped)
                        p++;

                c = *p;
                n = (unsigned char) c < 0x80 ? 1 : character_length(p);

                if (escaped || (unsigned char) c < 0x20 || c == 0x7f || c == '\\' ||
                    (!quote && strchr(" \t#;\"'", c)) || (quote && c == quote) ||
                    (p == first && c == '!') || (!term->glob && strchr("*?[", c))) {
                        text_add(t, "\\x");
                        text_add_hex(t, (unsigned char) c, 2);
                } else
                        text_add_n(t, p, n);

                if (term->glob && !escaped)
                        in_bracket = in_bracket ? c != ']' : c == '[';

                p += n;
        }
}
