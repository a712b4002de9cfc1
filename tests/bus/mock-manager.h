/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * A manager that is made up: it implements daemon/manager.h with one device, says what a test
 * wants it to say, and notes what it was asked to do.
 */

#include <stdbool.h>

#include "daemon/manager.h"

struct Manager {
        ManagerListener listener;
        AttachmentSet attachments;
        PolicySet *policies;
        KernelInterface interface;
        const Need *needs;            /* n_needs elements, sorted; borrowed */
        size_t n_needs;
        bool raw_commands;

        Subject subject;              /* what any device argument stands for */
        RequestError resolve_error;   /* instead, unless REQUEST_OK */
        RequestError answer_error;    /* of attach, detach and ctl, unless REQUEST_OK */
        const char *message;          /* with either; NULL none */
        int reload_error;
        int32_t ctl_result;
        bool hold;                    /* answer when mock_manager_answer() is called */

        RequestDone done;             /* held */
        void *done_userdata;

        void (*explain)(struct Manager *m, Explanation *e); /* what Explain says; NULL: of sda1 nothing */
        unsigned n_resolve, n_attach, n_detach, n_ctl, n_reload, n_forget, n_forgotten;
        char attachment[ATTACHMENT_ID_SIZE]; /* last argument of manager_forget() */
        char device[64];              /* last argument of manager_resolve() */
        char filter[FILTER_NAME_SIZE];
        AttachOptions options;        /* of the last attach */
        uint32_t command;
        uint8_t generation, generation_step; /* byte 16 of the answer to command 0, and what that grows by */
        bool as_memfd;                /* last command's */
        uint8_t payload[256];         /* last command's */
        size_t payload_size;
        size_t n_buffers;
        RequestBuffer buffers[16];    /* contents not kept */
};

Manager *mock_manager_new(void);
Manager *mock_manager_free(Manager *m);
Attachment *mock_manager_add(Manager *m, const char *filter, const char *uuid);
void mock_manager_remove(Manager *m, Attachment *a);
void mock_manager_answer(Manager *m);
unsigned mock_manager_n_changes(const Manager *m);
