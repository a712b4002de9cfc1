/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Policies: which devices get which filter. One file with its drop-ins is one policy. A PolicySet is
 * immutable once it is in force: a reload builds a new one and swaps it.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "daemon/match.h"

#define POLICY_RETRY_USEC_DEFAULT   UINT64_C(1000000)
#define POLICY_RETRY_USEC_MIN       UINT64_C(100000)
#define POLICY_RETRY_USEC_MAX       UINT64_C(3600000000)
#define POLICY_TIMEOUT_USEC_DEFAULT UINT64_C(30000000)
#define POLICY_TIMEOUT_USEC_MIN     UINT64_C(1000000)
#define POLICY_TIMEOUT_USEC_MAX     UINT64_C(600000000)
#define POLICY_MODULE_SIZE          56   /* the kernel's limit of a module's name, NUL included */
#define POLICY_OPTIONS_MAX          4096 /* bytes of a filter's options */

/* Which returns of a device are followed: On= */
enum {
        POLICY_ON_BOOT    = 1 << 0, /* it is there when the first daemon since the boot looks */
        POLICY_ON_RESCAN  = 1 << 1, /* its disk's table was read again */
        POLICY_ON_HOTPLUG = 1 << 2, /* its disk came, or came back */
        POLICY_ON_ALL     = (1 << 3) - 1,
};

/* How an attachment is made and kept: [Attach], and what [Filter] has besides the name. Immutable, and
 * shared by counting. */
typedef struct Settings {
        unsigned n_refs;
        unsigned on;            /* POLICY_ON_* */
        bool refuse_change;     /* OnChange=refuse: not when its fingerprint changed */
        bool ignore_conflict;   /* OnConflict=ignore: do not wait for another filter to go */
        uint64_t retry_usec;    /* first delay after a failed attach; it grows up to 64 times this */
        uint64_t timeout_usec;  /* a device that has not answered a job for so long is stuck */
        char module[POLICY_MODULE_SIZE]; /* to be loaded if the filter is not registered; "" none */
        uint8_t *options;       /* options_size bytes for the filter; owned; NULL if none */
        size_t options_size;
} Settings;

/* One assignment that counts: what a policy's file and its drop-ins say in the end, in the order of
 * sections and keys of policy-keys.c. */
typedef struct PolicyLine {
        const char *section; /* "Match", ...; static */
        const char *key;     /* "PartUUID", ...; static */
        char *value;         /* as written, with its quotes if it has any; owned */
        const char *path;    /* of the file that it stands in; shared */
        unsigned line;       /* from 1 */
} PolicyLine;

typedef struct Policy {
        char *name; /* file name without folder, the key of precedence: "20-data.conf" */
        const char *path; /* full path of the file it was read from, without drop-ins; shared */
        Match *match;
        char filter[FILTER_NAME_SIZE];
        Settings *settings;
        PolicyLine *lines; /* n_lines elements; may be none where a policy was not read from a file */
        size_t n_lines;
        bool is_kept; /* as it was kept over a restart: which drop-ins it had is not known */
} Policy;

/* One thing wrong in one file. */
typedef struct PolicyError {
        char *path;      /* the file, of a policy or of a drop-in, or the folder */
        char *name;      /* of the policy that it is about, "20-data.conf"; NULL if it is about no one policy */
        unsigned line;   /* from 1; 0 if no one line is to blame */
        char *message;   /* a sentence: what is wrong, what was expected */
        bool kept_last;  /* the last good version of the policy stays in force */
        bool is_warning; /* every policy is as its files say all the same */
} PolicyError;

typedef struct PolicySet {
        Policy **policies; /* sorted by name, no two alike */
        size_t n_policies;
        PolicyError *errors; /* in the order of the files */
        size_t n_errors;
} PolicySet;

Settings *settings_default(void);
int settings_new(Settings **ret);
Settings *settings_ref(const Settings *s);
Settings *settings_unref(Settings *s);
bool settings_equal(const Settings *a, const Settings *b);

Policy *policy_free(Policy *p);
int policy_copy(const Policy *p, Policy **ret);

PolicySet *policy_set_new(void);
PolicySet *policy_set_free(PolicySet *s);
int policy_set_add(PolicySet *s, Policy *p);
int policy_set_note(PolicySet *s, const PolicyError *e);
int policy_set_add_error(PolicySet *s, const char *path, unsigned line, const char *message, bool kept_last);
const Policy *policy_set_get(const PolicySet *s, const char *name);
