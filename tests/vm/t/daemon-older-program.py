# SPDX-License-Identifier: LGPL-2.1-or-later
# vm: suite=interfaces interface=blkfilter-2 limit=300
"""A program that was made for blkfilter-1 on a kernel that has blkfilter-2, where the number of its CTL is that of
ATTACH: a question about a filter attaches it. Such an attachment is seen and called another party's, and is never taken
for the daemon's own; where the daemon's filter is, the program can do no harm."""

import ctypes
import errno
import fcntl
import os
import struct
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(__file__), '..', 'guest'))
# pylint: disable=wrong-import-position
import bf
import bfd
import bfp
import blkctl
import interface
import kfilter

FILE = '20-data.conf'
MATCH = f'PartUUID={bfd.uuid(1)}'
OLDER_CTL = 0xC030128E


def older_ctl(device, name, cmd, payload=None):
    """blkfilter-1's CTL. Returns the name of the errno, or OK."""
    where = ctypes.addressof((ctypes.c_char * len(payload)).from_buffer(payload)) if payload else 0
    argument = struct.pack('32sIIQ', name.encode(), cmd, len(payload or b''), where)
    with interface.opened(device) as fd:
        try:
            fcntl.ioctl(fd, OLDER_CTL, bytearray(argument))
        except OSError as error:
            return errno.errorcode[error.errno]
    return 'OK'


def clear(device):
    """What such a program does now and then: forget what was written. No bytes go with it, so that ATTACH has no
    objection."""
    return older_ctl(device, 'bftrack', kfilter.BFTRACK_CLEAR)


def nudge(disk):
    """An event of the disk, about nothing."""
    bf.sh(f'udevadm trigger --settle --action=change /sys/class/block/{bf.name_of(disk)}')
    bfd.quiet()


bfd.begin()

with bf.scsi_debug() as scsi:
    sda = '/dev/' + scsi.disks()[0]
    sda1, sda2 = bf.partition(sda, 1), bf.partition(sda, 2)
    bf.sfdisk(sda, f'label: gpt\nsize=16MiB, uuid={bfd.uuid(1)}\nsize=8MiB, uuid={bfd.uuid(2)}\n')
    bfd.quiet()

    with bf.case('daemon/older-program/a-question-attaches'), bfp.only():
        # what the other cases are about
        bf.equal(interface.ATTACH, OLDER_CTL, 'the number')
        bf.equal((clear(sda2), bf.filter_of(sda2)), ('OK', 'bftrack'), 'the answer, and the filter')
        bf.equal(clear(sda2), 'EALREADY', 'the answer to the same once more')
        kfilter.detach(sda2, 'bftrack')

    with bf.case('daemon/older-program/where-the-daemons-filter-is'), bfp.only():
        bfp.put(FILE, MATCH)
        a = bfp.wait_on(FILE, sda1)[sda1]
        generation = bfd.generation(sda1)
        kfilter.write_direct(sda1, 0, b'x' * 4096)
        bf.equal((clear(sda1), older_ctl(sda1, 'bfcount', kfilter.BFCOUNT_RESET)), ('EALREADY', 'EBUSY'), 'answers')
        bf.equal(kfilter.track_map(sda1), {0}, 'the map')
        nudge(sda)
        bfp.still(a, sda1, generation)

    with bf.case('daemon/older-program/in-the-place-of-another-filter'), bfp.only():
        bfp.put(FILE, MATCH, name='bfcount')
        bfp.wait_on(FILE, sda1)
        bf.busctl_call('Detach', 'ssa{sv}', sda1, 'bfcount', 0)
        bf.equal((clear(sda1), bf.filter_of(sda1)), ('OK', 'bftrack'), 'the answer, and the filter')
        nudge(sda)
        output = blkctl.ctl(f'attach {sda1} bfcount', status=3)
        bf.check('bftrack' in output and 'another' in output, f'the other is named: {output}')
        print(f'# {output}')
        blkctl.ctl(f'forget {sda1}')
        a = bfp.wait(FILE, 'conflict', 'bftrack')
        bf.equal((a.IntactSince, bf.filter_of(sda1)), (0, 'bftrack'), 'IntactSince, and the filter')
        print(f'# {a.StateReason}')
        bf.check('bftrack' in blkctl.ctl(f'status {sda1}'), 'status names it')
        # it is nobody's but the program's to take off; when it is, the policy is in force
        bfd.restart()
        bfd.quiet()
        bfp.wait(FILE, 'conflict', 'bftrack')
        kfilter.detach(sda1, 'bftrack')
        bfp.wait_on(FILE, sda1)

    with bf.case('daemon/older-program/in-the-place-of-the-same-filter'), bfp.only():
        # taken off by hand: it is not on again for that
        bfp.put(FILE, MATCH)
        bfp.wait_on(FILE, sda1)
        bf.busctl_call('Detach', 'ssa{sv}', sda1, 'bftrack', 0)
        before = bfp.wait(FILE, 'detached')
        bf.equal((clear(sda1), bf.filter_of(sda1)), ('OK', 'bftrack'), 'the answer, and the filter')
        generation = bfd.generation(sda1)
        for change in (lambda: nudge(sda), bfd.restart):
            change()
            bfd.quiet()
            a = bfp.one(FILE)
            bf.equal((a.State, a.IntactSince, a.AttachCount), ('detached', 0, before.AttachCount), 'how it stands')
            bf.equal(bfd.generation(sda1), generation, 'attach')
        print(f'# {a.State}: {a.StateReason}')
        # wanted again: it is told that it was there, and counts from now
        found = time.time()
        blkctl.ctl(f'forget {sda1}')
        a = bfp.wait(FILE, 'attached', 'was there already')
        bf.check(a.IntactSince >= found * 1e6, f'intact since {a.IntactSince}, not before {found}')
        bf.equal((bfd.generation(sda1), a.AttachCount), (generation, before.AttachCount),
                 'attach, and attaches of the daemon')
        bf.check('was there already' in blkctl.ctl(f'status {sda1}'), 'status says it')
        print(f'# {a.StateReason}')

    with bf.case('daemon/older-program/while-the-table-is-read-again'), bfp.only():
        # it polls, and wins now and then
        bfp.put(FILE, MATCH, name='bfcount')
        bfp.wait_on(FILE, sda1)

        def ask(_):
            try:
                clear(sda1)
            except OSError:
                pass
            time.sleep(0.002)
        won = 0
        with kfilter.Background(ask) as program:
            for n in range(10):
                bfd.reread(sda)
                program.reach(20 * (n + 1))
                bfd.quiet()
                on = bf.wait_for(lambda: bf.filter_of(sda1), what='a filter')
                won += on == 'bftrack'
                a = bfp.wait(FILE, 'attached') if on == 'bfcount' else bfp.wait(FILE, 'conflict', 'bftrack')
                bf.equal(bool(a.IntactSince), on == 'bfcount', f'whether {a.IntactSince} is a time')
        print(f'# the program was first {won} times of 10')
        if bf.filter_of(sda1) == 'bftrack':
            kfilter.detach(sda1, 'bftrack')
        bfp.wait_on(FILE, sda1)

bfd.end('daemon/older-program')
