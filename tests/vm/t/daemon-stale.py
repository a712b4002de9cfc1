# SPDX-License-Identifier: LGPL-2.1-or-later
# vm: suite=interfaces interface=bdevfilter-56 append=bdevfilter.keep=1 limit=420
"""bdevfilter keeps filters by the number of their device, and nothing promises that one goes with its partition: here
it never does. Who has the number next finds the filter on. The daemon takes off what it has put on another partition,
soon, also if it was not there when the number changed hands; and leaves alone what others have put on."""

import os
import sys
import time
from contextlib import contextmanager

sys.path.insert(0, os.path.join(os.path.dirname(__file__), '..', 'guest'))
# pylint: disable=wrong-import-position
import bf
import bfd
import bfp
import kfilter

FILE = '20-data.conf'
MINE, OTHER, THIRD = bfd.uuid(1), bfd.uuid(2), bfd.uuid(3)
OFF_SEC = 30


def table(first, second=THIRD):
    return f'label: gpt\nstart=2048, size=16MiB, uuid={first}\nstart=40960, size=8MiB, uuid={second}\n'


def rewrite(disk, *uuids):
    """Another table, and the number of each partition is another one's, or the same one's again. Without the re-read of
    the old one that sfdisk begins with."""
    bf.sfdisk(disk, table(*uuids), '--no-reread')
    bf.wait_for(lambda: [bf.partuuid(p) for p in bf.partitions(disk)] == list(uuids), what='the partitions')


def taken_off(device, since=None):
    """Waits until a device has no filter."""
    since = since or time.monotonic()
    bf.wait_for(lambda: bf.filter_of(device) == '', OFF_SEC, f'the stale filter to be taken off {device}')
    print(f'# taken off {device} {time.monotonic() - since:.2f} s after it was looked for')


def only_on(*devices):
    """After quiet, bftrack is on these and on nothing else."""
    bfd.quiet()
    there = [f'/dev/{p}' for disk in scsi.disks() for p in (disk, *bf.partitions(disk))]
    bf.equal([d for d in there if bf.filter_of(d)], sorted(devices), 'devices with a filter on')
    bf.equal(kfilter.refcount('bftrack'), len(devices), 'devices with bftrack on them')


@contextmanager
def attached():
    """bftrack on the first partition, by its UUID."""
    rewrite(sda, MINE, THIRD)
    with bfp.only():
        bfp.put(FILE, f'PartUUID={MINE}')
        a = bfp.wait_on(FILE, sda1)[sda1]
        bfd.quiet()
        yield a
    rewrite(sda, MINE, THIRD)


bfd.begin()

