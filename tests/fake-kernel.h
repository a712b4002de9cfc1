/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * The ioctls for filters, made up: whatever the program calls ioctl() for comes here (-Wl,--wrap=ioctl). It answers as
 * the kernel of real.world does, and takes nothing that must not be sent: a number before it is known what it means
 * there, what would change anything while a question is asked, a DETACH that corrupts the kernel. For one file of a
 * program.
 */

#include <stdarg.h>

#include "blkfilter-abi.h"

#include "daemon/question.h"
#include "tests/fake-hold.h"

int __wrap_ioctl(int fd, unsigned long number, ...);

/* The filters of this kernel. The last one takes no commands. */
static const char *const registered[] = { "bfcount", "bffault", "bftrack", "blksnap", "strange" };

#define MUTE "strange"

static int answer_errno(int error) {
        if (!error)
                return 0;
        errno = error;
        return -1;
}

static const char *find_registered(const char *name) {
        for (size_t i = 0; i < sizeof(registered) / sizeof(registered[0]); i++)
                if (str_equal(registered[i], name))
                        return registered[i];

        return NULL;
}

static const char *name_of(const uint8_t *name) {
        CHECK(memchr(name, 0, BLKFILTER_NAME_SIZE));
        return (const char *) name;
}

static void change(void) {
        CHECK(real.kind == JOB_ATTACH || real.kind == JOB_DETACH);
}

static int do_fake_attach(const char **on, const uint8_t *name, uint64_t opt, uint32_t optlen) {
        const char *filter = find_registered(name_of(name));

        if (!filter)
                return ENOENT;
        if ((*on)[0])
                return str_equal(*on, filter) ? EALREADY : EBUSY;
        if (real.attach_error)
                return real.attach_error;

        change();
        CHECK(real.kind == JOB_ATTACH && optlen <= sizeof(real.options) && !opt == !optlen);
        real.n_attached++;
        real.options_size = optlen;
        if (optlen > 0)
                memcpy(real.options, (const void *) (uintptr_t) opt, optlen);
        *on = filter;
        return 0;
}

static int do_fake_detach(const char **on, const uint8_t *name) {
        if (!(*on)[0])
                return ENOENT;
        if (!str_equal(*on, name_of(name)))
                return EINVAL;

        change();
        real.n_detached++;
        *on = "";
        return 0;
}

static int do_fake_ctl(const char *on, int other, const uint8_t *name, uint32_t cmd, uint64_t opt, uint32_t optlen) {
        uint32_t need;

        real.n_ctl++;
        CHECK(real.confined == (real.kind == JOB_CTL) && (real.kind == JOB_CTL || cmd == 0));

        if (!on[0])
                return ENOENT;
        if (!str_equal(on, name_of(name)))
                return other;
        if (str_equal(on, MUTE))
                return ENOTTY;

        need = str_equal(on, "bffault") ? 0 : str_equal(on, "bfcount") ? 48 : real.id_size;
        if (real.ctl_error || cmd != 0 || optlen < need)
                return real.ctl_error ?: EINVAL;

        if (optlen > 0)
                memset((void *) (uintptr_t) opt, 0xff, optlen);
        if (question_tells_generation(on))
                memcpy((uint8_t *) (uintptr_t) opt + 16, real.id, sizeof(real.id));
        return 0;
}

