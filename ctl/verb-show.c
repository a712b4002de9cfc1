/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* What there is: list, status, probe. */

#include <errno.h>
#include <inttypes.h>
#include <libsmartcols/libsmartcols.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "ctl/output.h"
#include "ctl/pager.h"
#include "ctl/terminal.h"

#define FIELD_INDENT 12 /* columns, of what print_field() prints behind a name */
#define ERRORS_SHOWN 5

enum { COLUMN_DEVICE, COLUMN_FILTER, COLUMN_STATE, COLUMN_SINCE, COLUMN_IDENTITY, N_COLUMNS };

static const char *const column_names[N_COLUMNS] = { "DEVICE", "FILTER", "STATE", "INTACT SINCE", "IDENTITY" };

/* What is in the columns before the identity. */
static void get_cells(const Shown *s, char since[static TIME_SIZE], const char *ret[static COLUMN_IDENTITY]) {
        time_to_string(s->intact_since_usec, since);
        ret[COLUMN_DEVICE] = s->device[0] ? s->device : "-";
        ret[COLUMN_FILTER] = s->filter;
        ret[COLUMN_STATE] = s->state;
        /* the weekday is of no use in a column; status has it */
        ret[COLUMN_SINCE] = s->intact_since_usec ? since + 4 : since;
}

/* How much room a terminal leaves for the identity, which is cut to it: whole it is in status, and in a pipe. */
static size_t room_for_identity(const Ctl *c, const Shown *items, size_t n) {
        size_t widths[COLUMN_IDENTITY] = { 0 }, sum = 0;
        size_t columns = terminal_columns(stdout), heading = strlen(column_names[COLUMN_IDENTITY]);

        if (columns == 0)
                return SIZE_MAX;

        for (size_t k = 0; k < COLUMN_IDENTITY && !c->without_legend; k++)
                widths[k] = strlen(column_names[k]);
        for (size_t i = 0; i < n; i++) {
                const char *cells[COLUMN_IDENTITY];
                char since[TIME_SIZE];

                get_cells(&items[i], since, cells);
                for (size_t k = 0; k < COLUMN_IDENTITY; k++) {
                        size_t width = text_columns(cells[k], strlen(cells[k]));

                        if (width > widths[k])
                                widths[k] = width;
                }
        }
        for (size_t k = 0; k < COLUMN_IDENTITY; k++)
                sum += widths[k] + 1;

        return columns > sum + heading ? columns - sum : heading;
}

static int print_table(Ctl *c, const Shown *items, size_t n) {
        struct libscols_table *table = scols_new_table();
        size_t room = room_for_identity(c, items, n);
        bool ok = table != NULL;

        for (size_t i = 0; ok && i < N_COLUMNS; i++)
                ok = scols_table_new_column(table, column_names[i], 0, 0) != NULL;
        if (ok) {
                (void) scols_table_enable_noheadings(table, c->without_legend);
                /* a pager may stand between it and the terminal: it is not to look for itself */
                (void) scols_table_set_termforce(table, SCOLS_TERMFORCE_NEVER);
        }

        for (size_t i = 0; ok && i < n; i++) {
                struct libscols_line *line = scols_table_new_line(table, NULL);
                char *identity = text_cut(items[i].identity, room), since[TIME_SIZE];
                const char *cells[COLUMN_IDENTITY];

                get_cells(&items[i], since, cells);
                ok = line && identity && scols_line_set_data(line, COLUMN_IDENTITY, identity) == 0;
                for (size_t k = 0; ok && k < COLUMN_IDENTITY; k++)
                        ok = scols_line_set_data(line, k, cells[k]) == 0;
                if (ok && colour_on(COLOUR_GOOD)[0])
                        ok = scols_cell_set_color(scols_line_get_cell(line, COLUMN_STATE),
                                                  colour_on(colour_of_state(items[i].state))) == 0;
                free(identity);
        }

        if (ok && colour_on(COLOUR_GOOD)[0])
                (void) scols_table_enable_colors(table, true);
        if (ok)
                ok = scols_print_table(table) == 0;
        scols_unref_table(table);
        return ok ? STATUS_OK : client_fault(-ENOMEM);
}

/** verb_list() - a line for each attachment */
int verb_list(Ctl *c, int argc, char *argv[]) {
        const char *unsupported = NULL;
        size_t n, n_on = 0;
        Shown *items;
        int status;

        (void) argc;
        (void) argv;

        status = client_list(c, &items, &n);
        if (status != STATUS_OK)
                return status;

        if (c->output != OUTPUT_TEXT) {
                json_object *o = json_object_new_object(), *array = json_object_new_array();

                (void) json_object_object_add(o, "version", json_object_new_int(JSON_VERSION));
                for (size_t i = 0; i < n; i++)
                        (void) json_object_array_add(array, json_of_shown(&items[i]));
                (void) json_object_object_add(o, "attachments", array);
                shown_free_all(items, n);
                return json_print(c, o);
        }

        pager_open(c);
        if (n > 0)
                status = print_table(c, items, n);
        if (n > 0 && !c->without_legend)
                (void) printf("\n");
        for (size_t i = 0; i < n; i++) {
                n_on += strcmp(items[i].state, "attached") == 0;
                if (!unsupported && strcmp(items[i].state, "unsupported") == 0)
                        unsupported = items[i].reason;
        }
        if (status == STATUS_OK && !c->without_legend && unsupported)
                (void) say("Unsupported: %s.", unsupported);
        if (status == STATUS_OK && !c->without_legend)
                (void) say("%zu attachment%s, %zu attached.%s", n, n == 1 ? "" : "s", n_on,
                           n > 0 ? "" :
                           " Policies in /etc/blkfilter.d say what gets a filter; see blkfilterctl attach, too.");
        shown_free_all(items, n);
        return status;
}

