# SPDX-License-Identifier: LGPL-2.1-or-later
# vm: limit=900
"""Disks that come at once, more than udev has workers for, or one with very many partitions: each worker holds a
partition back for its filter, and the other events are queued behind that. Nobody is let go without his filter all the
same."""

import os
import sys
import time
from pathlib import Path

sys.path.insert(0, os.path.join(os.path.dirname(__file__), '..', 'guest'))
# pylint: disable=wrong-import-position
import bench
import bf
import bfd
import stall

NOT_WAITED = 'c1a35b0e6f2f4e0f9e55a36b9d2f7a0c'
N_DISKS, N_PARTS = 4, 3
WAIT_SEC = 30 # not the 2 s of the default: a machine may stand still for so long. Who is never told waits for all of it
N_MANY = 128 # partitions of one disk: to put on so many filters takes longer than any of them may wait


def uuids(disk):
    return [bfd.uuid(100 * disk + n) for n in range(1, N_PARTS + 1)]


def let_go(since):
    bf.sh('journalctl --sync')
    return bf.sh(f'journalctl --boot --quiet --no-pager --output=cat --since=@{since:.6f} MESSAGE_ID={NOT_WAITED}'
                 ).splitlines()


bfd.begin()


def all_partitions(n_all):
    """The names of all partitions, once all are there."""
    names = [name for disk in scsi.disks() for name in bf.partitions(disk)]
    return names if len(names) == n_all else None


def unplug():
    for disk in scsi.disks():
        scsi.remove(disk)
    bf.settle()
    # what is attached for the first time waits: nothing is remembered of where it was
    bfd.stop()
    bf.sh('rm -rf /run/blkfilterd/attachments')
    bfd.start()


def plug():
    for host in scsi.hosts():
        Path(f'/sys/class/scsi_host/host{host}/scan').write_text('- - -')


with bf.scsi_debug(N_DISKS) as scsi, bfd.policies(), bfd.configured(WaitSec=WAIT_SEC):
    for i, disk in enumerate(scsi.disks()):
        bf.sfdisk(disk, 'label: gpt\n' + ''.join(f'size=4MiB, uuid={u}\n' for u in uuids(i)))
    for i in range(N_DISKS):
        for u in uuids(i):
            bfd.write_policy(f'{u}.conf', bfd.policy_text(u))
    bfd.reload()

    for n_workers in (1, 2):
        with bf.case(f'daemon/crowded-udev/{n_workers}-workers'):
            unplug()
            # with the reload those go that are there already, and idle
            bf.sh(f'udevadm control --children-max={n_workers} && udevadm control --reload')
            try:
                since = time.time()
                # all of them are queued before the first is looked at
                bf.sh('udevadm control --stop-exec-queue')
                try:
                    plug()
                    names = bf.wait_for(lambda: all_partitions(N_DISKS * N_PARTS), what='the partitions of all disks')
                finally:
                    bf.sh('udevadm control --start-exec-queue')
                for name in names:
                    bfd.wait_attached(name)
                bf.equal(let_go(since), [], 'devices that were let go without their filters')
                print(f'# all on after {time.time() - since:.2f} s')
            finally:
                bf.sh('udevadm control --children-max=0')

with bf.case(f'daemon/crowded-udev/{N_MANY}-partitions'), bf.scsi_debug(1, dev_size_mb=N_MANY + 3) as scsi, \
        bfd.policies():
    bench.write_policies(bench.write_tables(scsi.disks(), N_MANY).values())
    bench.wait_count('attached', N_MANY)
    # with the default of 2 s, which all of them together take longer than; if the machine stood still, once more
    for _ in range(10):
        unplug()
        since = time.time()
        with stall.Watch() as watch:
            plug()
            bench.wait_count('attached', N_MANY)
        print(f'# all on after {time.time() - since:.2f} s; the longest that the machine stood still: '
              f'{watch.longest:.2f} s')
        found = let_go(since)
        if not found or watch.longest < 1:
            break
    bf.equal(found, [], 'devices that were let go without their filters')

bfd.end('daemon/crowded-udev')
