# SPDX-License-Identifier: LGPL-2.1-or-later
# vm: limit=900
"""Attaching and detaching under load: no data is lost or changed, and nothing that is written once an attach is done
is missing in the map."""

import os
import sys
from contextlib import ExitStack
from pathlib import Path

sys.path.insert(0, os.path.join(os.path.dirname(__file__), '..', 'guest'))
# pylint: disable=wrong-import-position
import bf
import kfilter as kf

KIB, MIB = 1 << 10, 1 << 20
AREA = 4 * MIB
BLOCK = 4096
RAW_TURNS = 24
FS_TURNS = 15
MAP_TURNS = 12


def cycle(device, turns):
    """Attaches and detaches the filters by turns."""
    for turn in range(turns):
        name = ('bfcount', 'bftrack')[turn % 2]
        kf.attach(device, name)
        kf.detach(device, name)


class Writer:
    """Writes chunks of an area of its own over and over, past the page cache or through it, and knows what must be
    there."""

    def __init__(self, device, start, chunk, flags):
        self.fd = os.open(f'/dev/{device}', os.O_RDWR | os.O_CLOEXEC | flags)
        self.start = start
        self.chunk = chunk
        self.expected = {}
        # one memory for all: making patterns takes longer than writing them
        self.stock = [kf.aligned(kf.pattern((device, start, n).__repr__(), chunk)) for n in range(4)]

    def step(self, i):
        offset = self.start + i * 7 % (AREA // self.chunk) * self.chunk
        data = self.stock[i % len(self.stock)]
        n = os.pwrite(self.fd, memoryview(data), offset)
        bf.equal(n, self.chunk, 'bytes written')
        self.expected[offset] = data

    def close(self, device):
        os.fsync(self.fd)
        os.close(self.fd)
        bf.check(self.expected, 'something was written')
        for offset, data in self.expected.items():
            got = kf.read_direct(device, offset, self.chunk)
            bf.check(got == data[:], f'{device} holds at {offset} what was written there last')


def load(device, turns):
    """Three writers, direct and buffered ones, while filters come and go."""
    bf.settle()
    writers = [Writer(device, 0, 64 * KIB, os.O_DIRECT), Writer(device, AREA, MIB, os.O_DIRECT),
               Writer(device, 2 * AREA, 16 * KIB, 0)]
    with ExitStack() as stack:
        running = [stack.enter_context(kf.Background(w.step)) for w in writers]
        for r in running:
            r.reach(2)
        cycle(device, turns)
        for r in running:
            r.reach(r.n_done + 2)
    for w in writers:
        w.close(device)


def snapshot(device):
    data = kf.read_direct(device, 0, AREA)
    return [data[i:i + BLOCK] for i in range(0, AREA, BLOCK)]


def map_is_complete(device, turns):
    """What differs between a copy of the device made after the attach (or the clear) and its state in the end, the map
    must show: also if the write was under way when the attach came. Chunks of 1 MiB are split into many requests."""
    bf.settle()
    wide = Writer(device, 0, MIB, os.O_DIRECT)
    narrow = Writer(device, 0, 32 * KIB, os.O_DIRECT)
    n_changed = 0
    for turn in range(turns):
        with kf.Background(wide.step) as one, kf.Background(narrow.step) as two:
            one.reach(1)
            two.reach(1)
            # an earlier filter has seen what is under way
            kf.attach(device, 'bfcount')
            two.reach(two.n_done + 1)
            kf.detach(device, 'bfcount')
            kf.attach(device, 'bftrack')
            if turn % 2:
                one.reach(one.n_done + 1)
                kf.track_clear(device)
            before = snapshot(device)
            two.reach(two.n_done + 1)
        after = snapshot(device)
        shown = kf.track_map(device)
        kf.detach(device, 'bftrack')
        changed = {i for i in range(len(after)) if before[i] != after[i]}
        n_changed += len(changed)
        missing = sorted(changed - shown)
        bf.check(not missing, f'turn {turn}: the map shows what changed; missing: {missing[:8]} of {len(changed)}')
    bf.check(n_changed, 'something changed')
    for w in (wide, narrow):
        os.close(w.fd)


kf.begin()

with kf.partitioned(('24MiB', '24MiB')) as (scsi, disk):
    one, two = f'{disk}1', f'{disk}2'
    Path(f'/sys/block/{disk}/queue/max_sectors_kb').write_text('64')

    with bf.case('kernel/load-partition'):
        load(one, RAW_TURNS)

    with bf.case('kernel/map-complete-partition'):
        map_is_complete(one, MAP_TURNS)

    with bf.case('kernel/load-dm-and-partition'):
        with kf.dm_table('kf', f'0 {kf.sectors(one)} linear /dev/{one} 0') as dm:
            bf.settle()
            with kf.Background(lambda i: cycle(one, 2)) as below:
                load(dm, RAW_TURNS // 4)
                below.reach(1)

    with bf.case('kernel/load-ext4'):
        root = Path('/mnt')
        bf.sh(f'mkfs.ext4 -q -F /dev/{one} && mount /dev/{one} {root}')
        try:
            names = []

            def write_file(i):
                path = root / f'file{i % 24}'
                data = kf.pattern(i % 24, 96 * KIB)
                with open(path, 'wb') as stream:
                    stream.write(data)
                    stream.flush()
                    if i % 3 == 0:
                        os.fsync(stream.fileno())
                names.append(path.name)

            with kf.Background(write_file) as writer:
                writer.reach(3)
                cycle(one, FS_TURNS)
                kf.attach(one, 'bftrack')
                writer.reach(writer.n_done + 2)
            bf.sh('sync')
            shown = kf.track_map(one)
            bf.check(shown, 'the file system\'s writes are tracked')
        finally:
            bf.sh(f'umount {root}')
        kf.detach(one, 'bftrack')
        bf.sh(f'e2fsck -fn /dev/{one}')
        bf.sh(f'mount -o ro /dev/{one} {root}')
        try:
            for name in set(names):
                bf.check((root / name).read_bytes() == kf.pattern(int(name[4:]), 96 * KIB), f'{name} is as written')
        finally:
            bf.sh(f'umount {root}')

    with bf.case('kernel/map-complete-ext4'):
        # a filter put on a mounted file system: what differs from a copy made afterwards is in the map
        bf.sh(f'mkfs.ext4 -q -F /dev/{one} && mount /dev/{one} /mnt')
        try:
            with kf.Background(lambda i: Path(f'/mnt/f{i % 16}').write_bytes(kf.pattern(i, 48 * KIB))) as writer:
                writer.reach(5)
                kf.attach(one, 'bftrack')
                before = kf.read_direct(one, 0, 24 * MIB)
                writer.reach(writer.n_done + 5)
            bf.sh('sync')
        finally:
            bf.sh('umount /mnt')
        after = kf.read_direct(one, 0, 24 * MIB)
        changed = {i for i in range(24 * 256) if before[i * BLOCK:(i + 1) * BLOCK] != after[i * BLOCK:(i + 1) * BLOCK]}
        bf.check(changed, 'something changed')
        bf.equal(sorted(changed - kf.track_map(one)), [], 'changed blocks that the map does not show')
        kf.detach(one, 'bftrack')

    with bf.case('kernel/frozen-file-system'):
        # its owner has frozen it: an attach neither waits nor thaws it
        bf.sh(f'mount /dev/{one} /mnt && fsfreeze --freeze /mnt')
        try:
            kf.expect('OK', kf.attach, one, 'bfcount')
            kf.expect('OK', kf.detach, one, 'bfcount')
            bf.sh('fsfreeze --freeze /mnt', ok=(1,))
        finally:
            bf.sh('fsfreeze --unfreeze /mnt; umount /mnt')

with bf.case('kernel/load-null_blk-bio-based'):
    with kf.null_blk('kf', queue_mode=0, memory_backed=1, size=64) as null:
        load(null, RAW_TURNS)
        map_is_complete(null, MAP_TURNS)

with bf.case('kernel/load-loop'):
    with kf.loop_disk(32 * MIB) as loop:
        load(loop, RAW_TURNS // 2)

kf.end('kernel-load')
