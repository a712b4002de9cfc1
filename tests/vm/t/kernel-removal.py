# SPDX-License-Identifier: LGPL-2.1-or-later
# vm: limit=900
"""The filter goes with its device, and what is left of the device answers ENODEV."""

import os
import sys
import threading
import time
from contextlib import ExitStack
from pathlib import Path

sys.path.insert(0, os.path.join(os.path.dirname(__file__), '..', 'guest'))
# pylint: disable=wrong-import-position
import bf
import kfilter as kf

MIB = 1 << 20
REMOVALS_UNDER_IO = 6
REMOVALS_UNDER_ATTACH = 6
REREADS = 5


def all_unused():
    return all(kf.refcount(m) == 0 for m in ('bfcount', 'bftrack', 'bffault'))


def expect_dead(fd, what):
    """Every call on a descriptor of what was removed. Before the attach, so that it cannot hide that one worked."""
    for call in (kf.ctl, kf.detach):
        for name in ('bfcount', 'bftrack'):
            args = (fd, name, 0) if call is kf.ctl else (fd, name)
            bf.equal(kf.error_of(call, *args), 'ENODEV', f'{call.__name__} on {what}')
    bf.equal(kf.error_of(kf.attach, fd, 'bftrack'), 'ENODEV', f'attach to {what}')
    bf.equal(kf.error_of(kf.attach, fd, 'nosuch'), 'ENOENT', f'attach of an unknown filter to {what}')


kf.begin()

