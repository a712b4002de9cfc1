/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/text.h"
#include "dbus/bus-args.h"

/**
 * bus_append_text() - append a string that may come from a disk or a file
 * @m: the message
 * @s: NUL-terminated, any bytes; NULL counts as ""
 *
 * D-Bus takes nothing but UTF-8, and a daemon that cannot answer because of a partition's name
 * would be a poor one: bytes that are none are appended as "\xHH".
 *
 * Return: 0 or positive, -ENOMEM, or a negative errno of sd-bus.
 */
int bus_append_text(sd_bus_message *m, const char *s) {
        _cleanup_(text_deinit) Text t = TEXT_INIT;
        int r;

        if (!s)
                s = "";

        /* It looks itself, before it changes the message: looking first is a second time for what is right. */
        r = sd_bus_message_append_basic(m, 's', s);
        if (r != -EINVAL)
                return r;

        while (*s) {
                size_t n = utf8_char_length(s);

                if (n > 0)
                        text_add_n(&t, s, n);
                else {
                        n = 1;
                        text_add(&t, "\\x");
                        text_add_hex(&t, (unsigned char) *s, 2);
                }
                s += n;
        }

        return t.failed ? -ENOMEM : sd_bus_message_append_basic(m, 's', t.data);
}

static int read_option(sd_bus_message *m, const BusOption *table, void *userdata, sd_bus_error *error) {
        const BusOption *o;
        const char *name;
        char type;
        const char *contents;
        int r;

        r = sd_bus_message_read(m, "s", &name);
        if (r < 0)
                return r;

        for (o = table; o->name; o++)
                if (str_equal(o->name, name))
                        break;

        if (!o->name)
                return sd_bus_error_setf(error, SD_BUS_ERROR_INVALID_ARGS,
                                         "the option \"%s\" is not known to this version; leave it out", name);

        r = sd_bus_message_peek_type(m, &type, &contents);
        if (r < 0)
                return r;

        if (!str_equal(contents, o->type))
                return sd_bus_error_setf(error, SD_BUS_ERROR_INVALID_ARGS,
                                         "the option \"%s\" has the type \"%s\"; it must be \"%s\"", name, contents,
                                         o->type);

        r = sd_bus_message_enter_container(m, 'v', o->type);
        if (r < 0)
                return r;

        r = o->read(m, userdata);
        if (r < 0)
                return r;

        return sd_bus_message_exit_container(m);
}

/**
 * bus_read_options() - read a method's last argument, a{sv}
 * @m: the message, at the argument
 * @table: the options there are, ended by a row without a name
 * @userdata: for the rows' read functions
 * @error: set if the caller is to blame; the caller of this function frees it
 *
 * Return: 0; -EINVAL with @error set for an option that is not in @table or has another type;
 * else a negative errno of sd-bus or of the option's read function.
 */
int bus_read_options(sd_bus_message *m, const BusOption *table, void *userdata, sd_bus_error *error) {
        int r;

        r = sd_bus_message_enter_container(m, 'a', "{sv}");
        if (r < 0)
                return r;

        while ((r = sd_bus_message_enter_container(m, 'e', "sv")) > 0) {
                r = read_option(m, table, userdata, error);
                if (r < 0)
                        return r;

                r = sd_bus_message_exit_container(m);
                if (r < 0)
                        return r;
        }
        if (r < 0)
                return r;

        r = sd_bus_message_exit_container(m);
        return r < 0 ? r : 0;
}

/**
 * bus_read_buffers() - read the buffers of a command, a(uay)
 * @m: the message, at the argument
 * @buffers: room for @max elements; their data point into @m
 * @max: elements at most
 * @ret_n: elements written
 *
 * Return: 0, -E2BIG if there are more than @max, or a negative errno of sd-bus.
 */
int bus_read_buffers(sd_bus_message *m, RequestBuffer *buffers, size_t max, size_t *ret_n) {
        size_t n = 0;
        int r;

        r = sd_bus_message_enter_container(m, 'a', "(uay)");
        if (r < 0)
                return r;

        while ((r = sd_bus_message_enter_container(m, 'r', "uay")) > 0) {
                size_t size;

                if (n == max)
                        return -E2BIG;

                r = sd_bus_message_read(m, "u", &buffers[n].payload_offset);
                if (r >= 0)
                        r = sd_bus_message_read_array(m, 'y', &buffers[n].data, &size);
                if (r >= 0)
                        r = sd_bus_message_exit_container(m);
                if (r < 0)
                        return r;

                buffers[n++].size = (uint32_t) size; /* a D-Bus array ends at 64 MiB */
        }
        if (r < 0)
                return r;

        *ret_n = n;
        r = sd_bus_message_exit_container(m);
        return r < 0 ? r : 0;
}

/**
 * bus_read_buffer_sizes() - read where a command's buffers belong and how large they are, a(uu)
 * @m: the message, at the argument
 * @buffers: room for @max elements; their data is NULL
 * @max: elements at most
 * @ret_n: elements written
 *
 * Return: 0, -E2BIG if there are more than @max, or a negative errno of sd-bus.
 */
int bus_read_buffer_sizes(sd_bus_message *m, RequestBuffer *buffers, size_t max, size_t *ret_n) {
        RequestBuffer b = { 0 };
        size_t n = 0;
        int r;

        r = sd_bus_message_enter_container(m, 'a', "(uu)");
        if (r < 0)
                return r;

        while ((r = sd_bus_message_read(m, "(uu)", &b.payload_offset, &b.size)) > 0) {
                if (n == max)
                        return -E2BIG;
                buffers[n++] = b;
        }
        if (r < 0)
                return r;

        *ret_n = n;
        r = sd_bus_message_exit_container(m);
        return r < 0 ? r : 0;
}
