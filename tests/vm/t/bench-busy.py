# SPDX-License-Identifier: LGPL-2.1-or-later
# vm: suite=bench limit=3600
"""Re-reads in a row, with pauses of 0, 100 and 1,000 ms whatever udev is doing: udev has the partitions open after each,
and so makes a share of them fail with EBUSY. What the daemon adds to that. Blocks with and without it take turns."""

import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(__file__), '..', 'guest'))
# pylint: disable=wrong-import-position
import bench
import bf
import bfd

# rounds of a block, by the pause in ms
ROUNDS = {0: bench.setting('BENCH_BUSY_ROUNDS_0', 200), 100: bench.setting('BENCH_BUSY_ROUNDS_100', 60),
          1000: bench.setting('BENCH_BUSY_ROUNDS_1000', 30)}
N_BLOCKS = bench.setting('BENCH_BUSY_BLOCKS', 3)
N_PARTS = 2


def block(disk, pause):
    """A block of rounds: how many failed."""
    bf.settle()
    n = int(bf.sh(f'{bench.program("reread")} {disk} {ROUNDS[pause]} {pause}'))
    bf.settle()
    return n


bfd.begin()

with bf.scsi_debug(1) as scsi, bfd.policies():
    sda, = scsi.disks()
    uuids = bench.write_tables([sda], N_PARTS)
    bench.write_policies(uuids.values())
    for pause, n_rounds in ROUNDS.items():
        with bf.case(f'bench/busy/{pause}-ms'):
            busy = {'udevd': 0, 'blkfilterd': 0}
            for _ in range(N_BLOCKS):
                bench.wait_count('attached', N_PARTS)
                busy['blkfilterd'] += block(sda, pause)
                with bfd.without():
                    busy['udevd'] += block(sda, pause)
            for subject, n in busy.items():
                total = n_rounds * N_BLOCKS
                bench.figure('busy', subject, pause_ms=pause, rounds=total, busy=n, share=round(n / total, 4))
    bench.wait_count('attached', N_PARTS)

bfd.end('bench/busy')
