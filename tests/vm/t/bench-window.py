# SPDX-License-Identifier: LGPL-2.1-or-later
# vm: suite=bench limit=7200
"""How long a partition is without its filter after a re-read: with the daemon, with a bare listener that does nothing but
the ioctl (the limit), with a udev rule that runs a compiled helper, and with one that runs a shell script; with 1, 8 and 64
partitions on the disk, with and without udisks2.

All by the kernel's clock: from the moment just before its "add" event until the filter is on. The subjects take turns
in short blocks, so that what slows the machine meets all; udev is idle before each round."""

import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(__file__), '..', 'guest'))
# pylint: disable=wrong-import-position
import bench
import bf
import bfd
import stamps
import subjects

# rounds of a subject by the number of partitions, each of which is a sample
ROUNDS = {n: bench.setting(f'BENCH_WINDOW_ROUNDS_{n}', rounds) for n, rounds in ((1, 100), (8, 15), (64, 3))}
N_BLOCKS = bench.setting('BENCH_WINDOW_BLOCKS', 3)


class Samples:
    def __init__(self):
        self.from_add = []      # ms, of each partition of each round
        self.from_return = []   # ms, from the return of BLKRRPART
        self.to_begin = []      # ms, from the event until the attach has reached the filter: the rest is the kernel's
        self.n_busy = 0         # re-reads that failed, and were tried again


def one_round(disk, n_parts, samples):
    bf.settle()
    stamps.clear()
    busy, returned = stamps.reread(disk)
    samples.n_busy += busy
    for window in stamps.wait(n_parts).values():
        samples.from_add.append(window.attached - window.add)
        samples.from_return.append(window.attached - returned)
        samples.to_begin.append(window.begin - window.add)


def measure(disk, n_parts, with_udisks):
    """All subjects, in blocks: the first of a block is another one each time."""
    samples = {name: Samples() for name in subjects.SUBJECTS}
    names = list(subjects.SUBJECTS)
    n_rounds, n_blocks = ROUNDS[n_parts], min(N_BLOCKS, ROUNDS[n_parts])
    with subjects.udisks(with_udisks):
        for block in range(n_blocks):
            shift = block % len(names)
            for name in names[shift:] + names[:shift]:
                n = n_rounds * (block + 1) // n_blocks - n_rounds * block // n_blocks
                with subjects.SUBJECTS[name](disk, n_parts):
                    for _ in range(n):
                        one_round(disk, n_parts, samples[name])
    for name, s in samples.items():
        bench.figure('window', name, partitions=n_parts, udisks=with_udisks, rounds=n_rounds, busy=s.n_busy,
                     **bench.spread(s.from_add), **bench.spread(s.from_return, 'return_'),
                     begin_median_ms=round(bench.percentile(s.to_begin, 0.5), 4),
                     raw_ms=[round(v, 3) for v in s.from_add])


bfd.begin(filters=())
stamps.begin()

for n_parts in ROUNDS:
    if ROUNDS[n_parts] == 0:
        continue
    with bf.scsi_debug(1, dev_size_mb=96) as scsi:
        sda, = scsi.disks()
        with bfd.policies():
            uuids = bench.write_tables([sda], n_parts)
            bench.write_policies(uuids.values(), stamps.FILTER)
            bench.wait_count('attached', n_parts)
            bfd.stop()
            for with_udisks in (False, True):
                with bf.case(f'bench/window/{n_parts}-partitions{"-udisks" if with_udisks else ""}'):
                    measure(sda, n_parts, with_udisks)
            bfd.start()

bfd.forget_all()
bf.done()
