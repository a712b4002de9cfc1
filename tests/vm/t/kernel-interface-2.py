# SPDX-License-Identifier: LGPL-2.1-or-later
# vm: suite=interfaces interface=blkfilter-2 limit=180
"""The kernel with the interface blkfilter-2: its numbers, every error, and the options of ATTACH."""

import ctypes
import errno
import os
import struct
import sys
from pathlib import Path

sys.path.insert(0, os.path.join(os.path.dirname(__file__), '..', 'guest'))
# pylint: disable=wrong-import-position
import bf
import kfilter as kf

ATTACH, DETACH, CTL = 0xC030128E, 0xC020128F, 0xC0301290
ATTACH_1, DETACH_1 = 0xC020128C, 0xC020128D
KIB, MIB = 1 << 10, 1 << 20


def raw(device, number, argument):
    with kf.opened(device) as fd:
        kf.fcntl.ioctl(fd, number, bytearray(argument))


def attach(device, name, options=b'', optlen=None, pointer=None):
    """ATTACH; optlen and pointer replace what goes with the options."""
    buffer = ctypes.create_string_buffer(bytes(options), max(len(options), 1))
    if pointer is None:
        pointer = ctypes.addressof(buffer) if options else 0
    raw(device, ATTACH, kf.name_arg(name) + struct.pack('QII', pointer, len(options) if optlen is None else optlen, 0))


def detach(device, name):
    raw(device, DETACH, kf.name_arg(name))


def block_size(size):
    return struct.pack('<I', size)


kf.begin()
bf.sh('modprobe bfsnap')