/* What a block device answers; which numbers may reach it depends on whether it knows them. */
static int call_device(int which, unsigned long number, void *arg) {
        const struct blkfilter_abi_attach *attach = arg;
        const struct blkfilter_abi_name *name = arg;
        const struct blkfilter_abi_ctl *ctl = arg;
        const World *w = real.world;

        CHECK(real.is_open[which]);
        real.fd = which == DISK ? real.disk : real.part;

        if (real.kind == JOB_PROBE)
                CHECK((number == BLKFILTER1_ATTACH || number == BLKFILTER2_DETACH) && !name->name[0]);
        else
                CHECK(w->interface == KERNEL_INTERFACE_BLKFILTER_1 || w->interface == KERNEL_INTERFACE_BLKFILTER_2);

        if (w->own == 1)
                switch (number) {
                case BLKFILTER1_ATTACH:
                        return do_fake_attach(&real.on[which], name->name, 0, 0);
                case BLKFILTER1_DETACH:
                        return do_fake_detach(&real.on[which], name->name);
                case BLKFILTER1_CTL:
                        return do_fake_ctl(real.on[which], w->ctl_other, ctl->name, ctl->cmd, ctl->opt, ctl->optlen);
                }

        if (w->own == 2)
                switch (number) {
                case BLKFILTER2_ATTACH:
                        CHECK(attach->pad == 0);
                        return do_fake_attach(&real.on[which], attach->name, attach->opt, attach->optlen);
                case BLKFILTER2_DETACH:
                        return do_fake_detach(&real.on[which], name->name);
                case BLKFILTER2_CTL:
                        return do_fake_ctl(real.on[which], w->ctl_other, ctl->name, ctl->cmd, ctl->opt, ctl->optlen);
                }

        /* not known, so it was a question; not one whose number means something to this kernel's drivers */
        CHECK(real.kind == JOB_PROBE);
        return w->unknown;
}

static int which_of_path(uint64_t devpath) {
        const char *path = (const char *) (uintptr_t) devpath;
        int which = str_equal(path, "/dev/disk1") ? PART : DISK;

        CHECK(which == PART || str_equal(path, "/dev/disk"));
        CHECK(real.is_open[which]); /* else anything may be behind that path */
        real.fd = which == DISK ? real.disk : real.part;
        return which;
}

static int call_node(unsigned long number, void *arg) {
        const struct bdevfilter_abi_attach *attach = arg;
        const struct bdevfilter_abi_name *name = arg;
        const struct bdevfilter_abi_ctl *ctl = arg;
        unsigned size = real.world->node;
        int which = which_of_path(name->devpath);
        const char **on = &real.on_node[which];

        if (real.kind == JOB_PROBE)
                CHECK((number == BDEVFILTER_ATTACH_40 || number == BDEVFILTER_ATTACH_56) && !name->name[0]);
        else
                CHECK(number == BDEVFILTER_DETACH || number == BDEVFILTER_CTL ||
                      number == (size == 40 ? BDEVFILTER_ATTACH_40 : BDEVFILTER_ATTACH_56));

        if ((number == BDEVFILTER_ATTACH_40 && size != 40) || (number == BDEVFILTER_ATTACH_56 && size != 56))
                return ENOTTY;

        if (real.path_fails)
                return real.path_fails;

        switch (number) {
        case BDEVFILTER_ATTACH_40:
                return do_fake_attach(on, name->name, 0, 0);
        case BDEVFILTER_ATTACH_56:
                CHECK(attach->pad == 0);
                return do_fake_attach(on, attach->name, attach->opt, attach->optlen);
        case BDEVFILTER_DETACH:
                CHECK(str_equal(*on, name_of(name->name))); /* it would be the end of this kernel */
                return do_fake_detach(on, name->name);
        case BDEVFILTER_CTL:
                return do_fake_ctl(*on, ENOENT, ctl->name, ctl->cmd, ctl->opt, ctl->optlen);
        }

        CHECK(false);
        return ENOTTY;
}

int __wrap_ioctl(int fd, unsigned long number, ...) {
        va_list ap;
        void *arg;

        va_start(ap, number);
        arg = va_arg(ap, void *);
        va_end(ap);

        real.n_calls++;
        if (real.confined)
                CHECK(fd == real.confined_fd && number == real.confined_request);

        if (fd == NODE_FD)
                return answer_errno(call_node(number, arg));

        CHECK(fd == real.disk || fd == real.part);
        return answer_errno(call_device(fd == real.part ? PART : DISK, number, arg));
}
