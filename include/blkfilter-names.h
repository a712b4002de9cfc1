/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Public names and limits: what clients, policies and the journal meet. They are an interface:
 * a name once released keeps its meaning.
 */

#define BLKFILTER_BUS_NAME            "org.blkfilter1"
#define BLKFILTER_OBJECT_ROOT         "/org/blkfilter1"
#define BLKFILTER_OBJECT_ATTACHMENT   "/org/blkfilter1/attachment"
#define BLKFILTER_INTERFACE_MANAGER   "org.blkfilter1.Manager"
#define BLKFILTER_INTERFACE_ATTACHMENT "org.blkfilter1.Attachment"

#define BLKFILTER_SYSLOG_IDENTIFIER    "blkfilterd"

#define BLKFILTER_ACTION_ATTACH       "org.blkfilter1.attach"
#define BLKFILTER_ACTION_DETACH       "org.blkfilter1.detach"
#define BLKFILTER_ACTION_CTL          "org.blkfilter1.ctl"
#define BLKFILTER_ACTION_CTL_RAW      "org.blkfilter1.ctl-raw"
#define BLKFILTER_ACTION_RELOAD       "org.blkfilter1.reload"

#define BLKFILTER_ERROR_PREFIX        "org.blkfilter1.Error."
