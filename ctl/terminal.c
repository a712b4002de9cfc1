/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Sentences are as long as they are; a terminal breaks them in the middle of a word, and a pager cuts them off. So they
 * are broken between words where they go to a terminal, and there only: who reads them from a pipe gets a line each.
 */

#include <stdarg.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>
#include <wchar.h>

#include "ctl/terminal.h"

#define COLUMNS_USUAL  80 /* of a terminal that does not say it, as a serial console */
#define COLUMNS_MIN    20 /* on a narrower one nothing is broken */
#define INDENT_OF_LONG 4

static size_t ask_terminal(int fd) {
        struct winsize size = { 0 };
        const char *e = getenv("COLUMNS");
        unsigned long n = e ? strtoul(e, NULL, 10) : 0;

        if (!isatty(fd))
                return 0;
        if (n == 0 || n > 10000)
                n = ioctl(fd, TIOCGWINSZ, &size) == 0 && size.ws_col > 0 ? size.ws_col : COLUMNS_USUAL;
        return n < COLUMNS_MIN ? 0 : n;
}

/**
 * terminal_columns() - how wide the terminal is that a stream goes to
 * @f: stdout or stderr
 *
 * The first answer stays: to be asked before a pager takes the terminal's place.
 *
 * Return: columns; 0: it is no terminal, or so narrow a one that it makes no difference.
 */
size_t terminal_columns(FILE *f) {
        static size_t columns[2];
        static bool known[2];
        size_t i = f == stderr;

        if (!known[i])
                columns[i] = ask_terminal(i == 0 ? STDOUT_FILENO : STDERR_FILENO);
        known[i] = true;
        return columns[i];
}

/*
 * The character at s: its bytes, at least 1 unless n is 0, and columns. What switches a colour is one without columns.
 */
static size_t next_character(const char *s, size_t n, size_t *ret_columns) {
        mbstate_t state = { 0 };
        wchar_t c;
        size_t size;
        int width;

        *ret_columns = 0;
        if (n > 1 && s[0] == '\033' && s[1] == '[') {
                size = 2 + strspn(s + 2, "0123456789;");
                return size < n ? size + 1 : n;
        }

        size = mbrtowc(&c, s, n, &state);
        if (size == 0 || size > n) {
                /* not of this locale's encoding: a column for each byte that begins a character, were it UTF-8 */
                *ret_columns = ((unsigned char) s[0] & 0xc0) != 0x80;
                return n > 0;
        }

        width = wcwidth(c);
        *ret_columns = width > 0 ? (size_t) width : 0;
        return size;
}

/**
 * text_columns() - how wide a text is
 * @s: in the encoding of the locale; may contain what switches colours
 * @n: its bytes
 *
 * Return: columns.
 */
size_t text_columns(const char *s, size_t n) {
        size_t sum = 0, columns;

        for (size_t i = 0; i < n; ) {
                i += next_character(s + i, n - i, &columns);
                sum += columns;
        }

        return sum;
}

/**
 * text_cut() - a text that is at most so wide
 * @s: the text
 * @columns: at least 1; what does not fit is replaced by "…"
 *
 * Return: owned by the caller, NULL if there is no memory.
 */
char *text_cut(const char *s, size_t columns) {
        size_t n = strlen(s), sum = 0, at = 0, width;
        char *cut;

        if (text_columns(s, n) <= columns)
                return strdup(s);

        for (size_t size; at < n; at += size, sum += width) {
                size = next_character(s + at, n - at, &width);
                if (sum + width > columns - 1)
                        break;
        }

        return asprintf(&cut, "%.*s…", (int) at, s) < 0 ? NULL : cut;
}

/* Where a word begins that does not fit behind the one before: further left than usual if it is a long one. */
static size_t start_of(size_t width, size_t indent, size_t columns) {
        if (indent + width <= columns)
                return indent;
        if (width > columns)
                return 0;

        return columns - width < INDENT_OF_LONG ? columns - width : INDENT_OF_LONG;
}

/* The words of a text of one line, broken between them. A word that is wider than a line is left to the terminal. */
static void print_words(FILE *f, size_t columns, size_t indent, const char *s) {
        size_t at = 0;
        bool first = true;

        while (*s) {
                size_t n_blanks = strspn(s, " "), n = strcspn(s + n_blanks, " ");
                size_t width = text_columns(s + n_blanks, n), start = start_of(width, indent, columns);

                /* blanks in front of the text are meant */
                if (!first && n > 0 && at + n_blanks + width > columns) {
                        (void) fprintf(f, "\n%*s", (int) start, "");
                        at = start;
                } else {
                        (void) fprintf(f, "%*s", (int) n_blanks, "");
                        at += n_blanks;
                }
                (void) fwrite(s + n_blanks, 1, n, f);
                at += width;
                s += n_blanks + n;
                first = false;
        }

        (void) fputc('\n', f);
}

static int __attribute__((format(printf, 3, 0)))
print_lines(FILE *f, size_t indent, const char *format, va_list ap) {
        size_t columns = terminal_columns(f);
        char *text;
        int n = vasprintf(&text, format, ap);

        if (n < 0) {
                (void) fputs("there is no memory\n", stderr);
                return n;
        }

        if (columns == 0 || indent + COLUMNS_MIN > columns)
                (void) fprintf(f, "%s\n", text);
        else
                print_words(f, columns, indent, text);
        free(text);
        return 0;
}

/**
 * text_print() - print a line, which may become several on a terminal
 * @f: stdout or stderr
 * @indent: columns in front of the second line and those that follow
 * @format: as printf(3), without the end of the line; nothing in it but words and blanks
 *
 * Return: 0, or negative: there is no memory.
 */
int text_print(FILE *f, size_t indent, const char *format, ...) {
        va_list ap;
        int r;

        va_start(ap, format);
        r = print_lines(f, indent, format, ap);
        va_end(ap);
        return r;
}

/**
 * say() - text_print() to standard output, without an indent
 * @format: as there
 *
 * Return: as text_print().
 */
int say(const char *format, ...) {
        va_list ap;
        int r;

        va_start(ap, format);
        r = print_lines(stdout, 0, format, ap);
        va_end(ap);
        return r;
}
