/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Records: an attachment as text, a key=value on each line. What state.c keeps in files. Values
 * have their control bytes, and backslashes, written as "\xHH".
 */

#include "daemon/attachment.h"

#define BOOT_ID_SIZE 33 /* 32 hexadecimal digits, NUL */

/* A match of as many terms as there may be, each of bytes that have to be escaped, is the most of it. */
#define RECORD_SIZE_MAX (128 * 1024)

/* What a record says besides. */
typedef struct RecordNote {
        char boot[BOOT_ID_SIZE]; /* in which it was written; "" not known */
} RecordNote;

int record_format(const Attachment *a, const RecordNote *note, uint64_t now_realtime_usec, char **ret);
int record_parse(char *text, Attachment **ret, RecordNote *ret_note);
