/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * blkfilterctl: what its files share. Each verb is a function that gets its arguments and returns an
 * exit status; what goes wrong is said in a sentence on standard error.
 */

#include <stdbool.h>
#include <stdint.h>

#include <systemd/sd-bus.h>

/* Exit statuses; they are an interface, and stand in --help. */
enum {
        STATUS_OK = 0,
        STATUS_NO = 1,        /* the answer is no: not intact, not attached in time, files with errors */
        STATUS_USAGE = 2,     /* the arguments make no sense */
        STATUS_FAILED = 3,    /* the daemon, or the system, refused or failed */
        STATUS_NO_DAEMON = 4, /* the daemon cannot be reached */
};

typedef enum Output {
        OUTPUT_TEXT,
        OUTPUT_JSON_SHORT,  /* in one line */
        OUTPUT_JSON_PRETTY,
} Output;

typedef struct Ctl {
        Output output;
        bool without_legend, without_pager, without_password, quiet;
        bool without_start;           /* a daemon that is not there is not started */
        bool choose, persistent;      /* of attach */
        const char *host, *machine;   /* NULL: here */
        const char *since, *timeout, *payload; /* as given; NULL: not */
        sd_bus *bus;                  /* see client_open() */
} Ctl;

/* Verbs: argv has argc arguments, without the verb itself. */
int verb_list(Ctl *c, int argc, char *argv[]);
int verb_status(Ctl *c, int argc, char *argv[]);
int verb_explain(Ctl *c, int argc, char *argv[]);
int verb_probe(Ctl *c, int argc, char *argv[]);
int verb_attach(Ctl *c, int argc, char *argv[]);
int verb_detach(Ctl *c, int argc, char *argv[]);
int verb_forget(Ctl *c, int argc, char *argv[]);
int verb_reload(Ctl *c, int argc, char *argv[]);
int verb_intact(Ctl *c, int argc, char *argv[]);
int verb_wait(Ctl *c, int argc, char *argv[]);
int verb_monitor(Ctl *c, int argc, char *argv[]);
int verb_verify(Ctl *c, int argc, char *argv[]);
int verb_cat_config(Ctl *c, int argc, char *argv[]);
int verb_ctl(Ctl *c, int argc, char *argv[]);
int verb_count(Ctl *c, int argc, char *argv[]);
int verb_track(Ctl *c, int argc, char *argv[]);
int verb_blksnap(Ctl *c, int argc, char *argv[]);

/* main.c */
int complain(int status, const char *format, ...) __attribute__((format(printf, 2, 3)));
