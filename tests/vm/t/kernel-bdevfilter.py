# SPDX-License-Identifier: LGPL-2.1-or-later
# vm: suite=interfaces interface=bdevfilter-40 limit=240
"""The module bdevfilter: its node, every error, both sizes of ATTACH, what a re-read takes and what "keep" puts back.
That a mistaken DETACH is the end: kernel-bdevfilter-panic.py."""

import ctypes
import errno
import os
import stat
import struct
import sys
from pathlib import Path

sys.path.insert(0, os.path.join(os.path.dirname(__file__), '..', 'guest'))
# pylint: disable=wrong-import-position
import bf
import kfilter as kf

NODE = '/dev/bdevfilter'
ATTACH_40, ATTACH_56, DETACH, CTL = 0xC028468C, 0xC038468C, 0xC028468D, 0xC038468E
REREADS = 5


def raw(number, path, rest):
    """The ioctl on the node. path: a text, or a number for a pointer that is none."""
    text = ctypes.create_string_buffer(path.encode()) if isinstance(path, str) else None
    pointer = ctypes.addressof(text) if text else path
    with kf.opened(NODE) as fd:
        kf.fcntl.ioctl(fd, number, bytearray(struct.pack('Q', pointer) + rest))


def node(device):
    return device if isinstance(device, int) or '/' in device or not device else f'/dev/{device}'


def attach(device, name):
    raw(ATTACH_40, node(device), kf.name_arg(name))


def attach_56(device, name, options=b'', optlen=None, pointer=None):
    buffer = ctypes.create_string_buffer(bytes(options), max(len(options), 1))
    if pointer is None:
        pointer = ctypes.addressof(buffer) if options else 0
    raw(ATTACH_56, node(device),
        kf.name_arg(name) + struct.pack('QII', pointer, len(options) if optlen is None else optlen, 0))


def detach(device, name):
    """Mind the name: another one than that of the filter that is attached panics the kernel."""
    raw(DETACH, node(device), kf.name_arg(name))


def ctl(device, name, cmd, optlen=0, pointer=0):
    raw(CTL, node(device), kf.name_arg(name) + struct.pack('IIQ', cmd, optlen, pointer))


def on(device):
    """The filter on a device, by asking."""
    # a command that is none of theirs
    names = ('bfcount', 'bftrack', 'bffault')
    return ' '.join(name for name in names if kf.error_of(ctl, device, name, 99) == 'EINVAL')


def references():
    return [kf.refcount(m) for m in ('bfcount', 'bftrack', 'bdevfilter')]


def reload(**parameters):
    # whoever looks at the node keeps the module busy
    bf.wait_for(lambda: bf.sh('rmmod bdevfilter') == '', what='bdevfilter to be unloaded')
    bf.sh('modprobe bdevfilter ' + ' '.join(f'{k}={v}' for k, v in parameters.items()))


kf.begin()

