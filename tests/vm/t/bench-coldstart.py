# SPDX-License-Identifier: LGPL-2.1-or-later
# vm: suite=bench limit=7200
"""How long it takes until every one of 16, 128 and 512 partitions has its filter, when the daemon is started

  blkfilterd        and the disks come when it listens, as at boot, where udev is told of them after that; beside it
                    "udev": how long udev needs until it is idle after the same disks have come, without the daemon
  blkfilterd-later  on a system where all is there and udev is idle; beside it "udev-trigger": how long udev needs when
                    it is told of the same devices again (udevadm trigger --settle)
"""

import os
import sys
import time
from pathlib import Path

sys.path.insert(0, os.path.join(os.path.dirname(__file__), '..', 'guest'))
# pylint: disable=wrong-import-position
import bench
import bf
import bfd
import stamps

# disks, and partitions on each
SIZES = ((1, 16), (1, 128), (4, 128))
N_RUNS = bench.setting('BENCH_COLDSTART_RUNS', 3)
LIMIT_SEC = 600


def now_ms():
    return time.monotonic() * 1000


def begin():
    """Starts the daemon as after a boot: without the records of an earlier one. Returns when it has a process."""
    bf.sh('rm -rf /run/blkfilterd/attachments')
    bf.sh(f'systemctl start --no-block {bf.UNIT}')
    bf.wait_for(bf.main_pid, LIMIT_SEC, 'the daemon\'s process')


def began_at():
    """When its process began, in ms. systemd itself may need seconds for the devices of a re-read before it starts anything:
    that is not the daemon's time."""
    return int(bfd.unit_property('ExecMainStartTimestampMonotonic')) / 1000


def plug(scsi):
    for host in scsi.hosts():
        Path(f'/sys/class/scsi_host/host{host}/scan').write_text('- - -')


def unplug(scsi):
    for disk in scsi.disks():
        scsi.remove(disk)
    bf.settle(LIMIT_SEC)
    stamps.clear()


def wait_settled(n_disks, n_parts):
    """Until all are there and udev has nothing to do."""
    stamps.wait_added(n_disks * (n_parts + 1), LIMIT_SEC)
    bf.settle(LIMIT_SEC)


def udev_alone(scsi, n_disks, n_parts):
    unplug(scsi)
    began = now_ms()
    plug(scsi)
    wait_settled(n_disks, n_parts)
    return now_ms() - began


def with_disks(scsi, n_disks, n_parts):
    unplug(scsi)
    begin()
    began = began_at()
    bf.wait_for(lambda: bfd.unit_property('ActiveState') == 'active', LIMIT_SEC, 'the daemon to listen')
    plug(scsi)
    found = stamps.wait(n_disks * n_parts, began, LIMIT_SEC)
    wait_settled(n_disks, n_parts)
    bfd.quiet()
    bfd.stop()
    return max(w.attached for w in found.values()) - began


def trigger():
    began = now_ms()
    bf.sh('udevadm trigger --action=change --subsystem-match=block --settle')
    return now_ms() - began


def later(scsi, n_all):
    for disk in scsi.disks():
        stamps.reread(disk)
    bf.settle(LIMIT_SEC)
    begin()
    began = began_at()
    found = stamps.wait(n_all, began, LIMIT_SEC)
    bfd.quiet()
    bfd.stop()
    return max(w.attached for w in found.values()) - began


def tell(n_all, subject, times, base=None):
    median = bench.percentile(times, 0.5)
    bench.figure('coldstart', subject, partitions=n_all, runs=len(times), median_s=round(median / 1e3, 3),
                 min_s=round(min(times) / 1e3, 3), max_s=round(max(times) / 1e3, 3),
                 ratio_to_udev=round(median / bench.percentile(base, 0.5), 3) if base else None)


bfd.begin(filters=())
stamps.begin()

for n_disks, n_parts in SIZES:
    n_all = n_disks * n_parts
    with bf.case(f'bench/coldstart/{n_all}'), bf.scsi_debug(n_disks, dev_size_mb=n_parts + 3) as scsi, bfd.policies():
        uuids = bench.write_tables(scsi.disks(), n_parts)
        bench.write_policies(uuids.values(), stamps.FILTER)
        bench.wait_count('attached', n_all)
        bfd.quiet()
        bfd.stop()
        figures = {name: [] for name in ('udev', 'blkfilterd', 'udev-trigger', 'blkfilterd-later')}
        for _ in range(N_RUNS):
            figures['udev'].append(udev_alone(scsi, n_disks, n_parts))
            figures['blkfilterd'].append(with_disks(scsi, n_disks, n_parts))
            figures['udev-trigger'].append(trigger())
            figures['blkfilterd-later'].append(later(scsi, n_all))
        tell(n_all, 'udev', figures['udev'])
        tell(n_all, 'blkfilterd', figures['blkfilterd'], figures['udev'])
        tell(n_all, 'udev-trigger', figures['udev-trigger'])
        tell(n_all, 'blkfilterd-later', figures['blkfilterd-later'], figures['udev-trigger'])
        bfd.start()

bfd.forget_all()
bf.done()
