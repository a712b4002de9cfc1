/* SPDX-License-Identifier: GPL-2.0-only WITH Linux-syscall-note */
/*
 * bffault: a block device filter that fails on demand, for tests.
 *
 * In /sys/module/bffault/parameters, for all devices:
 *
 *   attach_delay_ms  ATTACH first sleeps that long
 *   attach_hang      then, while this is 1, it waits uninterruptibly
 *   attach_errno     then it fails with this errno, 0: succeeds
 *   ctl_errno        every CTL fails with this errno, 0: as below
 *   io_hang          while this is 1, writes wait uninterruptibly in the filter
 *   io_running       writes that are in the filter now; read only
 *
 * Unknown commands: EINVAL.
 */
#ifndef _UAPI_LINUX_BFFAULT_H
#define _UAPI_LINUX_BFFAULT_H

/* does nothing, successfully; opt is not looked at */
#define BFFAULT_NOP	0

#endif /* _UAPI_LINUX_BFFAULT_H */