with kf.partitioned() as (scsi, disk):
    one, two = f'{disk}1', f'{disk}2'

    with bf.case('kernel/reread-drops-the-filters'):
        bf.settle()
        kf.attach(one, 'bfcount')
        kf.attach(two, 'bftrack')
        generation = kf.TrackInfo(two).generation
        kf.reread(disk)
        bf.equal((bf.filter_of(one), bf.filter_of(two)), ('', ''), 'attributes after the re-read')
        bf.check(all_unused(), 'the filters are detached')
        kf.attach(two, 'bftrack')
        bf.check(kf.TrackInfo(two).generation != generation, 'another generation')
        kf.detach(two, 'bftrack')

    with bf.case('kernel/reread-keeps-the-disks-own-filter'):
        bf.settle()
        kf.attach(disk, 'bfcount')
        kf.reread(disk)
        bf.equal(bf.filter_of(disk), 'bfcount', 'attribute after the re-read')
        kf.detach(disk, 'bfcount')

    with bf.case('kernel/deleted-partition-drops-its-filter-only'):
        bf.settle()
        kf.attach(one, 'bfcount')
        kf.attach(two, 'bftrack')
        start, size = (int(Path(f'/sys/class/block/{one}/{f}').read_text()) * 512 for f in ('start', 'size'))
        kf.blkpg(disk, kf.BLKPG_DEL_PARTITION, 1)
        bf.equal((bf.filter_of(one), bf.filter_of(two)), (None, 'bftrack'), 'attributes')
        bf.equal((kf.refcount('bfcount'), kf.refcount('bftrack')), (0, 1), 'references')
        kf.blkpg(disk, kf.BLKPG_ADD_PARTITION, 1, start, size)
        bf.equal(bf.filter_of(one), '', 'attribute of the partition that came back')
        kf.expect('OK', kf.attach, one, 'bfcount')
        kf.detach(one, 'bfcount')
        kf.detach(two, 'bftrack')

    with bf.case('kernel/open-partition-keeps-its-filter'):
        bf.settle()
        with kf.opened(one) as fd:
            kf.attach(fd, 'bfcount')
            kf.expect('EBUSY', kf.reread, disk)
            kf.expect('EBUSY', kf.blkpg, disk, kf.BLKPG_DEL_PARTITION, 1)
            bf.equal(bf.filter_of(one), 'bfcount', 'attribute')
            kf.detach(fd, 'bfcount')

    with bf.case('kernel/removed-disk-answers-ENODEV'):
        bf.settle()
        with kf.opened(disk) as disk_fd, kf.opened(one) as with_filter, kf.opened(two) as without:
            kf.attach(disk_fd, 'bfcount')
            kf.attach(with_filter, 'bftrack')
            scsi.remove(disk)
            bf.wait_for(all_unused, what='the filters to be detached')
            expect_dead(disk_fd, 'the removed disk')
            expect_dead(with_filter, 'a removed partition that had a filter')
            expect_dead(without, 'a removed partition')
        bf.check(all_unused(), 'no reference is left')
        disk, = scsi.rescan(1)
        one, two = f'{disk}1', f'{disk}2'
        bf.equal([bf.filter_of(d) for d in (disk, one, two)], [''] * 3, 'attributes of the disk that came back')

    with bf.case('kernel/removal-under-io'):
        for turn in range(REMOVALS_UNDER_IO):
            one, two = f'{disk}1', f'{disk}2'
            bf.settle()
            with ExitStack() as stack:
                fd = stack.enter_context(kf.opened(one))
                kf.attach(one, ('bfcount', 'bftrack')[turn % 2])
                kf.attach(two, 'bftrack')
                kf.attach(disk, 'bfcount')

                def work(i, device=one, step=0):
                    kf.write_direct(device, (i * 37 + step) % 200 * 65536, kf.pattern(i, 65536))

                # EIO, ENODEV, ENXIO: the disk is gone
                writers = [stack.enter_context(kf.Background(lambda i, d=d, s=s: work(i, d, s), tolerated=(OSError,)))
                           for d in (one, two) for s in (0, 100)]
                for writer in writers:
                    writer.reach(3)
                scsi.remove(disk)
                bf.wait_for(all_unused, what=f'the filters to be detached, turn {turn}')
                for writer in writers:
                    writer.thread.join(60)
                    bf.check(not writer.thread.is_alive(), 'the writers of the removed disk end')
                expect_dead(fd, 'a partition removed under I/O')
            disk, = scsi.rescan(1)

    with bf.case('kernel/removal-while-attaching'):
        for turn in range(REMOVALS_UNDER_ATTACH):
            bf.settle()
            one = f'{disk}1'
            gone = threading.Event()

            def attach_and_detach(i, fd):
                try:
                    kf.attach(fd, 'bftrack')
                    kf.TrackInfo(fd)
                    kf.detach(fd, 'bftrack')
                except OSError as error:
                    if error.errno != kf.errno.ENODEV:
                        raise
                    gone.set()
                    raise EOFError from error

            with kf.opened(one) as fd, kf.opened(disk) as disk_fd, \
                    kf.Background(lambda i, fd=fd: attach_and_detach(i, fd), tolerated=(EOFError,)) as first, \
                    kf.Background(lambda i, fd=disk_fd: attach_and_detach(i, fd), tolerated=(EOFError,)) as second:
                first.reach(1)
                second.reach(1)
                scsi.remove(disk)
                for thread in (first, second):
                    thread.thread.join(60)
                    bf.check(not thread.thread.is_alive(), 'the removal ends the attaching')
                expect_dead(fd, 'a partition removed while attaching')
            bf.check(gone.is_set(), 'the removed device answered ENODEV')
            bf.check(all_unused(), f'no reference is left, turn {turn}')
            disk, = scsi.rescan(1)

    with bf.case('kernel/reread-while-attaching'):
        bf.settle()
        one = f'{disk}1'

        def attach_once(_):
            try:
                kf.attach(one, 'bftrack')
            except (FileNotFoundError, OSError) as error:
                # not there for the moment, or attached since the last time
                if error.errno not in (kf.errno.ENOENT, kf.errno.ENXIO, kf.errno.ENODEV, kf.errno.EALREADY):
                    raise

        n_done = 0
        deadline = time.monotonic() + 300
        with kf.Background(attach_once) as attaching:
            attaching.reach(1)
            while n_done < REREADS and time.monotonic() < deadline:
                # not while the partition is open, which it is most of the time
                n_done += kf.error_of(kf.reread, disk) == 'OK'
        bf.equal(n_done, REREADS, 're-reads between two attaches')
        bf.settle()
        bf.wait_for(lambda: kf.error_of(kf.reread, disk) == 'OK', what='a re-read')
        bf.check(all_unused(), 'no reference is left')
        bf.settle()

with bf.case('kernel/disconnected-loop-drops-its-filter'):
    # the next file is not what the filter was put on
    with kf.loop_disk(8 * MIB) as loop:
        kf.attach(loop, 'bftrack')
        bf.sh(f'losetup --detach /dev/{loop}')
        bf.wait_for(lambda: bf.filter_of(loop) == '', what='the filter to be detached')
        bf.wait_for(all_unused, what='the filter to be unused')
        bf.sh(f'losetup /dev/{loop} /var/tmp/kfilter-loop')
        kf.expect('OK', kf.attach, loop, 'bfcount')
        kf.detach(loop, 'bfcount')

with bf.case('kernel/removed-dm-drops-its-filter'):
    with kf.loop_disk(8 * MIB) as loop:
        with kf.dm_table('kf', f'0 {kf.sectors(loop)} linear /dev/{loop} 0') as dm:
            kf.attach(dm, 'bftrack')
        bf.check(all_unused(), 'the filter is detached')

kf.end('kernel-removal')
