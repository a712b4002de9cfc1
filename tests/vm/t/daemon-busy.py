# SPDX-License-Identifier: LGPL-2.1-or-later
# vm: limit=1800
"""The daemon does not make a user's sfdisk or blockdev --rereadpt fail: 32 rounds of the one and 8 of the other, each
begun when udev has settled, without one EBUSY. `./check busy-long` has 200 and 50."""

import os
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(__file__), '..', 'guest'))
# pylint: disable=wrong-import-position
import bf
import bfd

N_ROUNDS = int(os.environ.get('BUSY_ROUNDS') or 40)
N_BASELINE = 20
TABLE = f'''label: gpt
start=2048, size=16MiB, uuid={bfd.uuid(1)}, name=data
start=40960, size=8MiB, uuid={bfd.uuid(2)}, name=other
'''


def rounds(disk, n, after=lambda: None):
    """sfdisk, and each fifth time blockdev --rereadpt, when udev has settled. Returns what failed, by tool."""
    failed = {'blockdev': [], 'sfdisk': []}
    for i in range(n):
        bf.settle()
        tool = 'blockdev' if i % 5 == 4 else 'sfdisk'
        try:
            if tool == 'sfdisk':
                output = bf.sh(f'sfdisk --wipe=never /dev/{disk} 2>&1', stdin=TABLE)
                if 'busy' in output or 'failed' in output:
                    raise bf.Failure(output)
            else:
                bf.sh(f'blockdev --rereadpt /dev/{disk}')
        except bf.Failure as error:
            failed[tool].append(f'round {i}: {" ".join(str(error).split())[-200:]}')
        after()
    return failed


def told(failed, n):
    return ', '.join(f'{tool} {len(failed[tool])} of {n * share // 5}' for tool, share in (('sfdisk', 4), ('blockdev', 1)))


bfd.begin()

with bf.scsi_debug() as scsi:
    sda, = scsi.disks()
    bf.sfdisk(sda, TABLE)
    sda1 = bf.partition(sda, 1)

    with bfd.without():
        baseline = rounds(sda, N_BASELINE)
        print(f'# failed without the daemon: {told(baseline, N_BASELINE)}')
        for line in baseline['sfdisk'] + baseline['blockdev']:
            print(f'# {line}')
        # whatever udev did not have after a failure
        bf.settle()
        bfd.reread(sda)

    with bf.case('daemon/busy/settled-rounds'), bfd.policies():
        bfd.put_policy('20-data.conf', part_uuid=bfd.uuid(1))
        seen = [bfd.wait_attached(sda1)]
        bfd.quiet()
        began = time.monotonic()
        failed = rounds(sda, N_ROUNDS, lambda: seen.append(bfd.wait_attached(sda1, other_than=seen[-1])))
        print(f'# failed with the daemon: {told(failed, N_ROUNDS)} ({(time.monotonic() - began) / N_ROUNDS:.2f} s a round)')
        bf.equal(failed, {'blockdev': [], 'sfdisk': []}, 'what failed')
        bf.equal(len(set(seen)), N_ROUNDS + 1, 'different attaches')
        times = sorted(bfd.times_back(time.time() - (time.monotonic() - began)))
        print(f'# {len(times)} times back, after {times[0]:.3f} to {times[-1]:.3f} s, median {times[len(times) // 2]:.3f} s')

bfd.end('daemon/busy')
