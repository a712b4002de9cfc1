# SPDX-License-Identifier: LGPL-2.1-or-later
# vm: suite=bench limit=3600
"""How long a partition is without its filter after somebody has used a partitioner: sfdisk, sgdisk, partprobe. They do more
than a bare re-read: they have the disk open for writing, so that udev reads the table once more when they close it, with
the disk's lock held, and the partition goes and comes twice or thrice. Counted is the last time that it came."""

import os
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(__file__), '..', 'guest'))
# pylint: disable=wrong-import-position
import bench
import bf
import bfd
import stamps
import subjects

N_ROUNDS = bench.setting('BENCH_TOOLS_ROUNDS', 20)
SUBJECTS = ('limit', 'blkfilterd', 'udev-helper')
LIMIT_SEC = 60


def wait_attached():
    """Until udev is idle and the filter is on the partition that came last. Returns how long it was not, in ms."""
    deadline = time.monotonic() + LIMIT_SEC
    while True:
        bf.settle()
        found = stamps.read()
        if found and found[-1].event == 'attached':
            window, = stamps.windows(found).values()
            return window.attached - window.add
        bf.check(time.monotonic() < deadline, f'the filter is on within {LIMIT_SEC} s')
        time.sleep(stamps.LOOK_SEC)


def measure(disk, tools):
    samples = {(tool, name): [] for tool in tools for name in SUBJECTS}
    for name in SUBJECTS:
        with subjects.SUBJECTS[name](disk, 1):
            for _ in range(N_ROUNDS):
                for tool, command in tools.items():
                    bf.settle()
                    stamps.clear()
                    bf.sh(command)
                    samples[tool, name].append(wait_attached())
    for tool in tools:
        limit = bench.percentile(samples[tool, 'limit'], 0.5)
        for name in SUBJECTS:
            spread = bench.spread(samples[tool, name])
            bench.figure('tools', name, tool=tool, **spread, ratio_to_limit=round(spread['median_ms'] / limit, 3))


bfd.begin(filters=())
stamps.begin()

with bf.scsi_debug(1, dev_size_mb=96) as scsi, bfd.policies(), bf.case('bench/tools'):
    sda, = scsi.disks()
    bench.write_policies(bench.write_tables([sda], 1).values(), stamps.FILTER)
    bench.wait_count('attached', 1)
    bfd.stop()
    bf.sh(f'sfdisk --dump /dev/{sda} >/run/bench-table')
    measure(sda, {'sfdisk': f'sfdisk --quiet /dev/{sda} </run/bench-table',
                  'sfdisk, locked': f'udevadm lock --device=/dev/{sda} sfdisk --quiet /dev/{sda} </run/bench-table',
                  'sgdisk': f'sgdisk --typecode=1:8300 /dev/{sda}',
                  'partprobe': f'partprobe /dev/{sda}'})
    bfd.start()

bfd.forget_all()
bf.done()
