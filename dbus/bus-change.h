/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * The methods that change something. The table is in bus-change.c: handlers exist only as its
 * rows make them, and a row without a polkit action does not compile.
 */

#include <systemd/sd-bus.h>

int bus_method_manager_attach(sd_bus_message *m, void *userdata, sd_bus_error *error);
int bus_method_manager_detach(sd_bus_message *m, void *userdata, sd_bus_error *error);
int bus_method_manager_ctl(sd_bus_message *m, void *userdata, sd_bus_error *error);
int bus_method_manager_ctl_memfd(sd_bus_message *m, void *userdata, sd_bus_error *error);
int bus_method_manager_reload(sd_bus_message *m, void *userdata, sd_bus_error *error);
int bus_method_attachment_detach(sd_bus_message *m, void *userdata, sd_bus_error *error);
int bus_method_attachment_forget(sd_bus_message *m, void *userdata, sd_bus_error *error);
int bus_method_attachment_ctl(sd_bus_message *m, void *userdata, sd_bus_error *error);
int bus_method_attachment_ctl_memfd(sd_bus_message *m, void *userdata, sd_bus_error *error);