/* "   Policy: ...": as systemctl status. */
static void print_field(const char *name, const char *format, ...) __attribute__((format(printf, 2, 3)));
static void print_field(const char *name, const char *format, ...) {
        va_list ap;
        char *value;
        int n;

        va_start(ap, format);
        n = vasprintf(&value, format, ap);
        va_end(ap);
        if (n < 0)
                return;

        (void) text_print(stdout, 12, "%10s%s %s", name, name[0] ? ":" : " ", value);
        free(value);
}

static void print_gap(const char *name, const ShownGap *g) {
        char begin[TIME_SIZE], latest[TIME_SIZE], span[TIME_SIZE];

        time_to_string(g->begin_usec, begin);
        time_to_string(g->latest_usec, latest);
        span_to_string(g->end_usec > g->begin_usec ? g->end_usec - g->begin_usec : 0, span);
        if (g->latest_usec > g->begin_usec && !g->end_usec)
                print_field(name, "%s, lasts, %s, begun by %s", begin, g->reason, latest);
        else if (!g->end_usec)
                print_field(name, "%s, lasts, %s", begin, g->reason);
        else
                print_field(name, "%s, %s, %s", begin, span, g->reason);
}

static void print_shown(const Shown *s) {
        char since[TIME_SIZE], span[TIME_SIZE];
        Colour colour = colour_of_state(s->state);

        (void) printf("%s●%s %s - %s\n", colour_on(colour), colour_off(), s->device[0] ? s->device : "(no device)",
                      s->filter);
        print_field("State", "%s%s%s", colour_on(colour), s->state, colour_off());
        print_field("", "%s", s->reason);
        print_field("Identity", "%s", s->identity);
        if (s->policy[0])
                print_field("Policy", "%s", s->policy);
        else
                print_field("Source", "%s",
                            strcmp(s->source, "runtime") == 0 ? "attached by hand, until the next boot" : s->source);

        if (s->intact_since_usec) {
                uint64_t now = time_now_usec();

                time_to_string(s->intact_since_usec, since);
                span_to_string(now > s->intact_since_usec ? now - s->intact_since_usec : 0, span);
                print_field("Intact", "since %s; %s ago", since, span);
        } else
                print_field("Intact", "no");

        if (s->gap_count > 0)
                print_field("Gaps", "%" PRIu64 "%s", s->gap_count, s->n_gaps > 5 ? ", the last 5:" : "");
        for (size_t i = s->n_gaps > 5 ? s->n_gaps - 5 : 0; i < s->n_gaps; i++)
                print_gap("", &s->gaps[i]);

        for (size_t i = 0, first = 1; i < s->n_facts; i++)
                if (s->facts[i].value[0]) {
                        print_field(first ? "Proven" : "", "%s=%s", s->facts[i].key, s->facts[i].value);
                        first = 0;
                }
        print_field("Object", "%s", s->path);
}

static void add_interface(json_object *o, const ShownDaemon *d) {
        json_object *filters = json_object_new_array();

        (void) json_object_object_add(o, "KernelInterface", json_object_new_string(d->interface));
        (void) json_object_object_add(o, "KernelInterfaceReason", json_object_new_string(d->interface_reason));
        for (size_t i = 0; i < d->n_filters; i++) {
                json_object *f = json_object_new_object();

                (void) json_object_object_add(f, "Filter", json_object_new_string(d->filters[i].name));
                (void) json_object_object_add(f, "Registered", json_object_new_string(d->filters[i].registered));
                (void) json_object_object_add(f, "Reason", json_object_new_string(d->filters[i].reason));
                (void) json_object_array_add(filters, f);
        }
        (void) json_object_object_add(o, "Filters", filters);
}

static bool has_filters(const ShownDaemon *d) {
        return strcmp(d->interface, "none") != 0 && strcmp(d->interface, "unknown") != 0;
}

static json_object *json_of_daemon(const ShownDaemon *d) {
        json_object *o = json_object_new_object(), *counts = json_object_new_object();
        json_object *errors = json_object_new_array();

        (void) json_object_object_add(o, "version", json_object_new_int(JSON_VERSION));
        (void) json_object_object_add(o, "Version", json_object_new_string(d->version));
        add_interface(o, d);
        for (size_t i = 0; i < d->errors.n_items; i++)
                (void) json_object_array_add(errors, json_of_finding(d->errors.items[i].file, d->errors.items[i].line,
                                                                     d->errors.items[i].message));
        (void) json_object_object_add(o, "ConfigErrors", errors);
        for (size_t i = 0; i < d->n_counts; i++)
                (void) json_object_object_add(counts, d->counts[i].state, json_object_new_int64(d->counts[i].n));
        (void) json_object_object_add(o, "Counts", counts);
        return o;
}

