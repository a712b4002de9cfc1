/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "ctl/output.h"
#include "ctl/terminal.h"

#define FINDING_INDENT 4 /* columns, of the further lines of what is wrong in a policy file */

static int colours = -1; /* not decided yet */

/* As no-color.org and systemd's tools have it; decided before a pager takes the terminal's place. */
static bool colours_wanted(void) {
        const char *e = getenv("SYSTEMD_COLORS");

        if (colours < 0) {
                if (e && *e)
                        colours = strcmp(e, "0") != 0 && strcmp(e, "false") != 0 && strcmp(e, "no") != 0;
                else
                        colours = isatty(STDOUT_FILENO) && !(getenv("NO_COLOR") && *getenv("NO_COLOR")) &&
                                strcmp(getenv("TERM") ?: "dumb", "dumb") != 0;
        }

        return colours > 0;
}

/**
 * colour_on() - what switches a colour on
 * @colour: which
 *
 * Return: static; "" where there is no colour.
 */
const char *colour_on(Colour colour) {
        static const char *const codes[] = {
                [COLOUR_NONE] = "",           [COLOUR_GOOD] = "\033[0;32m",
                [COLOUR_WARN] = "\033[0;33m", [COLOUR_BAD] = "\033[0;1;31m",
                [COLOUR_DIM] = "\033[0;2m",   [COLOUR_BOLD] = "\033[0;1m",
        };

        return colours_wanted() ? codes[colour] : "";
}

/**
 * colour_off() - what switches a colour off again
 *
 * Return: static; "" where there is no colour.
 */
const char *colour_off(void) {
        return colours_wanted() ? "\033[0m" : "";
}

/**
 * colour_of_state() - the colour of a state
 * @state: of an attachment, by its name on the bus
 *
 * Return: green: on; red: somebody has to do something; yellow: it may come right by itself.
 */
Colour colour_of_state(const char *state) {
        static const char *const bad[] = { "conflict", "ambiguous", "refused", "failed", "stuck", "unsupported" };

        if (strcmp(state, "attached") == 0)
                return COLOUR_GOOD;
        for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
                if (strcmp(state, bad[i]) == 0)
                        return COLOUR_BAD;

        return COLOUR_WARN;
}

static uint64_t clock_usec(clockid_t id) {
        struct timespec t;

        (void) clock_gettime(id, &t);
        return (uint64_t) t.tv_sec * 1000000 + (uint64_t) t.tv_nsec / 1000;
}

/**
 * time_now_usec() - the time, which anybody may set
 *
 * Return: microseconds since 1970.
 */
uint64_t time_now_usec(void) {
        return clock_usec(CLOCK_REALTIME);
}

/**
 * time_monotonic_usec() - the time of a clock that nobody sets, to measure a span by
 *
 * Return: microseconds since an unknown moment.
 */
uint64_t time_monotonic_usec(void) {
        return clock_usec(CLOCK_MONOTONIC);
}

/**
 * time_to_string() - a time in the local time zone
 * @usec: microseconds since 1970; 0: none
 * @ret: as in "Fri 2026-11-27 13:42:49 UTC"; "-" for none
 */
void time_to_string(uint64_t usec, char ret[static TIME_SIZE]) {
        time_t t = (time_t) (usec / 1000000);
        struct tm tm;

        if (!usec || !localtime_r(&t, &tm) || strftime(ret, TIME_SIZE, "%a %Y-%m-%d %H:%M:%S %Z", &tm) == 0)
                (void) snprintf(ret, TIME_SIZE, "-");
}

/**
 * span_to_string() - how long something took
 * @usec: microseconds
 * @ret: as in "0.100s", or in two units: "12min 5s"
 */
void span_to_string(uint64_t usec, char ret[static TIME_SIZE]) {
        const struct {
                uint64_t usec;
                const char *unit, *small;
                uint64_t small_usec;
        } units[] = {
                { UINT64_C(86400000000), "d", "h", UINT64_C(3600000000) },
                { UINT64_C(3600000000), "h", "min", UINT64_C(60000000) },
                { UINT64_C(60000000), "min", "s", UINT64_C(1000000) },
        };

        for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++)
                if (usec >= units[i].usec) {
                        (void) snprintf(ret, TIME_SIZE, "%" PRIu64 "%s %" PRIu64 "%s", usec / units[i].usec,
                                        units[i].unit, usec % units[i].usec / units[i].small_usec, units[i].small);
                        return;
                }

        (void) snprintf(ret, TIME_SIZE, "%" PRIu64 ".%03" PRIu64 "s", usec / 1000000, usec / 1000 % 1000);
}

