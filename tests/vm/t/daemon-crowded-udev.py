# SPDX-License-Identifier: LGPL-2.1-or-later
# vm: limit=180
"""Disks that come at once, more than udev has workers for: each worker holds a partition back for its filter, and the
events of the other disks are queued behind that. Nobody is let go without his filter all the same."""

import os
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(__file__), '..', 'guest'))
# pylint: disable=wrong-import-position
import bf
import bfd

NOT_WAITED = 'c1a35b0e6f2f4e0f9e55a36b9d2f7a0c'
N_DISKS, N_PARTS = 4, 3


def uuids(disk):
    return [bfd.uuid(100 * disk + n) for n in range(1, N_PARTS + 1)]


def let_go(since):
    bf.sh('journalctl --sync')
    return bf.sh(f'journalctl --boot --quiet --no-pager --output=cat --since=@{since:.6f} MESSAGE_ID={NOT_WAITED}'
                 ).splitlines()


bfd.begin()

with bf.scsi_debug(N_DISKS) as scsi, bfd.policies():
    for i, disk in enumerate(scsi.disks()):
        bf.sfdisk(disk, 'label: gpt\n' + ''.join(f'size=4MiB, uuid={u}\n' for u in uuids(i)))
    for i in range(N_DISKS):
        for u in uuids(i):
            bfd.write_policy(f'{u}.conf', bfd.policy_text(u))
    bfd.reload()

    for n_workers in (1, 2):
        with bf.case(f'daemon/crowded-udev/{n_workers}-workers'):
            for disk in scsi.disks():
                scsi.remove(disk)
            bf.settle()
            # what is attached for the first time waits: nothing is remembered of where it was
            bfd.stop()
            bf.sh('rm -rf /run/blkfilterd/attachments')
            bfd.start()
            bf.sh(f'udevadm control --children-max={n_workers}')
            try:
                since = time.time()
                disks = scsi.rescan(N_DISKS)
                for disk in disks:
                    for name in bf.partitions(disk):
                        bfd.wait_attached(name)
                bf.equal(let_go(since), [], 'devices that were let go without their filters')
                print(f'# all on {time.time() - since:.2f} s after the disks were asked for')
            finally:
                bf.sh('udevadm control --children-max=0')

bfd.end('daemon/crowded-udev')
