/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* blkfilterctl: options, and which verb. */

#include <getopt.h>
#include <locale.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "config.h"
#include "ctl/agent.h"
#include "ctl/output.h"
#include "ctl/pager.h"
#include "ctl/terminal.h"

static const struct {
        const char *name, *arguments;
        int min, max; /* arguments; max -1: any number */
        int (*run)(Ctl *c, int argc, char *argv[]);
        const char *what;
} verbs[] = {
        { "list", "", 0, 0, verb_list, "the attachments, a line each; without a verb, too" },
        { "status", "[DEVICE…]", 0, -1, verb_status, "the daemon, or all about a device's attachment" },
        { "explain", "DEVICE", 1, 1, verb_explain, "what each policy makes of a device, key by key" },
        { "attach", "DEVICE FILTER", 2, 2, verb_attach, "put a filter on a device" },
        { "detach", "DEVICE [FILTER]", 1, 2, verb_detach, "take it off, until it is attached or the next boot" },
        { "forget", "DEVICE", 1, 1, verb_forget, "take back what was asked for by hand" },
        { "intact", "DEVICE", 1, 1, verb_intact, "whether every write was seen since --since=" },
        { "wait", "DEVICE", 1, 1, verb_wait, "until its filter is on" },
        { "monitor", "", 0, 0, verb_monitor, "what happens, as it happens" },
        { "reload", "", 0, 0, verb_reload, "have the policy files read again" },
        { "verify", "[FILE…]", 0, -1, verb_verify, "whether policy files are right; needs no daemon" },
        { "cat-config", "[NAME…]", 0, -1, verb_cat_config, "the policy files that count; needs no daemon" },
        { "probe", "", 0, 0, verb_probe, "which interface for filters the kernel has" },
        { "ctl", "DEVICE FILTER COMMAND", 3, 3, verb_ctl, "send a command by its number, --payload= with it" },
        { "count", "read|reset DEVICE", 2, 2, verb_count, "bfcount's counters" },
        { "blksnap", "COMMAND DEVICE …", 2, -1, verb_blksnap, "blksnap's info, map, dirty, add, image" },
        { "track", "info|map|clear DEVICE", 2, 2, verb_track, "bftrack's map: ranges that were written, in bytes" },
};

#define N_VERBS (sizeof(verbs) / sizeof(verbs[0]))

/**
 * complain() - a sentence on standard error
 * @status: is returned
 * @format: as printf(3), without the name of the program and the end of the line
 */
int complain(int status, const char *format, ...) {
        va_list ap;
        char *text;
        int n;

        (void) fflush(stdout);
        va_start(ap, format);
        n = vasprintf(&text, format, ap);
        va_end(ap);
        if (n < 0)
                return status;

        (void) text_print(stderr, sizeof("blkfilterctl: ") - 1, "blkfilterctl: %s", text);
        free(text);
        return status;
}

static void help(void) {
        (void) printf("blkfilterctl [OPTION…] VERB …\n\n"
                      "Block device filters: what is attached, what is not and why. A DEVICE is a\n"
                      "path, or PARTUUID=, PARTLABEL=, UUID= or LABEL= as in fstab.\n\n");
        for (size_t i = 0; i < N_VERBS; i++) {
                char left[64];

                (void) snprintf(left, sizeof(left), "%s %s", verbs[i].name, verbs[i].arguments);
                /* three bytes for one column */
                (void) printf("  %-*s %s\n", strstr(left, "…") ? 29 : 27, left, verbs[i].what);
        }
        (void) printf("\n"
                      "  -h, --help                 this text\n"
                      "      --version              the version\n"
                      "      --json=pretty|short    JSON, with the names of the D-Bus API; off: text\n"
                      "      --no-legend            without headings and sums\n"
                      "      --no-pager             without a pager\n"
                      "  -q, --quiet                without a word; the exit status says it\n"
                      "      --no-ask-password      no question for a password\n"
                      "      --since=TIME           of intact: \"2026-11-27 13:00\", \"2h ago\"\n"
                      "      --timeout=SPAN         of wait: \"30s\"\n"
                      "      --persistent           of attach: after the next boot too\n"
                      "      --choose               of attach: this one of several that are the same\n"
                      "      --payload=HEX          of ctl\n"
                      "  -H, --host=[USER@]HOST     over ssh\n"
                      "  -M, --machine=CONTAINER    in a local container\n\n"
                      "Exit status: 0 yes, done; 1 the answer is no; 2 the arguments make no sense;\n"
                      "3 refused or failed; 4 the daemon cannot be reached.\n");
}

