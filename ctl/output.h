/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* How things look: colour, times, JSON. */

#include <json-c/json.h>
#include <stddef.h>
#include <stdio.h>

#include "ctl/client.h"

#define JSON_VERSION 1 /* of the shape of what --json= prints; what comes later is added without a new one */
#define TIME_SIZE 64

typedef enum Colour { COLOUR_NONE, COLOUR_GOOD, COLOUR_WARN, COLOUR_BAD, COLOUR_DIM, COLOUR_BOLD } Colour;

const char *colour_on(Colour colour);
const char *colour_off(void);
Colour colour_of_state(const char *state);

void time_to_string(uint64_t usec, char ret[static TIME_SIZE]);
void span_to_string(uint64_t usec, char ret[static TIME_SIZE]);
bool time_parse(const char *text, uint64_t now_usec, uint64_t *ret);
bool span_parse(const char *text, uint64_t *ret);
uint64_t time_now_usec(void);
uint64_t time_monotonic_usec(void);

void print_finding(FILE *f, size_t indent, const char *file, uint32_t line, const char *message);

json_object *json_of_shown(const Shown *s);
json_object *json_of_finding(const char *file, uint32_t line, const char *message);
int json_print(const Ctl *c, json_object *o);