with kf.partitioned(('8MiB', '8MiB')) as (scsi, disk):
    one, two = f'{disk}1', f'{disk}2'

    with bf.case('kernel/bdevfilter/loaded-at-boot'):
        bf.equal(Path('/sys/module/bdevfilter/parameters/attach_size').read_text(), '40\n', 'attach_size')
        bf.equal(Path('/sys/module/blk_filter/parameters/interface').read_text(), 'none\n', 'interface')
        status = os.stat(NODE)
        bf.check(stat.S_ISCHR(status.st_mode), 'the node is that of a character device')
        bf.equal((status.st_mode & 0o777, status.st_uid, status.st_gid), (0o600, 0, 0), 'mode, owner, group')
        bf.sh(f'exec 3<{NODE}', user=bf.UNPRIVILEGED, ok=(1,))

    with bf.case('kernel/bdevfilter/block-devices-know-no-filters'):
        for number in (0xC020128C, 0xC020128D, 0xC030128E, 0xC020128F, 0xC0301290, ATTACH_40, DETACH, CTL):
            with kf.opened(one) as fd:
                answer = kf.error_of(kf.fcntl.ioctl, fd, number, bytearray(kf.name_arg('bfcount') + bytes(32)))
            bf.check(answer in ('ENOTTY', 'EINVAL'), f'{number:#x} answers {answer}')
        bf.equal(list(Path('/sys/class/block').glob('*/filter')), [], 'attributes')
        bf.equal(on(one), '', 'filter')

    with bf.case('kernel/bdevfilter/attach-errors'):
        kf.expect('ENOENT', attach, one, 'nosuch')
        kf.expect('ENOENT', attach, one, '')
        kf.expect('OK', attach, one, 'bfcount')
        kf.expect('EALREADY', attach, one, 'bfcount')
        kf.expect('EBUSY', attach, one, 'bftrack')
        kf.expect('ENOENT', attach, one, 'nosuch')
        bf.equal((on(one), on(two), on(disk)), ('bfcount', '', ''), 'filters')
        detach(one, 'bfcount')

    with bf.case('kernel/bdevfilter/detach-errors'):
        for name in ('bfcount', 'nosuch', ''):
            kf.expect('ENOENT', detach, one, name)
        attach(one, 'bfcount')
        kf.expect('OK', detach, one, 'bfcount')
        kf.expect('ENOENT', detach, one, 'bfcount')
        bf.equal(references(), [0, 0, 0], 'references')

    with bf.case('kernel/bdevfilter/ctl-errors'):
        kf.expect('ENOENT', ctl, one, 'bfcount', kf.BFCOUNT_RESET)
        attach(one, 'bfcount')
        kf.expect('ENOENT', ctl, one, 'bftrack', kf.BFTRACK_CLEAR)
        kf.expect('ENOENT', ctl, one, '', 0)
        kf.expect('EINVAL', ctl, one, 'bfcount', 99)
        kf.expect('EFAULT', ctl, one, 'bfcount', kf.BFCOUNT_READ, optlen=48, pointer=8)
        kf.expect('OK', ctl, one, 'bfcount', kf.BFCOUNT_RESET)
        kf.read_direct(one, 0, 8192)
        data = ctypes.create_string_buffer(48)
        ctl(one, 'bfcount', kf.BFCOUNT_READ, 48, ctypes.addressof(data))
        bf.equal(struct.unpack('6Q', data.raw)[2], 8192, 'bytes that the filter has counted')
        detach(one, 'bfcount')

    with bf.case('kernel/bdevfilter/paths'):
        bf.sh(f'rm -rf /dev/kf; mkdir /dev/kf; cd /dev/kf; touch file; ln -s /dev/{one} link; '
              'mknod stale b 240 9; mknod zero c 1 5')
        nowhere = ('/dev/nosuch', '', 'nosuch', '/dev/kf', '/dev/kf/file', '/dev/kf/zero', '/dev/kf/stale',
                   '/' * 4095, '/' * 4096, 'x' * 10000)
        for path in nowhere:
            for call, args in ((attach, ('bfcount',)), (detach, ('bfcount',)), (ctl, ('bfcount', 0))):
                kf.expect('ENOENT', call, path, *args)
        for call, args in ((attach, ('bfcount',)), (detach, ('bfcount',)), (ctl, ('bfcount', 0))):
            kf.expect('EFAULT', call, 8, *args)
        # a link, and a path from where the caller is
        attach('/dev/kf/link', 'bfcount')
        bf.equal(on(one), 'bfcount', 'filter')
        os.chdir('/dev')
        kf.expect('EALREADY', attach, f'./{one}', 'bfcount')
        os.chdir('/')
        kf.expect('ENOENT', attach, f'./{one}', 'bfcount')
        detach('/dev/kf/link', 'bfcount')

    with bf.case('kernel/bdevfilter/name-not-terminated'):
        long = b'bfcount' + b'x' * 25
        attach(one, 'bfcount')
        for call, args in ((attach, ()), (detach, ()), (ctl, (0,))):
            kf.expect('EINVAL', call, one, long, *args)
        detach(one, 'bfcount')

    with bf.case('kernel/bdevfilter/bad-argument-pointer'):
        libc = ctypes.CDLL(None, use_errno=True)
        with kf.opened(NODE) as fd:
            for number in (ATTACH_40, DETACH, CTL):
                bf.equal(libc.ioctl(fd, ctypes.c_ulong(number), ctypes.c_void_p(8)), -1, hex(number))
                bf.equal(ctypes.get_errno(), errno.EFAULT, hex(number))

    with bf.case('kernel/bdevfilter/other-numbers-are-unknown'):
        kf.expect('ENOTTY', attach_56, one, '')
        kf.expect('ENOTTY', attach_56, one, 'bfcount')
        kf.expect('ENOTTY', attach_56, '/dev/nosuch', '')
        for number in (0xC030468C, 0xC020468D, 0xC038468D, 0xC028468E, 0xC028468F, 0xC020128C, 0x1260, 0):
            kf.expect('ENOTTY', raw, number, node(one), kf.name_arg('bfcount') + bytes(16))
        bf.equal(on(one), '', 'filter')

    with bf.case('kernel/bdevfilter/reread-drops-the-filters'):
        bf.settle()
        attach(one, 'bfcount')
        attach(two, 'bftrack')
        attach(disk, 'bfcount')
        bf.equal(references(), [2, 1, 3], 'references')
        kf.reread(disk)
        bf.equal(references(), [1, 0, 1], 'references after the re-read')
        bf.equal((on(one), on(two), on(disk)), ('', '', 'bfcount'), 'filters after the re-read')
        kf.expect('ENOENT', detach, one, 'bfcount')
        kf.expect('ENOENT', detach, two, 'bfcount')
        kf.expect('OK', attach, one, 'bftrack')
        detach(one, 'bftrack')
        detach(disk, 'bfcount')

    with bf.case('kernel/bdevfilter/removed-disk'):
        bf.settle()
        with kf.opened(one) as fd:
            bf.sh(f'rm -f /dev/kf/one; cp -a /dev/{one} /dev/kf/one')
            attach('/dev/kf/one', 'bftrack')
            scsi.remove(disk)
            bf.wait_for(lambda: references() == [0, 0, 0], what='the filter to be detached')
            for call, args in ((attach, ('bfcount',)), (attach, ('bftrack',)), (detach, ('bftrack',)),
                               (ctl, ('bftrack', 0))):
                kf.expect('ENOENT', call, '/dev/kf/one', *args)
        disk, = scsi.rescan(1)
        one, two = f'{disk}1', f'{disk}2'
        bf.equal((on(one), on(two), on(disk)), ('', '', ''), 'filters of the disk that came back')

    with bf.case('kernel/bdevfilter/module-stays-while-a-filter-is-attached'):
        bf.settle()
        attach(one, 'bfcount')
        bf.sh('rmmod bdevfilter', ok=(1,))
        kf.expect('EALREADY', attach, one, 'bfcount')
        kf.reread(disk)
        bf.wait_for(lambda: bf.sh('rmmod bdevfilter') == '', what='bdevfilter to be unloaded')
        bf.check(not os.path.exists(NODE), 'the node goes with the module')
        bf.sh('modprobe bdevfilter attach_size=40')

    with bf.case('kernel/bdevfilter/attach-size-is-one-of-two'):
        bf.wait_for(lambda: bf.sh('rmmod bdevfilter') == '', what='bdevfilter to be unloaded')
        for size in (0, 32, 48, 64, -1):
            bf.sh(f'modprobe bdevfilter attach_size={size}', ok=(1,))
        bf.check(not os.path.exists(NODE), 'there is no node')
        # modprobe would take what is on the kernel's command line
        bf.sh('insmod $(modinfo --filename bdevfilter)')
        bf.equal(Path('/sys/module/bdevfilter/parameters/attach_size').read_text(), '56\n', 'attach_size by default')

    with bf.case('kernel/bdevfilter/56-bytes'):
        reload(attach_size=56)
        for name in ('', 'bfcount'):
            kf.expect('ENOTTY', attach, one, name)
        kf.expect('ENOENT', attach_56, one, '')
        kf.expect('ENOENT', attach_56, one, 'nosuch')
        kf.expect('ENOENT', attach_56, '/dev/nosuch', 'bfcount')
        kf.expect('EINVAL', attach_56, one, b'x' * 32)
        kf.expect('OK', attach_56, one, 'bfcount')
        kf.expect('EALREADY', attach_56, one, 'bfcount')
        kf.expect('EBUSY', attach_56, one, 'bftrack')
        detach(one, 'bfcount')

    with bf.case('kernel/bdevfilter/56-bytes-options'):
        kf.expect('EINVAL', attach_56, one, 'bfcount', struct.pack('<I', 4096))
        kf.expect('EINVAL', attach_56, one, 'bftrack', b'\0')
        kf.expect('EFAULT', attach_56, one, 'bftrack', optlen=4, pointer=8)
        attach_56(one, 'bftrack', struct.pack('<I', 65536))
        bf.equal(kf.TrackInfo(one).block, 65536, 'block size')
        detach(one, 'bftrack')
        bf.equal(references(), [0, 0, 0], 'references')

    with bf.case('kernel/bdevfilter/keep/a-reread-puts-the-filters-back'):
        bf.settle()
        reload(attach_size=40, keep=1)
        attach(one, 'bfcount')
        attach(two, 'bftrack')
        before = kf.TrackInfo(two).generation
        for _ in range(REREADS):
            bf.settle()
            kf.reread(disk)
            bf.equal((on(one), on(two), on(disk)), ('bfcount', 'bftrack', ''), 'filters')
            bf.equal(references(), [1, 1, 2], 'references')
        bf.check(kf.TrackInfo(two).generation != before, 'another generation')
        kf.write_direct(two, 65536, kf.pattern(1, 4096))
        bf.check(16 in kf.track_map(two), 'the filter that was put back sees writes')
        kf.expect('EALREADY', attach, two, 'bftrack')
        kf.expect('EBUSY', attach, two, 'bfcount')

    with bf.case('kernel/bdevfilter/keep/whatever-is-on-the-number-now'):
        bf.sfdisk(disk, 'label: gpt\nstart=20MiB, size=4MiB, name=other\n', '--wipe=always')
        bf.equal(bf.partitions(disk), [one], 'partitions')
        bf.equal(on(one), 'bfcount', 'filter of the other partition')
        bf.equal(references(), [1, 0, 1], 'references')
        bf.sfdisk(disk, 'label: gpt\nstart=30MiB, size=4MiB\nstart=40MiB, size=8MiB\n', '--wipe=always')
        bf.equal((on(one), on(two)), ('bfcount', 'bftrack'), 'filters of other partitions')
        bf.equal(kf.TrackInfo(two).size, 8 << 20, 'size')

    with bf.case('kernel/bdevfilter/keep/over-the-removal-of-the-disk'):
        bf.settle()
        attach(disk, 'bfcount')
        scsi.remove(disk)
        bf.wait_for(lambda: references() == [0, 0, 0], what='the filters to be detached')
        bf.equal(scsi.rescan(1), [disk], 'disks')
        bf.equal((on(one), on(two), on(disk)), ('bfcount', 'bftrack', 'bfcount'), 'filters')
        detach(disk, 'bfcount')

    with bf.case('kernel/bdevfilter/keep/a-filter-that-fails-stays-off'):
        detach(one, 'bfcount')
        attach(one, 'bffault')
        bf.settle()
        with kf.fault(attach_errno=errno.EIO):
            kf.reread(disk)
        bf.equal((on(one), on(two)), ('', 'bftrack'), 'filters')
        bf.equal(kf.refcount('bffault'), 0, 'references')
        bf.settle()
        kf.reread(disk)
        bf.equal(on(one), 'bffault', 'filter after the next re-read')
        detach(one, 'bffault')

    with bf.case('kernel/bdevfilter/keep/ends-with-a-detach'):
        bf.settle()
        kf.reread(disk)
        bf.equal((on(one), on(two)), ('', 'bftrack'), 'filters after a DETACH and a re-read')

    with bf.case('kernel/bdevfilter/keep/ends-when-it-is-turned-off'):
        kf.parameter('bdevfilter', 'keep', 0)
        bf.settle()
        kf.reread(disk)
        bf.equal(on(two), '', 'filter after a re-read without keep')
        kf.parameter('bdevfilter', 'keep', 1)
        bf.settle()
        kf.reread(disk)
        bf.equal(on(two), '', 'filter after the next one')
        bf.equal(references(), [0, 0, 0], 'references')

    with bf.case('kernel/bdevfilter/keep/ends-with-the-module'):
        attach(one, 'bfcount')
        attach(two, 'bftrack')
        detach(one, 'bfcount')
        bf.settle()
        scsi.remove(disk)
        reload(attach_size=40, keep=1)
        disk, = scsi.rescan(1)
        bf.equal((on(one), on(two)), ('', ''), 'filters')

    # as the machine was booted
    reload(attach_size=40)

bf.sh('rm -rf /dev/kf')
kf.end('kernel-bdevfilter')