static int parse(Ctl *c, int argc, char *argv[]) {
        enum {
                OPT_VERSION = 256,
                OPT_JSON,
                OPT_NO_LEGEND,
                OPT_NO_PAGER,
                OPT_NO_PASSWORD,
                OPT_SINCE,
                OPT_TIMEOUT,
                OPT_PERSISTENT,
                OPT_CHOOSE,
                OPT_PAYLOAD
        };
        static const struct option options[] = {
                { "help", no_argument, NULL, 'h' },
                { "version", no_argument, NULL, OPT_VERSION },
                { "json", required_argument, NULL, OPT_JSON },
                { "no-legend", no_argument, NULL, OPT_NO_LEGEND },
                { "no-pager", no_argument, NULL, OPT_NO_PAGER },
                { "quiet", no_argument, NULL, 'q' },
                { "no-ask-password", no_argument, NULL, OPT_NO_PASSWORD },
                { "since", required_argument, NULL, OPT_SINCE },
                { "timeout", required_argument, NULL, OPT_TIMEOUT },
                { "persistent", no_argument, NULL, OPT_PERSISTENT },
                { "choose", no_argument, NULL, OPT_CHOOSE },
                { "payload", required_argument, NULL, OPT_PAYLOAD },
                { "host", required_argument, NULL, 'H' },
                { "machine", required_argument, NULL, 'M' },
                {},
        };
        int o;

        while ((o = getopt_long(argc, argv, "hqH:M:", options, NULL)) >= 0)
                switch (o) {
                case 'h':
                        help();
                        exit(STATUS_OK);
                case OPT_VERSION:
                        (void) printf("blkfilterctl %s\n", VERSION);
                        exit(STATUS_OK);
                case OPT_JSON:
                        if (strcmp(optarg, "pretty") == 0)
                                c->output = OUTPUT_JSON_PRETTY;
                        else if (strcmp(optarg, "short") == 0)
                                c->output = OUTPUT_JSON_SHORT;
                        else if (strcmp(optarg, "off") != 0)
                                return complain(STATUS_USAGE, "--json=%s is not known; pretty, short and off are",
                                                optarg);
                        break;
                case OPT_NO_LEGEND:
                        c->without_legend = true;
                        break;
                case OPT_NO_PAGER:
                        c->without_pager = true;
                        break;
                case 'q':
                        c->quiet = true;
                        break;
                case OPT_NO_PASSWORD:
                        c->without_password = true;
                        break;
                case OPT_SINCE:
                        c->since = optarg;
                        break;
                case OPT_TIMEOUT:
                        c->timeout = optarg;
                        break;
                case OPT_PERSISTENT:
                        c->persistent = true;
                        break;
                case OPT_CHOOSE:
                        c->choose = true;
                        break;
                case OPT_PAYLOAD:
                        c->payload = optarg;
                        break;
                case 'H':
                        c->host = optarg;
                        break;
                case 'M':
                        c->machine = optarg;
                        break;
                default:
                        return complain(STATUS_USAGE, "blkfilterctl --help tells what can be said");
                }

        return STATUS_OK;
}

static int run_verb(Ctl *c, const char *verb, int argc, char *argv[]) {
        for (size_t i = 0; i < N_VERBS; i++) {
                if (strcmp(verbs[i].name, verb) != 0)
                        continue;
                if (argc < verbs[i].min || (verbs[i].max >= 0 && argc > verbs[i].max))
                        return complain(STATUS_USAGE, "%s takes %s, as in \"blkfilterctl %s%s%s\"", verb,
                                        verbs[i].max == 0 ? "no arguments" : argc < verbs[i].min ? "more arguments" :
                                        "fewer arguments", verb, verbs[i].arguments[0] ? " " : "", verbs[i].arguments);
                return verbs[i].run(c, argc, argv);
        }

        return complain(STATUS_USAGE, "%s is not known; blkfilterctl --help has the verbs", verb);
}

int main(int argc, char *argv[]) {
        Ctl c = { 0 };
        int status;

        (void) setlocale(LC_ALL, "");
        (void) signal(SIGPIPE, SIG_IGN);

        status = parse(&c, argc, argv);
        if (status == STATUS_OK)
                status = run_verb(&c, optind < argc ? argv[optind] : "list", argc - optind - (optind < argc),
                                  argv + optind + (optind < argc));

        agent_close();
        pager_close();
        if (status == STATUS_OK && ferror(stdout))
                status = STATUS_FAILED;
        sd_bus_flush_close_unref(c.bus);
        return status;
}