/* What is wrong in policy files, as reload has it; of a whole folder full the first ones. */
static void print_errors(const ShownErrors *e) {
        print_field("Policies", "%s%zu wrong%s:", colour_on(COLOUR_BAD), e->n_items, colour_off());
        for (size_t i = 0; i < e->n_items && i < ERRORS_SHOWN; i++) {
                print_finding(stdout, FIELD_INDENT, e->items[i].file, e->items[i].line, e->items[i].message);
        }
        if (e->n_items > ERRORS_SHOWN)
                print_field("", "and %zu more; --json=pretty has all of them", e->n_items - ERRORS_SHOWN);
}

static void print_daemon(const ShownDaemon *d) {
        bool any = false;

        (void) printf("%s●%s blkfilterd %s\n", colour_on(COLOUR_GOOD), colour_off(), d->version);
        if (has_filters(d))
                print_field("Kernel", "%s", d->interface);
        else
                print_field("Kernel", "%s%s%s: %s", colour_on(COLOUR_BAD), d->interface, colour_off(),
                            d->interface_reason);
        for (size_t i = 0; i < d->n_counts; i++)
                if (d->counts[i].n > 0) {
                        print_field(any ? "" : "Filters", "%" PRIu32 " %s%s%s", d->counts[i].n,
                                    colour_on(colour_of_state(d->counts[i].state)), d->counts[i].state, colour_off());
                        any = true;
                }
        if (!any)
                print_field("Filters", "none; no policy wants one, and none was attached by hand");
        any = false;
        for (size_t i = 0; i < d->n_filters; i++)
                if (strcmp(d->filters[i].registered, "no") == 0) {
                        print_field(any ? "" : "Missing", "%s%s%s: %s", colour_on(COLOUR_BAD), d->filters[i].name,
                                    colour_off(), d->filters[i].reason);
                        any = true;
                }
        if (d->errors.n_items > 0)
                print_errors(&d->errors);
}

static int status_of_daemon(Ctl *c) {
        ShownDaemon d;
        int status = client_get_daemon(c, &d);

        if (status == STATUS_OK && c->output != OUTPUT_TEXT)
                status = json_print(c, json_of_daemon(&d));
        else if (status == STATUS_OK)
                print_daemon(&d);

        shown_daemon_deinit(&d);
        return status;
}

/** verb_status() - the daemon, or all about the attachments of devices */
int verb_status(Ctl *c, int argc, char *argv[]) {
        json_object *o = NULL, *array = NULL;
        int status = STATUS_OK;

        if (argc == 0)
                return status_of_daemon(c);

        if (c->output != OUTPUT_TEXT) {
                o = json_object_new_object();
                array = json_object_new_array();
                (void) json_object_object_add(o, "version", json_object_new_int(JSON_VERSION));
                (void) json_object_object_add(o, "attachments", array);
        } else
                pager_open(c);

        for (int i = 0; i < argc; i++) {
                char *path = NULL;
                Shown s = { 0 };
                int one = client_get_path(c, argv[i], &path);

                if (one == STATUS_OK)
                        one = client_get(c, path, &s);
                if (one == STATUS_OK && array)
                        (void) json_object_array_add(array, json_of_shown(&s));
                else if (one == STATUS_OK) {
                        if (i > 0)
                                (void) printf("\n");
                        print_shown(&s);
                } else
                        status = one;

                shown_deinit(&s);
                free(path);
        }

        if (o)
                (void) json_print(c, o);
        return status;
}

/** verb_probe() - which interface for filters the kernel has, which filters are needed, and what to do for them */
int verb_probe(Ctl *c, int argc, char *argv[]) {
        ShownDaemon d;
        int status;

        (void) argc;
        (void) argv;

        status = client_get_daemon(c, &d);
        if (status != STATUS_OK) {
                shown_daemon_deinit(&d);
                return status;
        }

        if (!has_filters(&d))
                status = STATUS_NO;

        if (c->output != OUTPUT_TEXT) {
                json_object *o = json_object_new_object();

                (void) json_object_object_add(o, "version", json_object_new_int(JSON_VERSION));
                add_interface(o, &d);
                (void) json_print(c, o);
        } else {
                (void) say("%s: %s", d.interface, d.interface_reason);
                for (size_t i = 0; i < d.n_filters && has_filters(&d); i++)
                        (void) say("filter %s: %s, %s", d.filters[i].name,
                                   strcmp(d.filters[i].registered, "yes") == 0 ? "registered" :
                                   strcmp(d.filters[i].registered, "no") == 0 ? "not registered" :
                                                                                 "not tried yet",
                                   d.filters[i].reason);
        }

        shown_daemon_deinit(&d);
        return status;
}
