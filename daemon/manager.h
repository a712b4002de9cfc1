/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * The manager owns everything and wires it: events and results go into the core, its actions go
 * out. Here is what the bus side may ask of it. All calls are from the event loop and return at
 * once. What takes time answers by callback, exactly once; if the answer is known at once the
 * callback is called before the call returns.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "daemon/attachment.h"
#include "daemon/explain.h"
#include "daemon/identity.h"
#include "daemon/job.h"
#include "daemon/manager-ops.h"
#include "daemon/needs.h"
#include "daemon/policy.h"

typedef struct Manager Manager;

int manager_new(const ManagerOps *ops, Manager **ret);
Manager *manager_free(Manager *m);
int manager_start(Manager *m);
bool manager_is_settled(const Manager *m);

/* For the outside: what it has to tell. */
void manager_run(Manager *m);
void manager_device(Manager *m, const DeviceEvent *e);
void manager_module(Manager *m, bool gone);
void manager_interface(Manager *m, bool gone);
void manager_lost(Manager *m);
void manager_told(Manager *m);
void manager_job_done(Manager *m, const JobRequest *request, const JobReply *reply, int memfd);

/* For those that hold a device back: wait.c. */
typedef enum DeviceWait {
        DEVICE_DECIDED, /* what belongs on it is on it, or will not be, for all that is known */
        DEVICE_PENDING,
        DEVICE_UNTOLD,  /* what is on the device is not known */
} DeviceWait;

uint64_t manager_get_wait_usec(const Manager *m);
DeviceWait manager_check_device(const Manager *m, const char *name, uint64_t seqnum, const Attachment **ret);
bool manager_check_all(const Manager *m);
void manager_tell_not_waited(const char *name, const Attachment *a, uint64_t waited_usec);

/* Why a request was not done. Each has a D-Bus error name in dbus/bus-error.c. */
typedef enum RequestError {
        REQUEST_OK,
        REQUEST_E_INVALID,        /* an argument makes no sense */
        REQUEST_E_NO_SUCH_DEVICE, /* nothing present answers to that device */
        REQUEST_E_NO_IDENTITY,    /* the device has nothing to recognise it by */
        REQUEST_E_AMBIGUOUS,      /* two devices have that identity */
        REQUEST_E_NOT_REGISTERED, /* the kernel has no filter of that name */
        REQUEST_E_CONFLICT,       /* another filter is on the device */
        REQUEST_E_NOT_ATTACHED,   /* that filter is not on the device */
        REQUEST_E_ATTACHED,       /* the filter is on a device, or may be */
        REQUEST_E_WANTED,         /* a policy wants it */
        REQUEST_E_NO_ATTACHMENT,  /* no attachment knows the device */
        REQUEST_E_NO_COMMAND,     /* the filter takes no commands */
        REQUEST_E_RAW_COMMAND,    /* the command is not known, and such are not allowed */
        REQUEST_E_UNSUPPORTED,    /* the kernel has no filters */
        REQUEST_E_LOCKED,         /* another program holds the disk's lock */
        REQUEST_E_STUCK,          /* the device does not answer */
        REQUEST_E_TIMED_OUT,      /* no answer in time: the outcome is unknown */
        REQUEST_E_STALE,          /* the device changed between the question and the act */
        REQUEST_E_LIMIT,          /* too many requests at once */
        REQUEST_E_FAILED,         /* anything else; the message says what */
        _REQUEST_ERROR_MAX,
} RequestError;

/* What a caller's device argument stands for right now. */
typedef struct Subject {
        char device[JOB_NODE_SIZE]; /* kernel name, e.g. "sda1" */
        char disk[JOB_NODE_SIZE];   /* its whole disk */
        uint64_t uid;               /* of that very device object; it never returns */
        char identity[512];         /* what it is recognised by, as known now: "PARTUUID=... PARTLABEL=..."; "" none */
} Subject;

typedef struct RequestBuffer {
        uint32_t payload_offset; /* in: where in the payload its address goes */
        uint32_t size;           /* bytes */
        const void *data;        /* size bytes; borrowed, valid during the call; as a memfd: NULL */
} RequestBuffer;

/* A command to a filter. The caller's: borrowed for the call. */
typedef struct RequestCommand {
        uint32_t command;             /* the filter's number for it */
        const void *payload;          /* payload_size bytes; what the kernel leaves of them is the answer */
        size_t payload_size;
        const RequestBuffer *buffers; /* n_buffers elements; each gets memory of its own, whose address is written into
                                       * the payload, 8 bytes at payload_offset, which lie within it */
        size_t n_buffers;
        bool as_memfd;                /* the buffers' data is NULL, they begin as zeros and are answered as a memfd */
} RequestCommand;

typedef struct RequestAnswer {
        RequestError error;
        const char *message;           /* a sentence with the next step; NULL if REQUEST_OK */
        const Attachment *attachment;  /* ATTACH: where it is kept; else NULL */
        int32_t result;                /* CTL: 0, or the filter's own errno as a negative number */
        const void *payload;           /* CTL: payload_size bytes as the kernel left them */
        size_t payload_size;
        const RequestBuffer *buffers;  /* CTL: n_buffers as asked, as the kernel left them; as a memfd: data NULL */
        size_t n_buffers;
        int memfd;                     /* CTL as a memfd: sealed, nobody can change it any more; else not valid */
        const uint64_t *memfd_offsets; /* n_buffers elements: where in it each buffer begins */
} RequestAnswer;

/* Called exactly once. The answer and all it points to are borrowed for the call. */
typedef void (*RequestDone)(const RequestAnswer *answer, void *userdata);

/* What a caller of ATTACH may want besides. */
typedef struct AttachOptions {
        bool choose;     /* this one of several devices with the same identity */
        bool persistent; /* after the next boot too: it becomes a policy */
} AttachOptions;

RequestError manager_resolve(Manager *m, const char *device, Subject *ret, char **ret_message);

void manager_attach(Manager *m, const Subject *subject, const char *filter, const AttachOptions *options,
                    RequestDone done, void *userdata);
void manager_detach(Manager *m, const Subject *subject, const char *filter, RequestDone done, void *userdata);
void manager_ctl(Manager *m, const Subject *subject, const char *filter, const RequestCommand *command,
                 RequestDone done, void *userdata);
void manager_forget(Manager *m, const char *id, RequestDone done, void *userdata);
void manager_request_forget(Manager *m, void *userdata);
int manager_reload(Manager *m);

const AttachmentSet *manager_get_attachments(Manager *m);
const PolicySet *manager_get_policies(Manager *m);
KernelInterface manager_get_interface(Manager *m);
const char *manager_get_interface_reason(Manager *m);
int manager_list_needs(Manager *m, Need **ret, size_t *ret_n);
bool manager_get_raw_commands(Manager *m);
RequestError manager_explain(Manager *m, const char *device, Explanation *ret, char **ret_message);
const Attachment *manager_find_attachment(Manager *m, const Subject *subject);

/* What the bus side is told. Called from the event loop when the core is consistent. */
typedef struct ManagerListener {
        void (*attachment_added)(const Attachment *a, void *userdata);
        void (*attachment_removed)(const Attachment *a, void *userdata); /* still valid during the call */
        void (*attachment_changed)(const Attachment *a, uint32_t changed, void *userdata);
        void (*manager_changed)(void *userdata); /* KernelInterface, ConfigErrors or a count */
        void *userdata;
} ManagerListener;

void manager_set_listener(Manager *m, const ManagerListener *listener);