/* Decimal fraction of a second at *s, moved behind it: microseconds. */
static uint64_t parse_fraction(const char **s) {
        uint64_t usec = 0, unit = 100000;

        if (**s != '.')
                return 0;
        for ((*s)++; **s >= '0' && **s <= '9'; (*s)++) {
                usec += (uint64_t) (**s - '0') * unit;
                unit /= 10;
        }

        return usec;
}

/**
 * span_parse() - a time span: "90", "1.5s", "10min", "2h 30min"
 * @text: without a unit: seconds
 * @ret: microseconds
 *
 * Return: whether it is one.
 */
bool span_parse(const char *text, uint64_t *ret) {
        static const struct {
                const char *name;
                uint64_t usec;
        } units[] = {
                { "min", 60000000 }, { "ms", 1000 }, { "s", 1000000 }, { "m", 60000000 }, { "h", UINT64_C(3600000000) },
                { "d", UINT64_C(86400000000) }, { "w", UINT64_C(604800000000) }, { "", 1000000 },
        };
        uint64_t sum = 0;

        do {
                uint64_t n = 0, fraction;
                size_t i = 0;

                if (*text < '0' || *text > '9')
                        return false;
                for (; *text >= '0' && *text <= '9'; text++) {
                        if (n > 1000000000)
                                return false;
                        n = n * 10 + (uint64_t) (*text - '0');
                }
                fraction = parse_fraction(&text);
                while (*text == ' ')
                        text++;
                while (strncmp(text, units[i].name, strlen(units[i].name)) != 0)
                        i++;
                text += strlen(units[i].name);
                if (units[i].name[0] == 0 && *text)
                        return false;
                if (n > (UINT64_MAX - sum) / units[i].usec - 1)
                        return false;
                sum += n * units[i].usec + fraction * (units[i].usec / 1000) / 1000;
                while (*text == ' ')
                        text++;
        } while (*text);

        *ret = sum;
        return true;
}

/**
 * time_parse() - a point in time
 * @text: "@SECONDS" with a fraction or not, since 1970; "YYYY-MM-DD", "YYYY-MM-DD HH:MM", "YYYY-MM-DD HH:MM:SS" with a
 *        fraction or not, "T" for the space, in the local time zone, or UTC with "Z" or " UTC" behind it; "-SPAN" or
 *        "SPAN ago"; "now"
 * @now_usec: now
 * @ret: microseconds since 1970
 *
 * Return: whether it is one.
 */
bool time_parse(const char *text, uint64_t now_usec, uint64_t *ret) {
        static const char *const formats[] = { "%Y-%m-%d %H:%M:%S", "%Y-%m-%dT%H:%M:%S", "%Y-%m-%d %H:%M",
                                               "%Y-%m-%dT%H:%M", "%Y-%m-%d" };
        size_t n = strlen(text);
        char copy[64], *end;
        uint64_t span;

        if (n == 0 || n >= sizeof(copy))
                return false;
        if (strcmp(text, "now") == 0) {
                *ret = now_usec;
                return true;
        }

        if (text[0] == '@') {
                unsigned long long seconds;
                const char *rest;

                if (text[1] < '0' || text[1] > '9')
                        return false;
                errno = 0;
                seconds = strtoull(text + 1, &end, 10);
                if (errno || seconds > UINT64_C(1000000000000))
                        return false;
                rest = end;
                *ret = (uint64_t) seconds * 1000000 + parse_fraction(&rest);
                return !*rest;
        }

        memcpy(copy, text, n + 1);
        if (n > 4 && strcmp(copy + n - 4, " ago") == 0) {
                copy[n - 4] = 0;
                if (!span_parse(copy, &span) || span > now_usec)
                        return false;
                *ret = now_usec - span;
                return true;
        }
        if (copy[0] == '-') {
                if (!span_parse(copy + 1, &span) || span > now_usec)
                        return false;
                *ret = now_usec - span;
                return true;
        }

        for (size_t i = 0; i < sizeof(formats) / sizeof(formats[0]); i++) {
                struct tm tm = { .tm_isdst = -1 };
                const char *rest = strptime(copy, formats[i], &tm);
                uint64_t fraction = 0;
                time_t t;

                if (!rest)
                        continue;
                if (i < 2)
                        fraction = parse_fraction(&rest);
                if (strcmp(rest, "Z") == 0 || strcmp(rest, " UTC") == 0)
                        t = timegm(&tm);
                else if (!*rest)
                        t = mktime(&tm);
                else
                        continue;
                if (t < 0)
                        return false;
                *ret = (uint64_t) t * 1000000 + fraction;
                return true;
        }

        return false;
}

