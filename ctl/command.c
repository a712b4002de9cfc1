/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "blkfilter-names.h"
#include "ctl/command.h"
#include "daemon/text.h"

/**
 * answer_deinit() - release an answer
 * @a: all zeros afterwards
 */
void answer_deinit(Answer *a) {
        sd_bus_message_unref(a->message);
        *a = (Answer) { 0 };
}

static int read_answer(Answer *a, int32_t *ret_result) {
        const void *p;
        int r;

        r = sd_bus_message_read(a->message, "i", ret_result);
        if (r >= 0)
                r = sd_bus_message_read_array(a->message, 'y', &p, &a->payload_size);
        if (r < 0)
                return r;
        a->payload = p;

        r = sd_bus_message_enter_container(a->message, 'a', "ay");
        if (r >= 0 && sd_bus_message_at_end(a->message, false) == 0) {
                r = sd_bus_message_read_array(a->message, 'y', &p, &a->buffer_size);
                a->buffer = p;
        }
        return r;
}

/**
 * command_send() - send a command to a filter, with at most one buffer
 * @c: see client_new_call()
 * @device: as a user names it
 * @filter: its name
 * @command: its number
 * @payload: @size bytes; NULL if @size is 0
 * @size: bytes
 * @offset: where in the payload the buffer's address goes
 * @buffer: @buffer_size bytes; NULL: zeros
 * @buffer_size: 0: no buffer
 * @ret: answer_deinit() releases it, on failure too
 *
 * Return: STATUS_OK, or another exit status after a sentence.
 */
int command_send(Ctl *c, const char *device, const char *filter, uint32_t command, const void *payload, size_t size,
                        uint32_t offset, const void *buffer, size_t buffer_size, Answer *ret) {
        sd_bus_message *call = NULL;
        void *zeros = NULL;
        int32_t result;
        int r, status;

        *ret = (Answer) { 0 };
        status = client_new_call(c, BLKFILTER_OBJECT_ROOT, BLKFILTER_INTERFACE_MANAGER, "Ctl", &call);
        if (status != STATUS_OK)
                return status;

        r = sd_bus_message_append(call, "ssu", device, filter, command);
        if (r >= 0)
                r = sd_bus_message_append_array(call, 'y', payload, size);
        if (r >= 0)
                r = sd_bus_message_open_container(call, 'a', "(uay)");
        if (r >= 0 && buffer_size > 0) {
                if (!buffer)
                        buffer = zeros = calloc(1, buffer_size);
                r = buffer ? sd_bus_message_open_container(call, 'r', "uay") : -ENOMEM;
                if (r >= 0)
                        r = sd_bus_message_append(call, "u", offset);
                if (r >= 0)
                        r = sd_bus_message_append_array(call, 'y', buffer, buffer_size);
                if (r >= 0)
                        r = sd_bus_message_close_container(call);
        }
        if (r >= 0)
                r = sd_bus_message_close_container(call);
        if (r >= 0)
                r = sd_bus_message_append(call, "a{sv}", 0);
        status = r < 0 ? client_fault(r) : client_send(c, call, &ret->message);
        free(zeros);
        sd_bus_message_unref(call);

        if (status == STATUS_OK) {
                r = read_answer(ret, &result);
                if (r < 0)
                        status = client_fault(r);
                else if (result < 0)
                        status = complain(STATUS_FAILED, "filter %s on %s refused command %" PRIu32 ": %s", filter,
                                          device, command, strerror(-result));
        }

        return status;
}

/**
 * hex_parse() - bytes of hexadecimal digits
 * @text: pairs of digits; blanks and colons between pairs
 * @ret: room for PAYLOAD_MAX bytes
 * @ret_size: bytes
 *
 * Return: whether it is that.
 */
bool hex_parse(const char *text, uint8_t *ret, size_t *ret_size) {
        size_t n = 0;

        while (*text) {
                char two[3] = { text[0], text[1], 0 };

                if (*text == ' ' || *text == ':') {
                        text++;
                        continue;
                }
                if (n == PAYLOAD_MAX || !text[1])
                        return false;
                if (!ascii_is_hex(two[0]) || !ascii_is_hex(two[1]))
                        return false;
                ret[n++] = (uint8_t) strtoul(two, NULL, 16);
                text += 2;
        }

        *ret_size = n;
        return true;
}

/**
 * hex_of() - bytes as hexadecimal digits
 * @bytes: n elements
 * @n: how many
 *
 * Return: two digits for each; owned by the caller, NULL if there is no memory.
 */
char *hex_of(const uint8_t *bytes, size_t n) {
        char *hex = malloc(2 * n + 1);

        for (size_t i = 0; hex && i < n; i++)
                (void) snprintf(hex + 2 * i, 3, "%02x", bytes[i]);
        if (hex)
                hex[2 * n] = 0;
        return hex;
}

static uint64_t read_number(const uint8_t *p, size_t size) {
        uint64_t t;
        uint32_t u;

        switch (size) {
        case 8:
                memcpy(&t, p, sizeof(t));
                return t;
        case 4:
                memcpy(&u, p, sizeof(u));
                return u;
        default:
                return *p;
        }
}

/**
 * command_print_layout() - print the fields of an answer, as lines or as JSON
 * @c: output
 * @a: the answer
 * @layout: @n elements; those of 16 bytes are ids, the others numbers of 1, 4 or 8
 * @n: how many
 * @size: bytes that the payload must have
 *
 * Return: STATUS_OK, or STATUS_FAILED after a sentence.
 */
int command_print_layout(Ctl *c, const Answer *a, const Layout *layout, size_t n, size_t size) {
        json_object *o = NULL;

        if (a->payload_size != size)
                return client_fault(-EBADMSG);

        if (c->output != OUTPUT_TEXT) {
                o = json_object_new_object();
                (void) json_object_object_add(o, "version", json_object_new_int(JSON_VERSION));
        }

        for (size_t i = 0; i < n; i++) {
                const uint8_t *p = a->payload + layout[i].offset;
                char *id = layout[i].size == 16 ? hex_of(p, 16) : NULL;

                if (layout[i].size == 16 && !id) {
                        (void) json_object_put(o);
                        return client_fault(-ENOMEM);
                }

                if (o)
                        (void) json_object_object_add(o, layout[i].name,
                                                      id ? json_object_new_string(id) :
                                                      json_object_new_uint64(read_number(p, layout[i].size)));
                else if (id)
                        (void) printf("%20s: %s\n", layout[i].name, id);
                else
                        (void) printf("%20s: %" PRIu64 "\n", layout[i].name, read_number(p, layout[i].size));
                free(id);
        }

        return o ? json_print(c, o) : STATUS_OK;
}
