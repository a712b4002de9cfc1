# SPDX-License-Identifier: LGPL-2.1-or-later
"""What the files of the suite "bench" share. They have cases as tests do, which fail if something could not be measured,
never because of a figure. A figure goes to the host as a line: see figure()."""

import json
import math
import os
import uuid
from pathlib import Path

import bf
import bfd
import gpt

PROGRAMS = Path(__file__).resolve().parent.parent / 'bench'


def setting(name, default):
    """A number that `BENCH_…=N ./bench` replaces: how often something is done."""
    return int(os.environ.get(name) or default)


def program(name):
    """The path of one of tests/bench/*.c."""
    return str(PROGRAMS / f'bench-{name}')


def percentile(values, share):
    """The smallest value that so many of them (0 to 1) do not exceed."""
    ordered = sorted(values)
    return ordered[max(math.ceil(share * len(ordered)) - 1, 0)]


def spread(samples, prefix=''):
    """The figures of durations in ms, by name."""
    return {f'{prefix}min_ms': round(min(samples), 4), f'{prefix}median_ms': round(percentile(samples, 0.5), 4),
            f'{prefix}p99_ms': round(percentile(samples, 0.99), 4), f'{prefix}samples': len(samples)}


def figure(part, subject, **figures):
    """Tells the host of an entry of a part. What begins with "raw_" are all the samples: for the plots."""
    line = json.dumps({'part': part, 'subject': subject, **figures})
    print(f'# figure {line}', flush=True)


# UUIDs that fit a line of a policy, which has at most 1,000 bytes
VALUES_PER_POLICY = 25


def write_tables(disks, n_parts, size_sectors=2048):
    """A GPT with so many partitions on each of the disks, all with UUIDs of their own, and the kernel has read it. Returns
    the UUIDs by partition's name."""
    uuids = {}
    for i, disk in enumerate(disks):
        entries = {n: gpt.Entry(n * size_sectors, size_sectors, bfd.uuid(0x10000 * (i + 1) + n), f'bench{n}')
                   for n in range(1, n_parts + 1)}
        with open(f'/dev/{disk}', 'r+b', buffering=0) as stream:
            n_sectors = int(Path(f'/sys/block/{disk}/size').read_text())
            gpt.write_fd(stream.fileno(), n_sectors, uuid.UUID(bfd.uuid(0x10000 * (i + 1))), entries)
        bf.settle()
        bfd.reread(disk)
        bf.wait_for(lambda d=disk: len(bf.partitions(d)) == n_parts, what=f'{n_parts} partitions on {disk}')
        uuids.update({bf.name_of(bf.partition(disk, n)): e.uuid for n, e in entries.items()})
    bf.settle()
    return uuids


def write_policies(uuids, filter_name='bftrack'):
    """Policies for these partitions, each of which makes many attachments: at most 256 files are read."""
    uuids = list(uuids)
    for number, first in enumerate(range(0, len(uuids), VALUES_PER_POLICY)):
        some = uuids[first:first + VALUES_PER_POLICY]
        bfd.write_policy(f'{number:03}-bench.conf',
                         f'[Match]\nPartUUID={" ".join(some)}\n[Filter]\nName={filter_name}\n')
    errors = bfd.reload()
    bf.equal(errors, [], 'errors in the policies')


def count(state):
    """How many attachments are in that state."""
    return bf.busctl_get('Counts')[state]


def wait_count(state, wanted, limit=300):
    bf.wait_for(lambda: count(state) == wanted, limit, f'{wanted} attachments to be {state}')