static void add(json_object *o, const char *key, json_object *value) {
        (void) json_object_object_add(o, key, value);
}

/**
 * json_of_shown() - an attachment, with the names of its D-Bus properties
 * @s: the attachment
 *
 * Return: owned by the caller.
 */
json_object *json_of_shown(const Shown *s) {
        json_object *o = json_object_new_object(), *gaps = json_object_new_array(), *facts = json_object_new_object();

        add(o, "Path", json_object_new_string(s->path));
        add(o, "Filter", json_object_new_string(s->filter));
        add(o, "Identity", json_object_new_string(s->identity));
        add(o, "Source", json_object_new_string(s->source));
        add(o, "Policy", json_object_new_string(s->policy));
        add(o, "Device", json_object_new_string(s->device));
        add(o, "State", json_object_new_string(s->state));
        add(o, "StateReason", json_object_new_string(s->reason));
        add(o, "IntactSince", json_object_new_uint64(s->intact_since_usec));
        for (size_t i = 0; i < s->n_gaps; i++) {
                json_object *gap = json_object_new_object();

                add(gap, "begin", json_object_new_uint64(s->gaps[i].begin_usec));
                add(gap, "latest", json_object_new_uint64(s->gaps[i].latest_usec));
                add(gap, "end", json_object_new_uint64(s->gaps[i].end_usec));
                add(gap, "reason", json_object_new_string(s->gaps[i].reason));
                (void) json_object_array_add(gaps, gap);
        }
        add(o, "Gaps", gaps);
        add(o, "GapCount", json_object_new_uint64(s->gap_count));
        add(o, "AttachCount", json_object_new_uint64(s->attach_count));
        for (size_t i = 0; i < s->n_facts; i++)
                add(facts, s->facts[i].key,
                    s->facts[i].is_number ? json_object_new_uint64(strtoull(s->facts[i].value, NULL, 10)) :
                                            json_object_new_string(s->facts[i].value));
        add(o, "Fingerprint", facts);
        return o;
}

/**
 * print_finding() - a line of what is wrong in a policy file, as a compiler has it
 * @f: where to
 * @indent: columns before it; further lines of it begin a little behind
 * @file: its path
 * @line: from 1; 0: no one line
 * @message: a sentence
 */
void print_finding(FILE *f, size_t indent, const char *file, uint32_t line, const char *message) {
        if (line > 0)
                (void) text_print(f, indent + FINDING_INDENT, "%*s%s:%" PRIu32 ": %s", (int) indent, "", file, line,
                                  message);
        else
                (void) text_print(f, indent + FINDING_INDENT, "%*s%s: %s", (int) indent, "", file, message);
}

/**
 * json_of_finding() - what is wrong in a policy file
 * @file: its path
 * @line: from 1; 0: no one line
 * @message: a sentence
 *
 * Return: owned by the caller.
 */
json_object *json_of_finding(const char *file, uint32_t line, const char *message) {
        json_object *o = json_object_new_object();

        add(o, "file", json_object_new_string(file));
        add(o, "line", json_object_new_uint64(line));
        add(o, "message", json_object_new_string(message));
        return o;
}

/**
 * json_print() - print an object as --json= wants it
 * @c: output
 * @o: consumed
 *
 * Return: STATUS_OK.
 */
int json_print(const Ctl *c, json_object *o) {
        int flags = JSON_C_TO_STRING_NOSLASHESCAPE;

        if (c->output == OUTPUT_JSON_PRETTY)
                flags |= JSON_C_TO_STRING_PRETTY | JSON_C_TO_STRING_SPACED;
        (void) printf("%s\n", json_object_to_json_string_ext(o, flags));
        (void) json_object_put(o);
        return STATUS_OK;
}
