# SPDX-License-Identifier: LGPL-2.1-or-later
# vm: limit=900
"""Which I/O a filter sees: all of its device's, each bio once, on request-based and bio-based devices."""

import os
import sys
from pathlib import Path

sys.path.insert(0, os.path.join(os.path.dirname(__file__), '..', 'guest'))
# pylint: disable=wrong-import-position
import bf
import kfilter as kf

KIB, MIB = 1 << 10, 1 << 20


def count_once(device, offset=0, length=MIB):
    """One write and one read past the page cache are one bio each, however the device splits them."""
    bf.settle()
    data = kf.pattern(device, length)
    # when a descriptor for writing is closed udev reads the device: not before the counters are
    with kf.opened(device, os.O_RDWR | os.O_DIRECT) as fd:
        kf.attach(device, 'bfcount')
        kf.write_direct(fd, offset, data)
        bf.check(kf.read_direct(fd, offset, length) == data, f'{device} gives back what was written')
        got = kf.counters(device)
        kf.detach(device, 'bfcount')
    bf.settle()
    bf.equal({k: got[k] for k in ('reads', 'writes', 'read_bytes', 'write_bytes')},
             {'reads': 1, 'writes': 1, 'read_bytes': length, 'write_bytes': length}, f'counters of {device}')


def track_exactly(device):
    """The map shows what was written to the device, and nothing else."""
    bf.settle()
    kf.attach(device, 'bftrack')
    info = kf.TrackInfo(device)
    bf.equal(kf.track_map(device), set(), 'map after the attach')
    written = set()
    for offset, length in ((0, 512), (4 * KIB, 4 * KIB), (64 * KIB - 512, 1024), (MIB, 300 * KIB),
                           (info.size - 512, 512)):
        kf.write_direct(device, offset, kf.pattern(offset, length))
        written |= set(range(offset // info.block, (offset + length - 1) // info.block + 1))
        bf.equal(kf.track_map(device), written, f'map after the write of {length} bytes at {offset}')
    kf.read_direct(device, 2 * MIB, 64 * KIB)
    bf.equal(kf.track_map(device), written, 'map after a read')
    bf.equal(kf.TrackInfo(device).written, len(written), 'number of written blocks')
    bf.equal(kf.track_map(device, 256, 64), {b for b in written if 256 <= b < 320}, 'a part of the map')
    kf.track_clear(device)
    bf.equal((kf.track_map(device), kf.TrackInfo(device).written), (set(), 0), 'map after the clear')
    kf.write_direct(device, 8 * KIB, bytes(512))
    bf.equal(kf.track_map(device), {2}, 'map of what came after the clear')
    kf.detach(device, 'bftrack')


kf.begin()

with kf.partitioned(('16MiB', '16MiB'), lbpws=1, lbpws10=1) as (scsi, disk):
    one, two = f'{disk}1', f'{disk}2'

    with bf.case('kernel/partition-counts-once'):
        count_once(one)

    with bf.case('kernel/whole-disk-counts-once'):
        # behind the partitions
        count_once(disk, 40 * MIB)

    with bf.case('kernel/split-bio-counts-once'):
        limit = Path(f'/sys/block/{disk}/queue/max_sectors_kb')
        before = limit.read_text()
        limit.write_text('16')
        bf.equal(limit.read_text().strip(), '16', 'largest request in KiB')
        count_once(one)
        track_exactly(two)
        limit.write_text(before)

    with bf.case('kernel/partitions-are-independent'):
        kf.attach(one, 'bfcount')
        kf.attach(two, 'bfcount')
        kf.attach(disk, 'bfcount')
        for device in (one, two, disk):
            kf.reset(device)
        kf.write_direct(one, 0, bytes(8 * KIB))
        kf.write_direct(two, 0, bytes(4 * KIB))
        got = [kf.counters(d)['write_bytes'] for d in (one, two, disk)]
        # a filter of the whole disk sees what is sent to the whole disk
        bf.equal(got, [8 * KIB, 4 * KIB, 0], 'bytes written, seen on both partitions and on the disk')
        kf.detach(one, 'bfcount')
        kf.write_direct(one, 0, bytes(4 * KIB))
        kf.write_direct(two, 0, bytes(4 * KIB))
        bf.equal(kf.counters(two)['write_bytes'], 8 * KIB, 'bytes on the second after the first was detached')
        kf.detach(two, 'bfcount')
        kf.detach(disk, 'bfcount')

    with bf.case('kernel/bftrack-exact-on-partitions'):
        track_exactly(one)
        track_exactly(two)

    with bf.case('kernel/buffered-writes-are-tracked'):
        kf.attach(one, 'bftrack')
        with kf.opened(one, os.O_RDWR) as fd:
            for block in (3, 100, 101, 2000):
                os.pwrite(fd, kf.pattern(block, 4096), block * 4096)
            os.fsync(fd)
        bf.equal(kf.track_map(one), {3, 100, 101, 2000}, 'map')
        kf.detach(one, 'bftrack')

    with bf.case('kernel/discards-and-zeroes'):
        kf.attach(one, 'bftrack')
        kf.attach(two, 'bfcount')
        kf.reset(two)
        kf.discard(one, MIB, 2 * MIB)
        wanted = set(range(256, 768))
        bf.equal(kf.track_map(one), wanted, 'map after a discard')
        bf.equal(kf.TrackInfo(one).written, 512, 'number of written blocks')
        kf.discard(one, 8 * MIB, MIB, kf.BLKZEROOUT)
        wanted |= set(range(2048, 2304))
        bf.equal(kf.track_map(one), wanted, 'map after zeroes')
        kf.discard(two, 0, MIB)
        got = kf.counters(two)
        bf.check(got['discards'] >= 1 and got['write_bytes'] == 0, f'discards are counted as such: {got}')
        kf.detach(one, 'bftrack')
        kf.detach(two, 'bfcount')

    with bf.case('kernel/flushes'):
        kf.attach(one, 'bfcount')
        kf.reset(one)
        kf.fsync(one)
        got = kf.counters(one)
        bf.equal((got['flushes'], got['writes']), (1, 0), 'flushes, writes of an fsync with nothing to write')
        kf.detach(one, 'bfcount')

    with bf.case('kernel/dm-linear-and-its-partition-see-each-bio-once'):
        with kf.dm_table('kf', f'0 {kf.sectors(one)} linear /dev/{one} 0') as dm:
            bf.settle()
            kf.attach(dm, 'bfcount')
            kf.attach(one, 'bfcount')
            kf.reset(dm)
            kf.reset(one)
            kf.write_direct(dm, 0, kf.pattern(5, MIB))
            got = [kf.counters(d) for d in (dm, one)]
            bf.equal([g['writes'] for g in got], [1, 1], 'writes')
            bf.equal([g['write_bytes'] for g in got], [MIB, MIB], 'bytes')
            kf.detach(one, 'bfcount')
            kf.detach(dm, 'bfcount')
            track_exactly(dm)

    with bf.case('kernel/dm-across-two-targets-counts-once'):
        # the dm device splits the bio and submits the rest to itself
        table = (f'0 512 linear /dev/{one} 0\n'
                 f'512 512 linear /dev/{two} 0\n'
                 f'1024 8192 linear /dev/{one} 8192\n')
        with kf.dm_table('kf', table) as dm:
            count_once(dm)
            bf.settle()
            kf.attach(dm, 'bfcount')
            kf.attach(two, 'bfcount')
            kf.reset(dm)
            kf.reset(two)
            kf.write_direct(dm, 128 * KIB, kf.pattern(6, 512 * KIB))
            bf.equal([kf.counters(d)['write_bytes'] for d in (dm, two)], [512 * KIB, 256 * KIB], 'bytes')
            kf.detach(dm, 'bfcount')
            kf.detach(two, 'bfcount')

    with bf.case('kernel/suspended-dm-counts-once'):
        # what a suspended device holds back, it submits to itself when it is resumed
        with kf.dm_table('kf', f'0 {kf.sectors(one)} linear /dev/{one} 0') as dm:
            kf.attach(dm, 'bfcount')
            kf.reset(dm)
            bf.sh('dmsetup suspend kf')
            with kf.Background(lambda i: i or kf.write_direct(dm, 0, kf.pattern(7, 64 * KIB))) as writer:
                bf.wait_for(lambda: kf.counters(dm)['writes'] == 1, what='the write to arrive')
                bf.equal(writer.n_done, 0, 'writes done while suspended')
                bf.sh('dmsetup resume kf')
                writer.reach(1)
            bf.equal(kf.counters(dm)['writes'], 1, 'writes')
            kf.detach(dm, 'bfcount')

    with bf.case('kernel/bio-held-back-is-shown-to-the-next-filter'):
        # that an earlier filter has seen it does not help the one that must know what reaches the disk from now on
        with kf.dm_table('kf', f'0 {kf.sectors(one)} linear /dev/{one} 0') as dm:
            kf.attach(dm, 'bfcount')
            kf.reset(dm)
            bf.sh('dmsetup suspend kf')
            with kf.Background(lambda i: i or kf.write_direct(dm, 64 * KIB, kf.pattern(8, 4 * KIB))) as writer:
                bf.wait_for(lambda: kf.counters(dm)['writes'] == 1, what='the write to arrive')
                kf.detach(dm, 'bfcount')
                kf.attach(dm, 'bftrack')
                bf.equal((kf.track_map(dm), writer.n_done), (set(), 0), 'map, writes done while suspended')
                bf.sh('dmsetup resume kf')
                writer.reach(1)
            bf.equal(kf.track_map(dm), {16}, 'map')
            kf.detach(dm, 'bftrack')

with bf.case('kernel/loop'):
    with kf.loop_disk(32 * MIB) as loop:
        count_once(loop)
        track_exactly(loop)

with bf.case('kernel/null_blk-bio-based'):
    with kf.null_blk('kf', queue_mode=0, memory_backed=1, size=64) as null:
        count_once(null)
        track_exactly(null)

with bf.case('kernel/null_blk-request-based'):
    with kf.null_blk('kf', queue_mode=2, memory_backed=1, size=64) as null:
        count_once(null)
        track_exactly(null)

with bf.case('kernel/pages-written-past-the-bios-are-seen'):
    # brd offers ->rw_page, which goes past submit_bio()
    bf.sh('modprobe brd rd_nr=1 rd_size=16384')
    bf.settle()
    kf.attach('ram0', 'bfcount')
    kf.reset('ram0')
    with kf.opened('ram0') as fd:
        bf.equal(len(os.pread(fd, MIB, 0)), MIB, 'bytes read')
    bf.check(kf.counters('ram0')['read_bytes'] >= MIB, f'all that was read was seen: {kf.counters("ram0")}')
    kf.detach('ram0', 'bfcount')
    track_exactly('ram0')
    bf.sh('udevadm settle; rmmod brd')

with bf.case('kernel/bftrack-block-size'):
    with kf.loop_disk(2048 * MIB + 512) as loop:
        kf.attach(loop, 'bftrack')
        info = kf.TrackInfo(loop)
        bf.equal((info.size, info.block, info.count), (2048 * MIB + 512, 8192, 262145), 'size, block size, blocks')
        kf.write_direct(loop, info.size - 512, bytes(512))
        bf.equal(kf.track_map(loop, 262144, 1), {262144}, 'the last block')
        kf.detach(loop, 'bftrack')

with bf.case('kernel/bftrack-largest-map'):
    with kf.loop_disk(2048 * MIB) as loop:
        kf.attach(loop, 'bftrack')
        info = kf.TrackInfo(loop)
        bf.equal((info.block, info.count), (4096, 524288), 'block size, blocks')
        kf.discard(loop, 0, 2048 * MIB)
        bf.equal(kf.TrackInfo(loop).written, 524288, 'written blocks after a discard of all')
        kf.detach(loop, 'bftrack')

kf.end('kernel-bios')
