# SPDX-License-Identifier: LGPL-2.1-or-later
# vm: limit=180
"""The filter ioctls and the attribute: every error there is, and the commands of each filter."""

import ctypes
import errno
import mmap
import os
import struct
import sys
from pathlib import Path

sys.path.insert(0, os.path.join(os.path.dirname(__file__), '..', 'guest'))
# pylint: disable=wrong-import-position
import bf
import kfilter as kf

kf.begin()

with kf.partitioned(('8MiB', '8MiB')) as (scsi, disk):
    one, two = f'{disk}1', f'{disk}2'

    with bf.case('kernel/attach-errors'):
        kf.expect('ENOENT', kf.attach, one, 'nosuch')
        kf.expect('ENOENT', kf.attach, one, '')
        kf.expect('OK', kf.attach, one, 'bfcount')
        kf.expect('EALREADY', kf.attach, one, 'bfcount')
        kf.expect('EBUSY', kf.attach, one, 'bftrack')
        kf.expect('ENOENT', kf.attach, one, 'nosuch')
        kf.expect('ENOENT', kf.attach, one, '')
        bf.equal(bf.filter_of(one), 'bfcount', 'what is attached after all this')
        kf.detach(one, 'bfcount')

    with bf.case('kernel/detach-errors'):
        kf.expect('ENOENT', kf.detach, one, 'bfcount')
        kf.expect('ENOENT', kf.detach, one, '')
        kf.attach(one, 'bfcount')
        kf.expect('EINVAL', kf.detach, one, 'bftrack')
        kf.expect('EINVAL', kf.detach, one, '')
        kf.expect('OK', kf.detach, one, 'bfcount')
        kf.expect('ENOENT', kf.detach, one, 'bfcount')

    with bf.case('kernel/ctl-errors'):
        kf.expect('ENOENT', kf.ctl, one, 'bfcount', kf.BFCOUNT_RESET)
        kf.attach(one, 'bfcount')
        kf.expect('ENOENT', kf.ctl, one, 'bftrack', kf.BFTRACK_CLEAR)
        kf.expect('ENOENT', kf.ctl, one, '', 0)
        kf.expect('OK', kf.ctl, one, 'bfcount', kf.BFCOUNT_RESET)
        kf.detach(one, 'bfcount')

    with bf.case('kernel/name-not-terminated'):
        long = b'bfcount' + b'x' * 25
        for call in (kf.attach, kf.detach):
            kf.expect('EINVAL', call, one, long)
        kf.expect('EINVAL', kf.ctl, one, long, 0)
        kf.expect('ENOENT', kf.attach, one, long[:31] + b'\0')
        # what stands behind the NUL does not count
        kf.expect('OK', kf.attach, one, b'bfcount\0' + b'x' * 24)
        kf.detach(one, 'bfcount')

    with bf.case('kernel/bad-argument-pointer'):
        libc = ctypes.CDLL(None, use_errno=True)
        with kf.opened(one) as fd:
            for number in (kf.ATTACH, kf.DETACH, kf.CTL):
                bf.equal(libc.ioctl(fd, ctypes.c_ulong(number), ctypes.c_void_p(8)), -1, hex(number))
                bf.equal(ctypes.get_errno(), errno.EFAULT, hex(number))

    with bf.case('kernel/read-only-descriptor-attaches'):
        with kf.opened(one, os.O_RDONLY) as fd:
            kf.attach(fd, 'bfcount')
            kf.detach(fd, 'bfcount')

    with bf.case('kernel/unknown-ioctls-stay-unknown'):
        for number in (0xC020128B, 0xC020128F, 0xC0301290):
            with kf.opened(one) as fd:
                answer = kf.error_of(kf.fcntl.ioctl, fd, number, bytearray(64))
            bf.check(answer in ('ENOTTY', 'EINVAL'), f'{number:#x} answers {answer}')

    with bf.case('kernel/attribute'):
        for device in (disk, one, two):
            bf.equal(Path(f'/sys/class/block/{device}/filter').read_text(), '\n', f'{device} without a filter')
        kf.attach(two, 'bftrack')
        kf.attach(disk, 'bfcount')
        got = [Path(f'/sys/class/block/{d}/filter').read_text() for d in (disk, one, two)]
        bf.equal(got, ['bfcount\n', '\n', 'bftrack\n'], 'attributes')
        bf.equal(os.stat(f'/sys/class/block/{two}/filter').st_mode & 0o777, 0o444, 'mode')
        kf.detach(two, 'bftrack')
        kf.detach(disk, 'bfcount')
        got = [Path(f'/sys/class/block/{d}/filter').read_text() for d in (disk, one, two)]
        bf.equal(got, ['\n'] * 3, 'attributes')

    with bf.case('kernel/module-of-attached-filter-stays'):
        bf.equal(kf.refcount('bfcount'), 0, 'references')
        kf.attach(one, 'bfcount')
        kf.attach(two, 'bfcount')
        bf.equal(kf.refcount('bfcount'), 2, 'references')
        kf.expect('EALREADY', kf.attach, one, 'bfcount')
        kf.expect('EBUSY', kf.attach, one, 'bftrack')
        bf.equal((kf.refcount('bfcount'), kf.refcount('bftrack')), (2, 0), 'references after refused attaches')
        bf.sh('rmmod bfcount', ok=(1,))
        kf.detach(one, 'bfcount')
        bf.sh('rmmod bfcount', ok=(1,))
        kf.detach(two, 'bfcount')
        bf.sh('rmmod bfcount')
        kf.expect('ENOENT', kf.attach, one, 'bfcount')
        bf.sh('modprobe bfcount')
        kf.expect('OK', kf.attach, one, 'bfcount')
        kf.detach(one, 'bfcount')

    with bf.case('kernel/bfcount-ctl'):
        kf.attach(one, 'bfcount')
        for length in (0, 1, 47):
            kf.expect('EINVAL', kf.ctl, one, 'bfcount', kf.BFCOUNT_READ, bytearray(48), optlen=length)
        kf.expect('OK', kf.ctl, one, 'bfcount', kf.BFCOUNT_READ, bytearray(64))
        kf.expect('EFAULT', kf.ctl, one, 'bfcount', kf.BFCOUNT_READ, optlen=48, pointer=8)
        kf.expect('EINVAL', kf.ctl, one, 'bfcount', kf.BFCOUNT_RESET, bytearray(8))
        for cmd in (2, 3, 0xffffffff):
            kf.expect('EINVAL', kf.ctl, one, 'bfcount', cmd, bytearray(64))
        kf.read_direct(one, 0, 8192)
        bf.check(kf.counters(one)['read_bytes'] >= 8192, 'the read was counted')
        kf.reset(one)
        bf.equal(set(kf.counters(one).values()), {0}, 'counters after the reset')
        kf.detach(one, 'bfcount')

    with bf.case('kernel/bftrack-ctl'):
        kf.attach(one, 'bftrack')
        info = kf.TrackInfo(one)
        bf.equal((info.size, info.block, info.count), (8 << 20, 4096, 2048), 'size, block size, blocks')
        bf.equal((info.clears, info.reserved), (0, 0), 'clears, reserved')
        for length in (0, 47):
            kf.expect('EINVAL', kf.ctl, one, 'bftrack', kf.BFTRACK_INFO, bytearray(48), optlen=length)
        kf.expect('EFAULT', kf.ctl, one, 'bftrack', kf.BFTRACK_INFO, optlen=48, pointer=8)

        bits = bytearray(4096)
        address = ctypes.addressof((ctypes.c_char * len(bits)).from_buffer(bits))

        def ask(first, n, pointer=address, **kwargs):
            kf.ctl(one, 'bftrack', kf.BFTRACK_MAP, bytearray(struct.pack('IIQ', first, n, pointer)), **kwargs)

        for first, n in ((0, 2048), (0, 0), (2048, 0), (8, 16), (2040, 8)):
            kf.expect('OK', ask, first, n)
        for first, n in ((0, 2049), (0, 2056), (1, 8), (4, 8), (0, 7), (2040, 16), (2056, 0), (8, 0xfffffff8),
                         (0xfffffff8, 8), (0xfffffff8, 0xfffffff8)):
            kf.expect('EINVAL', ask, first, n)
        kf.expect('EFAULT', ask, 0, 8, pointer=8)
        kf.expect('EINVAL', ask, 0, 8, optlen=15)
        kf.expect('EFAULT', kf.ctl, one, 'bftrack', kf.BFTRACK_MAP, optlen=16, pointer=8)
        kf.expect('EINVAL', kf.ctl, one, 'bftrack', kf.BFTRACK_CLEAR, bytearray(8))
        for cmd in (3, 4, 0xffffffff):
            kf.expect('EINVAL', kf.ctl, one, 'bftrack', cmd, bytearray(64))
        kf.track_clear(one)
        bf.equal(kf.TrackInfo(one).clears, 1, 'clears')
        kf.detach(one, 'bftrack')

    with bf.case('kernel/bftrack-generation-is-new-at-each-attach'):
        seen = set()
        for _ in range(5):
            kf.attach(one, 'bftrack')
            seen.add(kf.TrackInfo(one).generation)
            kf.track_clear(one)
            seen.add(kf.TrackInfo(one).generation)
            kf.detach(one, 'bftrack')
        bf.equal(len(seen), 5, 'generations of 5 attaches')
        bf.equal({g.version for g in seen}, {4}, 'version of the UUIDs')

    with bf.case('kernel/bffault-attach-errno'):
        for name in ('EIO', 'ENOMEM', 'ETIMEDOUT', 'EBUSY', 'ENOENT'):
            with kf.fault(attach_errno=getattr(errno, name)):
                kf.expect(name, kf.attach, one, 'bffault')
        bf.equal(bf.filter_of(one), '', 'filter after failed attaches')
        bf.equal(kf.refcount('bffault'), 0, 'references')
        with kf.fault(attach_delay_ms=20):
            kf.expect('OK', kf.attach, one, 'bffault')
        bf.equal(bf.filter_of(one), 'bffault', 'filter')
        kf.expect('EINVAL', kf.parameter, 'bffault', 'attach_errno', 4096)

    with bf.case('kernel/bffault-ctl'):
        kf.expect('OK', kf.ctl, one, 'bffault', 0)
        kf.expect('OK', kf.ctl, one, 'bffault', 0, bytearray(16))
        kf.expect('EINVAL', kf.ctl, one, 'bffault', 1)
        with kf.fault(ctl_errno=errno.EIO):
            kf.expect('EIO', kf.ctl, one, 'bffault', 0)
            kf.expect('EIO', kf.ctl, one, 'bffault', 1)
        kf.detach(one, 'bffault')

    with bf.case('kernel/32-bit-callers'):
        # int 0x80 is the 32-bit kernel's entry, also from a 64-bit process: (number, fd, cmd, arg)
        code = mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
        code.write(bytes.fromhex('53 89f8 89f3 4189c8 89d1 4489c2 cd80 5b c3'))
        call = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_uint, ctypes.c_uint, ctypes.c_uint, ctypes.c_uint)(
            ctypes.addressof(ctypes.c_char.from_buffer(code)))
        map_32bit = 0x40
        low = mmap.mmap(-1, 4096, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | map_32bit)
        where = ctypes.addressof(ctypes.c_char.from_buffer(low))
        bf.check(where < 1 << 32, 'the memory has a 32-bit address')

        def ioctl32(fd, number, data):
            low[:len(data)] = bytes(data)
            return call(54, fd, number, where)

        with kf.opened(two) as fd:
            bf.equal(ioctl32(fd, kf.ATTACH, kf.name_arg('nosuch')), -errno.ENOENT, 'attach of what is not there')
            bf.equal(ioctl32(fd, kf.ATTACH, kf.name_arg('bfcount')), 0, 'attach')
            bf.equal(bf.filter_of(two), 'bfcount', 'attribute')
            kf.reset(two)
            kf.read_direct(two, 0, 4096)
            request = bytes(kf.name_arg('bfcount')) + struct.pack('IIQ', kf.BFCOUNT_READ, 48, where + 1024)
            bf.equal(ioctl32(fd, kf.CTL, request), 0, 'ctl')
            bf.equal(struct.unpack('6Q', low[1024:1072])[:3], (1, 0, 4096), 'counters')
            bf.equal(ioctl32(fd, kf.DETACH, kf.name_arg('bfcount')), 0, 'detach')

kf.end('kernel-ioctl')