with bf.scsi_debug(2) as scsi:
    sda, sdb = (f'/dev/{disk}' for disk in scsi.disks())
    sda1, sda2 = bf.partition(sda, 1), bf.partition(sda, 2)
    bf.sfdisk(sda, table(MINE, THIRD))
    bfd.quiet()

    with bf.case('daemon/stale/the-kernel-keeps-it'):
        # what the other cases are about, by the daemon's absence
        with bfd.without():
            kfilter.attach(sda1, 'bftrack')
            rewrite(sda, OTHER, THIRD)
            bf.equal(bf.filter_of(sda1), 'bftrack', 'filter of the next partition of that number')
            rewrite(sda, MINE, THIRD)
            bf.equal(bf.filter_of(sda1), 'bftrack', 'and of the one after it')
            kfilter.detach(sda1, 'bftrack')
            bfd.reread(sda)
            bf.equal(bf.filter_of(sda1), '', 'filter of what was taken off')

    with bf.case('daemon/stale/the-same-partition-again'), attached() as old:
        for _ in range(5):
            bfd.reread(sda)
            bfd.quiet()
            a = bfp.wait_on(FILE, sda1)[sda1]
            only_on(sda1)
        # whether it missed a write nobody can tell
        bf.check(a.GapCount > old.GapCount and a.IntactSince > old.IntactSince, f'the re-reads are gaps: {a.Gaps}')
        bf.equal(a.Fingerprint['Generation']['data'], bfd.generation(sda1).replace('-', ''), 'generation')

    with bf.case('daemon/stale/another-partition-of-that-number'), attached():
        for _ in range(3):
            rewrite(sda, OTHER, THIRD)
            taken_off(sda1)
            only_on()
            a = bfp.wait(FILE, 'waiting')
            bf.equal((a.Device, a.IntactSince), ('', 0), 'device and IntactSince')
            rewrite(sda, MINE, THIRD)
            bfp.wait_on(FILE, sda1)
            only_on(sda1)
        print(f'# {a.StateReason}')

    with bf.case('daemon/stale/the-partition-has-another-number'), attached():
        for first, second, on, off in ((THIRD, MINE, sda2, sda1), (MINE, THIRD, sda1, sda2)) * 2:
            rewrite(sda, first, second)
            bfp.wait_on(FILE, on)
            taken_off(off)
            only_on(on)

    with bf.case('daemon/stale/no-daemon-was-there'), attached():
        with bfd.without():
            rewrite(sda, OTHER, MINE)
            bf.equal((bf.filter_of(sda1), bf.filter_of(sda2)), ('bftrack', ''), 'filters while no daemon is there')
        taken_off(sda1)
        bfp.wait_on(FILE, sda2)
        only_on(sda2)

    with bf.case('daemon/stale/killed-before-it-can-take-it-off'), attached():
        for n in range(4):
            first, second = ((OTHER, THIRD), (MINE, THIRD))[n % 2]
            bf.sfdisk(sda, table(first, second), '--no-reread')
            bfd.kill()
            bfd.quiet()
            if first == MINE:
                bfp.wait_on(FILE, sda1)
                only_on(sda1)
            else:
                taken_off(sda1)
                only_on()

    with bf.case('daemon/stale/another-disk-of-that-number'), attached():
        hosts = scsi.hosts()
        bf.sfdisk(sdb, table(OTHER, bfd.uuid(4)))
        scsi.remove(sda)
        scsi.remove(sdb)
        # the name, and its numbers, go to whoever comes first
        scsi.plug_in(hosts[::-1])
        bf.equal((bf.partuuid(sda1), bf.partuuid(bf.partition(sdb, 1))), (OTHER, MINE), 'who has which name')
        taken_off(sda1)
        bfp.wait_on(FILE, bf.partition(sdb, 1))
        only_on(bf.partition(sdb, 1))
        for disk in (sda, sdb):
            scsi.remove(disk)
        scsi.plug_in(hosts)
        bf.sh(f'wipefs --quiet --all {sdb}')

    with bf.case('daemon/stale/what-others-have-put-on-is-theirs'), attached():
        kfilter.attach(sda2, 'bfcount')
        rewrite(sda, OTHER, bfd.uuid(4))
        taken_off(sda1)
        for change in (bfd.quiet, bfd.restart, lambda: bfd.reread(sda)):
            change()
            bfd.quiet()
            bf.equal((bf.filter_of(sda1), bf.filter_of(sda2)), ('', 'bfcount'), 'filters')
        kfilter.detach(sda2, 'bfcount')

    with bf.case('daemon/stale/an-attachment-by-hand'), bfp.only():
        bf.busctl_call('Attach', 'ssa{sv}', sda1, 'bftrack', 0)
        bfd.quiet()
        rewrite(sda, OTHER, THIRD)
        taken_off(sda1)
        only_on()
        rewrite(sda, MINE, THIRD)
        bfd.wait_attached(sda1)
        only_on(sda1)
        bf.busctl_call('Detach', 'ssa{sv}', sda1, 'bftrack', 0)
        bfd.reread(sda)
        only_on()

    with bf.case('daemon/stale/held-and-gone'), attached():
        # what an administrator took off does not come back with the number either
        bf.busctl_call('Detach', 'ssa{sv}', sda1, 'bftrack', 0)
        bfd.reread(sda)
        only_on()
        bfp.wait(FILE, 'detached')

bfd.end('daemon/stale')
