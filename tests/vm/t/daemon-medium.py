# SPDX-License-Identifier: LGPL-2.1-or-later
# vm: interfaces-long limit=300
"""A whole device stays when its medium is exchanged, and a filter may stay on it: it is taken off where the identity
does not hold any more, and what was not tracked is told where it does."""

import fcntl
import os
import struct
import sys
from pathlib import Path

sys.path.insert(0, os.path.join(os.path.dirname(__file__), '..', 'guest'))
# pylint: disable=wrong-import-position
import bf
import bfd
import bfp
import kfilter

FILE = '20-data.conf'
FS1, FS2 = bfd.uuid(101), bfd.uuid(102)
SG_SCSI_RESET, SG_SCSI_RESET_DEVICE = 0x2284, 1


def exchange(drive):
    """Resets a drive."""
    with kfilter.opened(drive) as fd:
        fcntl.ioctl(fd, SG_SCSI_RESET, struct.pack('i', SG_SCSI_RESET_DEVICE))


def exchange_count(drive):
    """The sequence number of what is in the drive."""
    return int(Path(f'/sys/block/{bf.name_of(drive)}/diskseq').read_text())


bfd.begin()

# Two disks of one memory: what is written by the second is in the first as if its medium had been exchanged. That it
# has been is what the kernel makes of a reset of a drive whose medium can be.
with bf.scsi_debug(2, per_host_store=0, removable=1) as scsi:
    drive, other = (f'/dev/{disk}' for disk in scsi.disks())
    Path(f'/sys/block/{bf.name_of(drive)}/events_poll_msecs').write_text('200')

    with bf.case('daemon/medium/a-medium-that-is-exchanged'), bfp.only():
        bfp.make_fs(other, FS1)
        exchange(drive)
        bfp.put(FILE, f'FSUUID={FS1} DiskSerial={bfp.udev_property(drive, "ID_SERIAL_SHORT")}')
        a = bfp.wait_on(FILE, drive)[drive]
        # the kernel leaves the filter on the drive, and the daemon where it belongs
        for uuid in (FS2, FS1, FS2):
            n_gaps, diskseq, was = a.GapCount, exchange_count(drive), bfd.generation(drive)
            bfp.make_fs(other, uuid)
            exchange(drive)
            bf.wait_for(lambda n=diskseq: exchange_count(drive) > n, what='the kernel to see another medium')
            if uuid == FS1:
                a = bfp.wait_on(FILE, drive)[drive]
                bf.equal(a.Gaps[-1][2:], [a.IntactSince, 'medium-changed'], 'end and reason of the gap')
                continue
            bf.check(was, 'the filter was on')
            bf.wait_for(lambda: bf.filter_of(drive) == '', 90, 'the filter to be taken off')
            a = bfp.wait(FILE, 'waiting')
            bf.equal((a.GapCount, a.Gaps[-1][2:], a.IntactSince), (n_gaps + 1, [0, 'medium-changed'], 0),
                     'how it stands')
        print(f'# {a.StateReason}')

    with bf.case('daemon/medium/a-medium-that-comes-again'), bfp.only():
        bfp.put(FILE, f'FSUUID={FS2} DiskSerial={bfp.udev_property(drive, "ID_SERIAL_SHORT")}')
        a, diskseq = bfp.wait_on(FILE, drive)[drive], exchange_count(drive)
        exchange(drive)
        bf.wait_for(lambda: exchange_count(drive) > diskseq, what='the kernel to see another medium')

        # whether it is the same one nobody can tell: what is on it is proven, what was written elsewhere is not known
        def proven_again():
            now = bfp.one(FILE)
            return now.State == 'attached' and now.GapCount == a.GapCount + 1 and now
        now = bf.wait_for(proven_again, 90, 'it to be proven again')
        bf.equal((now.Device, now.Gaps[-1][3], now.IntactSince), (drive, 'medium-changed', now.Gaps[-1][2]),
                 'how it stands')
        bf.check(now.IntactSince > a.IntactSince, 'IntactSince is later')

with bf.case('daemon/medium/a-loop-device-and-its-medium'), bfp.only():
    files = [f'/var/tmp/medium{n}' for n in (1, 2)]
    for file, uuid in zip(files, (FS1, FS2)):
        bf.sh(f'truncate --size=8M {file}')
        bfp.make_fs(file, uuid)
    loop = bf.sh('losetup --find').strip()
    bfp.put(FILE, f'FSUUID={FS1}')
    try:
        bf.sh(f'losetup {loop} {files[0]}')
        for how, taken_out in (('another', f'losetup --detach {loop} && losetup {loop} {files[1]}'),
                               ('none', f'losetup --detach {loop}')):
            a = bfp.wait_on(FILE, loop)[loop]
            n_gaps = a.GapCount
            bf.sh(taken_out)
            bf.wait_for(lambda: bf.filter_of(loop) == '', 90, f'the filter to be taken off {loop} with {how} in it')
            bfd.quiet()
            a = bfp.wait(FILE, 'waiting')
            bf.equal((a.GapCount, a.Gaps[-1][3], a.IntactSince), (n_gaps + 1, 'medium-changed', 0),
                     'what is told of it')
            print(f'# with {how}: {a.StateReason}')
            bf.sh((f'losetup --detach {loop}; ' if how == 'another' else '') + f'losetup {loop} {files[0]}')
        a = bfp.wait_on(FILE, loop)[loop]
        bf.check(a.Gaps[-1][2] == a.IntactSince, f'the gap ended: {a.Gaps}')
    finally:
        bf.sh(f'losetup --detach {loop}; rm {" ".join(files)}', ok=(0, 1))
    bf.wait_for(lambda: bf.filter_of(loop) in ('', None), 90, 'the filter to be taken off at last')
    bfp.wait(FILE, 'waiting')

bfd.end('daemon/medium')