with kf.partitioned(('8MiB', '8MiB')) as (scsi, disk):
    one, two = f'{disk}1', f'{disk}2'

    with bf.case('kernel/2/numbers-of-the-other-interface-are-unknown'):
        for number in (ATTACH_1, DETACH_1):
            answer = kf.error_of(raw, one, number, kf.name_arg('bfcount') + bytes(16))
            bf.check(answer in ('ENOTTY', 'EINVAL'), f'{number:#x} answers {answer}')
        bf.equal(bf.filter_of(one), '', 'filter')
        bf.equal(Path('/sys/module/blk_filter/parameters/interface').read_text(), 'blkfilter-2\n', 'parameter')

    with bf.case('kernel/2/attach-errors'):
        kf.expect('ENOENT', attach, one, 'nosuch')
        kf.expect('ENOENT', attach, one, '')
        kf.expect('OK', attach, one, 'bfcount')
        kf.expect('EALREADY', attach, one, 'bfcount')
        kf.expect('EBUSY', attach, one, 'bftrack')
        kf.expect('ENOENT', attach, one, '')
        bf.equal(bf.filter_of(one), 'bfcount', 'what is attached after all this')
        detach(one, 'bfcount')

    with bf.case('kernel/2/detach-errors'):
        kf.expect('ENOENT', detach, one, 'bfcount')
        kf.expect('ENOENT', detach, one, '')
        attach(one, 'bfcount')
        kf.expect('EINVAL', detach, one, 'bftrack')
        kf.expect('EINVAL', detach, one, '')
        kf.expect('OK', detach, one, 'bfcount')
        bf.equal(bf.filter_of(one), '', 'filter')

    with bf.case('kernel/2/ctl-errors'):
        kf.expect('ENOENT', kf.ctl, one, 'bfcount', kf.BFCOUNT_RESET)
        attach(one, 'bfcount')
        kf.expect('EINVAL', kf.ctl, one, 'bftrack', kf.BFTRACK_CLEAR)
        kf.expect('EINVAL', kf.ctl, one, '', 0)
        kf.expect('OK', kf.ctl, one, 'bfcount', kf.BFCOUNT_RESET)
        kf.read_direct(one, 0, 8192)
        bf.equal(kf.counters(one)['read_bytes'], 8192, 'bytes that the filter has counted')
        detach(one, 'bfcount')

    with bf.case('kernel/2/name-not-terminated'):
        long = b'bfcount' + b'x' * 25
        kf.expect('EINVAL', attach, one, long)
        kf.expect('EINVAL', detach, one, long)
        kf.expect('EINVAL', kf.ctl, one, long, 0)

    with bf.case('kernel/2/bad-argument-pointer'):
        libc = ctypes.CDLL(None, use_errno=True)
        with kf.opened(one) as fd:
            for number in (ATTACH, DETACH, CTL):
                bf.equal(libc.ioctl(fd, ctypes.c_ulong(number), ctypes.c_void_p(8)), -1, hex(number))
                bf.equal(ctypes.get_errno(), errno.EFAULT, hex(number))

    with bf.case('kernel/2/ctl-of-the-other-interface-attaches'):
        # what a program written for blkfilter-1 sends to reset the counters
        raw(one, ATTACH, kf.name_arg('bfcount') + struct.pack('IIQ', kf.BFCOUNT_RESET, 0, 0))
        bf.equal(bf.filter_of(one), 'bfcount', 'filter')
        detach(one, 'bfcount')

    with bf.case('kernel/2/options-where-none-are-taken'):
        for name in ('bfcount', 'bffault', 'blksnap'):
            kf.expect('EINVAL', attach, one, name, block_size(4096))
            kf.expect('EINVAL', attach, one, name, optlen=1, pointer=8)
            # a pointer to nothing is no option
            kf.expect('OK', attach, one, name, optlen=0, pointer=8)
            detach(one, name)

    with bf.case('kernel/2/bftrack-block-size'):
        attach(one, 'bftrack')
        bf.equal(kf.TrackInfo(one).block, 4096, 'block size without options')
        detach(one, 'bftrack')
        for size in (512, 4096, 64 * KIB, MIB):
            attach(one, 'bftrack', block_size(size))
            info = kf.TrackInfo(one)
            bf.equal((info.size, info.block, info.count), (8 * MIB, size, 8 * MIB // size), 'size, block size, blocks')
            kf.write_direct(one, 3 * MIB + 512, kf.pattern(1, 1024))
            first, last = (3 * MIB + 512) // size, (3 * MIB + 512 + 1023) // size
            bf.equal(kf.track_map(one), set(range(first, last + 1)), f'blocks of {size} bytes that were written')
            detach(one, 'bftrack')

    with bf.case('kernel/2/bftrack-bad-options'):
        for size in (0, 1, 256, 513, 3000, 4095, 2 * MIB, 1 << 31, 0xffffffff):
            kf.expect('EINVAL', attach, one, 'bftrack', block_size(size))
        for options in (b'\0', b'\0\x10', b'\0\x10\0', bytes(8), block_size(4096) + b'\0'):
            kf.expect('EINVAL', attach, one, 'bftrack', options)
        kf.expect('EINVAL', attach, one, 'bftrack', optlen=0xffffffff, pointer=8)
        kf.expect('EFAULT', attach, one, 'bftrack', optlen=4, pointer=8)
        bf.equal((bf.filter_of(one), kf.refcount('bftrack')), ('', 0), 'filter, references')
        attach(one, 'bfcount')
        kf.expect('EBUSY', attach, one, 'bftrack', block_size(1))
        detach(one, 'bfcount')

    with bf.case('kernel/2/bftrack-too-many-blocks'):
        # twice of what 512 bytes a block are enough for
        with kf.null_blk('kf-large', size=64 * KIB) as large:
            kf.expect('EFBIG', attach, large, 'bftrack', block_size(512))
            kf.expect('OK', attach, large, 'bftrack', block_size(1024))
            bf.equal(kf.TrackInfo(large).count, 64 * MIB, 'blocks')
            detach(large, 'bftrack')

    with bf.case('kernel/2/reread-drops-the-filters'):
        bf.settle()
        attach(one, 'bfcount')
        attach(two, 'bftrack', block_size(512))
        attach(disk, 'bfcount')
        kf.reread(disk)
        bf.equal([bf.filter_of(d) for d in (disk, one, two)], ['bfcount', '', ''], 'filters after the re-read')
        bf.equal([kf.refcount(m) for m in ('bfcount', 'bftrack')], [1, 0], 'references')
        detach(disk, 'bfcount')

    with bf.case('kernel/2/removed-disk-answers-ENODEV'):
        bf.settle()
        with kf.opened(disk) as disk_fd, kf.opened(one) as with_filter, kf.opened(two) as without:
            attach(with_filter, 'bftrack')
            scsi.remove(disk)
            bf.wait_for(lambda: kf.refcount('bftrack') == 0, what='the filter to be detached')
            for fd in (disk_fd, with_filter, without):
                for name in ('bfcount', 'bftrack'):
                    kf.expect('ENODEV', kf.ctl, fd, name, 0)
                    kf.expect('ENODEV', detach, fd, name)
                    kf.expect('ENODEV', attach, fd, name)
                kf.expect('ENOENT', attach, fd, 'nosuch')
        scsi.rescan(1)

bf.sh('rmmod bfsnap')
kf.end('kernel-interface-2')
