# SPDX-License-Identifier: LGPL-2.1-or-later
# vm: suite=busy-long limit=1200
"""Re-reads that follow each other after 100 ms, whatever udev is doing: udev itself makes a share of them fail with
EBUSY. The daemon must not raise the share beyond the noise.

The rule: blocks of rounds with and without the daemon take turns, so that a drift of the machine meets both. The
two shares are compared by the z of two proportions (pooled variance). More than 3 in the wrong direction, which chance
alone brings once in 740 runs, is looked at more closely: with as many blocks again, all of them counted. More than 3
still is a failure: by chance alone once in some 4,000 runs, and all the surer where there is a reason."""

import math
import os
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(__file__), '..', 'guest'))
# pylint: disable=wrong-import-position
import bf
import bfd

PAUSE_SEC = 0.1     # the subject of the measurement: no state is waited for
N_BLOCKS = 5
N_ROUNDS = 60       # of a block
TABLE = f'label: gpt\nsize=16MiB, uuid={bfd.uuid(1)}, name=data\nsize=8MiB, uuid={bfd.uuid(2)}, name=other\n'


def busy_of(disk, n):
    """How many of n re-reads in a row failed, with the pause between them."""
    busy = 0
    for _ in range(n):
        time.sleep(PAUSE_SEC)
        try:
            bf.sh(f'blockdev --rereadpt /dev/{disk}')
        except bf.CommandError as error:
            if 'busy' not in error.output:
                raise
            busy += 1
    bf.settle()
    return busy


def z_of(n_with, n_without, n):
    """How far apart two of n each are, in standard deviations."""
    pooled = (n_with + n_without) / (2 * n)
    return (n_with - n_without) / n / math.sqrt(pooled * (1 - pooled) * 2 / n) if 0 < pooled < 1 else 0.0


bfd.begin()

with bf.scsi_debug() as scsi, bf.case('daemon/busy/100-ms-pause-no-worse-than-udev-alone'), bfd.policies():
    sda, = scsi.disks()
    bf.sfdisk(sda, TABLE)
    bfd.put_policy('20-data.conf', part_uuid=bfd.uuid(1))
    n_with = n_without = n = 0
    for _ in range(2):
        for _ in range(N_BLOCKS):
            bfd.wait_attached(bf.partition(sda, 1))
            n_with += busy_of(sda, N_ROUNDS)
            with bfd.without():
                n_without += busy_of(sda, N_ROUNDS)
        n += N_BLOCKS * N_ROUNDS
        z = z_of(n_with, n_without, n)
        print(f'# EBUSY with the daemon: {n_with} of {n} ({n_with / n:.1%}), without: {n_without} of {n}'
              f' ({n_without / n:.1%}), z = {z:.2f}')
        if z <= 3:
            break
    bf.check(z <= 3, f'the daemon does not raise the share ({n_with / n:.1%} with it, {n_without / n:.1%} without,'
             f' z = {z:.2f})')
    bfd.wait_attached(bf.partition(sda, 1))

bfd.end('daemon/busy-pause')
