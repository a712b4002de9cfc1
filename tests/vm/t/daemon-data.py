# SPDX-License-Identifier: LGPL-2.1-or-later
# vm: interfaces-long limit=420
"""Data under a filter that comes and goes: not a byte is lost or changed, and bftrack's map covers every block that was
written while it was attached. The filter is attached and detached on the bus, as a mounted partition cannot be
re-read."""

import os
import random
import sys
import threading
import time
from contextlib import contextmanager

sys.path.insert(0, os.path.join(os.path.dirname(__file__), '..', 'guest'))
# pylint: disable=wrong-import-position
import bf
import bfd
import kfilter

MIB = 1 << 20
SIZE = 32 * MIB
MOUNT = '/run/daemon-data'


def attach(part):
    bf.busctl_call('Attach', 'ssa{sv}', part, 'bftrack', 0)
    bf.equal(bf.filter_of(part), 'bftrack', f'the filter of {part} when the call has been answered')


def detach(part):
    bf.busctl_call('Detach', 'ssa{sv}', part, 'bftrack', 0)
    bf.equal(bf.filter_of(part), '', f'the filter of {part} when the call has been answered')


def blocks_of(start, length, size):
    """The blocks of that size that a range touches."""
    return range(start // size, (start + length - 1) // size + 1)


def marked(part):
    """The size of bftrack's blocks, and those that are marked."""
    return kfilter.TrackInfo(part).block, kfilter.track_map(part)


def content(part):
    """What is on the disk, past the page cache. Twice, until it no longer changes: a file system may still write
    after sync."""
    def read():
        return b''.join(kfilter.read_direct(part, offset, MIB) for offset in range(0, SIZE, MIB))
    last = [read()]

    def still():
        last.append(read())
        return last[-1] == last[-2]
    bf.wait_for(still, what=f'{part} to be still')
    return last[-1]


def differences(old, new, size):
    return {n for n in range(len(old) // size) if old[n * size:(n + 1) * size] != new[n * size:(n + 1) * size]}


class Writer:
    """Writes to a file or a device as fsx does: ranges of any length at any place, by turns through the page cache,
    past it, with fsync and without; reads other ranges and compares. What was written when is kept in .log:
    (offset, length, begin, end); end is the time when the data was on the disk."""

    def __init__(self, path, size, seed, sector=512, buffered=True):
        self.path = path
        self.size = size
        self.random = random.Random(seed)
        self.sector = sector
        self.buffered = buffered
        self.expected = bytearray(size)
        self.direct = os.open(path, os.O_RDWR | os.O_DIRECT)
        self.cached = os.open(path, os.O_RDWR)
        self.log = []
        self.pending = []
        self.n_compared = 0
        self.lock = threading.Lock()

    def fill(self):
        """A first content, all of it allocated."""
        self.expected[:] = self.random.randbytes(self.size)
        os.pwrite(self.cached, self.expected, 0)
        os.fsync(self.cached)

    def write(self):
        direct = not self.buffered or self.random.random() < 0.5
        unit = self.sector if direct else 1
        length = self.random.randrange(1, 65536 // unit) * unit
        offset = self.random.randrange(0, (self.size - length) // unit) * unit
        data = self.random.randbytes(length)
        began = time.monotonic()
        if direct:
            with kfilter.aligned(data) as memory, memoryview(memory) as view:
                bf.equal(os.pwrite(self.direct, view[:length], offset), length, 'bytes written')
            self.log.append((offset, length, began, time.monotonic()))
        else:
            bf.equal(os.pwrite(self.cached, data, offset), length, 'bytes written')
            self.pending.append((offset, length, began))
        self.expected[offset:offset + length] = data

    def fsync(self):
        os.fsync(self.cached)
        now = time.monotonic()
        self.log += [(offset, length, began, now) for offset, length, began in self.pending]
        self.pending.clear()

    def compare(self):
        length = self.random.randrange(1, 65536)
        offset = self.random.randrange(0, self.size - length)
        if os.pread(self.cached, length, offset) != self.expected[offset:offset + length]:
            raise bf.Failure(f'other data than was written in {length} bytes at {offset} of {self.path}')
        self.n_compared += 1

    def step(self, _=0):
        with self.lock:
            kind = self.random.random()
            if kind < 0.6 or not self.buffered:
                self.write()
            elif kind < 0.7:
                self.fsync()
            else:
                self.compare()

    def verify(self):
        """All of it, from the disk."""
        with self.lock:
            self.fsync()
            os.close(self.direct)
            os.close(self.cached)
        bf.sh('echo 3 >/proc/sys/vm/drop_caches')
        with open(self.path, 'rb') as stream:
            if stream.read(self.size) != self.expected:
                raise bf.Failure(f'{self.path} has other data than was written')


def extents(path):
    """Where on its device a file lies: (offset in the file, on the device, length), by filefrag."""
    found = []
    for line in bf.sh(f'filefrag -v -b1 {path}').splitlines():
        fields = line.replace('..', ' ').replace(':', ' ').split()
        if fields and fields[0].isdecimal() and len(fields) >= 6:
            logical, _, physical, _, length = (int(n) for n in fields[1:6])
            found.append((logical, physical, length))
    return found


def on_device(where, offset, length):
    """The ranges of the device that a range of a file lies in."""
    for logical, physical, size in where:
        begin, end = max(offset, logical), min(offset + length, logical + size)
        if begin < end:
            yield physical + begin - logical, end - begin


@contextmanager
def mounted(part):
    """A new ext4 on the partition; at the end it must be without a fault."""
    bf.sh(f'mkfs.ext4 -q -F -E lazy_itable_init=0,lazy_journal_init=0 {part} && mkdir -p {MOUNT} && mount {part} {MOUNT}')
    try:
        yield
    finally:
        bf.wait_for(lambda: bf.sh(f'umount {MOUNT}') == '', what='the file system to be unmounted')
        bf.settle()
        bf.sh(f'fsck.ext4 -f -n {part}')


bfd.begin()

with bf.scsi_debug() as scsi:
    sda, = scsi.disks()
    bf.sfdisk(sda, f'label: gpt\nsize=32MiB, uuid={bfd.uuid(1)}, name=data\nsize=8MiB, name=other\n')
    sda1 = bf.partition(sda, 1)

    with bf.case('daemon/data/raw-writes-through-attach-and-detach'):
        writer = Writer(sda1, SIZE, seed=1, buffered=False)
        writer.fill()
        windows = []
        with kfilter.Background(writer.step) as background:
            for _ in range(8):
                before = time.monotonic()
                attach(sda1)
                began = time.monotonic()
                background.reach(background.n_done + 100)
                ended = time.monotonic()
                size, blocks = marked(sda1)
                after = time.monotonic()
                windows.append((before, began, ended, after, size, blocks))
                detach(sda1)
                background.reach(background.n_done + 30)
        n_must = 0
        for before, began, ended, after, size, blocks in windows:
            must, may = set(), set()
            for offset, length, begin, end in writer.log:
                touched = blocks_of(offset, length, size)
                if begin >= began and end <= ended:
                    must.update(touched)
                if end >= before and begin <= after:
                    may.update(touched)
            bf.equal(sorted(must - blocks), [], 'blocks written while it was attached that the map does not have')
            bf.equal(sorted(blocks - may), [], 'blocks in the map that were not written')
            n_must += len(must)
        print(f'# 8 attaches, {len(writer.log)} writes, {n_must} blocks of {size} bytes in the maps, none missing')
        writer.verify()

    with bf.case('daemon/data/every-changed-block-of-a-file-system'), mounted(sda1):
        rng = random.Random(2)
        for turn in range(3):
            bf.sh('sync')
            old = content(sda1)
            attach(sda1)
            for n in range(20):
                # new files, grown ones, removed ones: data and all that the file system writes with it
                with open(f'{MOUNT}/file-{turn}-{n}', 'wb') as stream:
                    stream.write(rng.randbytes(rng.randrange(1, 200000)))
                    if n % 3 == 0:
                        os.fsync(stream.fileno())
                if n % 4 == 3:
                    os.unlink(f'{MOUNT}/file-{turn}-{n - 1}')
            bf.sh('sync')
            new = content(sda1)
            size, blocks = marked(sda1)
            changed = differences(old, new, size)
            bf.check(len(changed) > 100, f'many blocks have changed ({len(changed)})')
            bf.equal(sorted(changed - blocks), [], 'blocks that have changed and that the map does not have')
            print(f'# {len(changed)} blocks of {size} bytes have changed, all of them are among the {len(blocks)} of the map')
            detach(sda1)
            for n in range(0, 20, 4):
                os.unlink(f'{MOUNT}/file-{turn}-{n}')

    with bf.case('daemon/data/file-system-through-attach-and-detach'), mounted(sda1):
        writers = []
        for n in range(2):
            path = f'{MOUNT}/writer-{n}'
            with open(path, 'wb'):
                pass
            writers.append(Writer(path, 4 * MIB, seed=10 + n))
            writers[-1].fill()
        bf.sh('sync')
        windows = []
        with kfilter.Background(writers[0].step) as first, kfilter.Background(writers[1].step) as second:
            for _ in range(6):
                attach(sda1)
                began = time.monotonic()
                for background in (first, second):
                    background.reach(background.n_done + 60)
                for writer in writers:
                    with writer.lock:
                        writer.fsync()
                ended = time.monotonic()
                size, blocks = marked(sda1)
                windows.append((began, ended, size, blocks))
                detach(sda1)
                for background in (first, second):
                    background.reach(background.n_done + 20)
        n_must = 0
        for began, ended, size, blocks in windows:
            must = set()
            for writer in writers:
                where = extents(writer.path)
                for offset, length, begin, end in writer.log:
                    if begin >= began and end <= ended:
                        for place, n in on_device(where, offset, length):
                            must.update(blocks_of(place, n, size))
            bf.check(must, 'something was written while it was attached')
            bf.equal(sorted(must - blocks), [], 'blocks written while it was attached that the map does not have')
            n_must += len(must)
        for writer in writers:
            writer.verify()
        print(f'# 6 attaches, {sum(len(w.log) for w in writers)} writes, {sum(w.n_compared for w in writers)} ranges'
              f' compared on the way, {n_must} blocks in the maps, none missing')

    with bf.case('daemon/data/a-re-read-keeps-the-data'):
        with bfd.policies():
            bfd.put_policy('20-data.conf', part_uuid=bfd.uuid(1))
            generation = bfd.wait_attached(sda1)
            for turn in range(5):
                data = kfilter.pattern(turn, MIB)
                kfilter.write_direct(sda1, turn * MIB, data)
                size, blocks = marked(sda1)
                bf.equal(sorted(set(blocks_of(turn * MIB, MIB, size)) - blocks), [], 'blocks that the map does not have')
                bfd.reread(sda)
                generation = bfd.wait_attached(sda1, other_than=generation)
                bf.equal(kfilter.read_direct(sda1, turn * MIB, MIB), data, 'the data after the re-read')
            bf.equal(b''.join(kfilter.read_direct(sda1, t * MIB, MIB) for t in range(5)),
                     b''.join(kfilter.pattern(t, MIB) for t in range(5)), 'all data at the end')

bfd.end('daemon/data')
