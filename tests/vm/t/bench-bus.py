# SPDX-License-Identifier: LGPL-2.1-or-later
# vm: suite=bench limit=900
"""What reading on the bus costs: GetAttachment beside a Ping, which the same daemon answers without looking at anything,
and ListAttachments, with one attachment and with 1,000. Of these 32 are on their devices and the others wait for
theirs: for a reader that makes no difference."""

import json
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(__file__), '..', 'guest'))
# pylint: disable=wrong-import-position
import bench
import bf
import bfd

N_ROUNDS = bench.setting('BENCH_BUS_ROUNDS', 2000)
N_LISTS = bench.setting('BENCH_BUS_LISTS', 100)
N_PARTS = 32
N_ATTACHMENTS = 1000


def measure(disk, wanted):
    """The figures with so many attachments, of a device named in each of the two usual ways."""
    part = bf.partition(disk, 1)
    for name, how in ((part, 'path'), (f'PARTUUID={bf.partuuid(part)}', 'PARTUUID')):
        told = json.loads(bf.sh(f'{bench.program("bus")} {N_ROUNDS} {N_LISTS} {name}'))
        bf.equal(told['attachments'], wanted, 'attachments in the list')
        ping = bench.percentile(told['Ping'], 0.5)
        for subject in ('Ping', 'GetAttachment', 'ListAttachments'):
            more = {'ratio_to_ping': round(bench.percentile(told[subject], 0.5) / ping, 3)}
            bench.figure('bus', subject, attachments=wanted, device=how, **bench.spread(told[subject]), **more)


bfd.begin()

with bf.scsi_debug(1) as scsi, bfd.policies():
    sda, = scsi.disks()
    uuids = list(bench.write_tables([sda], N_PARTS).values())

    with bf.case('bench/bus/1'):
        bench.write_policies(uuids[:1])
        bench.wait_count('attached', 1)
        bfd.quiet()
        measure(sda, 1)

    with bf.case(f'bench/bus/{N_ATTACHMENTS}'):
        bench.write_policies(uuids + [bfd.uuid(0xffff00000 + n) for n in range(N_ATTACHMENTS - N_PARTS)])
        bench.wait_count('attached', N_PARTS)
        bench.wait_count('waiting', N_ATTACHMENTS - N_PARTS)
        bfd.quiet()
        measure(sda, N_ATTACHMENTS)

bfd.end('bench/bus')
