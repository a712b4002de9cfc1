# SPDX-License-Identifier: LGPL-2.1-or-later
"""The filters' commands and the kernel's other ioctls, and what the tests of kernel/ share on top of bf.py. The ioctls
for filters are in interface.py."""

import ctypes
import errno
import fcntl
import mmap
import os
import random
import re
import struct
import subprocess
import sys
import threading
import uuid
from contextlib import contextmanager
from pathlib import Path

import bf
from interface import ATTACH, CTL, DETACH, attach, ctl, detach, name_arg, opened   # pylint: disable=unused-import

BFCOUNT_READ, BFCOUNT_RESET = 0, 1
BFTRACK_INFO, BFTRACK_MAP, BFTRACK_CLEAR = 0, 1, 2
COUNTERS = ('reads', 'writes', 'read_bytes', 'write_bytes', 'discards', 'flushes')

BLKDISCARD = 0x1277
BLKZEROOUT = 0x127F
SYS_IOCTL = 16    # x86-64
BLKRRPART = 0x125F
BLKPG = 0x1269
BLKPG_ADD_PARTITION, BLKPG_DEL_PARTITION = 1, 2

COMPLAINT = re.compile(r'BUG:|WARNING:|Oops|KASAN|possible (?:circular|recursive)|suspicious RCU|inconsistent lock|'
                       r'list_(?:add|del) corruption|refcount_t|sleeping function called|lock held when returning')


# ioctls

def error_of(call, *args, **kwargs):
    """The name of the errno that the call fails with, 'OK' if it does not."""
    try:
        call(*args, **kwargs)
    except OSError as error:
        return errno.errorcode[error.errno]
    return 'OK'


def expect(wanted, call, *args, **kwargs):
    """Fails the case unless the call ends with that errno (by name, or 'OK')."""
    shown = ', '.join([repr(a) for a in args] + [f'{k}={v!r}' for k, v in kwargs.items()])
    bf.equal(error_of(call, *args, **kwargs), wanted, f'{call.__name__}({shown})')


def counters(device):
    """bfcount's counters, by name."""
    data = bytearray(48)
    ctl(device, 'bfcount', BFCOUNT_READ, data)
    return dict(zip(COUNTERS, struct.unpack('6Q', data)))


def reset(device):
    ctl(device, 'bfcount', BFCOUNT_RESET)


class TrackInfo:
    """bftrack's INFO."""

    def __init__(self, device):
        data = bytearray(48)
        ctl(device, 'bftrack', BFTRACK_INFO, data)
        self.size, self.block, self.count, gen, self.written, self.clears, self.reserved = \
            struct.unpack('QII16sQII', data)
        self.generation = uuid.UUID(bytes=gen)


def track_map(device, first=None, n_blocks=None):
    """The numbers of the blocks that bftrack has marked, of all or of a part of the map."""
    first = first or 0
    if n_blocks is None:
        n_blocks = TrackInfo(device).count - first
    bits = bytearray((n_blocks + 7) // 8)
    buffer = (ctypes.c_char * len(bits)).from_buffer(bits)
    ctl(device, 'bftrack', BFTRACK_MAP, bytearray(struct.pack('IIQ', first, n_blocks, ctypes.addressof(buffer))))
    return {first + i for i in range(n_blocks) if bits[i // 8] >> (i % 8) & 1}


def track_clear(device):
    ctl(device, 'bftrack', BFTRACK_CLEAR)


def blkpg(disk, op, number, start=0, length=0):
    """Adds or removes a partition (bytes)."""
    part = ctypes.create_string_buffer(struct.pack('qqi64s64s', start, length, number, b'', b''), 152)
    with opened(disk) as fd:
        fcntl.ioctl(fd, BLKPG, struct.pack('iiiQ', op, 0, 152, ctypes.addressof(part)))


def reread(disk):
    with opened(disk) as fd:
        fcntl.ioctl(fd, BLKRRPART)


def discard(device, offset, length, cmd=BLKDISCARD):
    with opened(device, os.O_RDWR) as fd:
        fcntl.ioctl(fd, cmd, struct.pack('QQ', offset, length))


# direct I/O

def aligned(data):
    """A copy of the bytes in memory that direct I/O takes."""
    memory = mmap.mmap(-1, (len(data) + 4095) // 4096 * 4096)
    memory[:len(data)] = data
    return memory


def write_direct(device, offset, data):
    """One write past the page cache: one bio, if it is not larger than 1 MiB."""
    with opened(device, os.O_RDWR | os.O_DIRECT) as fd, aligned(data) as memory, memoryview(memory) as view:
        n = os.pwrite(fd, view[:len(data)], offset)
    bf.equal(n, len(data), 'bytes written')


def read_direct(device, offset, length):
    with opened(device, os.O_RDONLY | os.O_DIRECT) as fd, mmap.mmap(-1, length) as memory:
        n = os.preadv(fd, [memory], offset)
        bf.equal(n, length, 'bytes read')
        return bytes(memory)


def fsync(device):
    with opened(device, os.O_RDWR) as fd:
        os.fsync(fd)


# modules, disks

def refcount(module):
    """Users of the module, None if it is not loaded."""
    try:
        return int(Path(f'/sys/module/{module}/refcnt').read_text())
    except FileNotFoundError:
        return None


def parameter(module, name, value):
    Path(f'/sys/module/{module}/parameters/{name}').write_text(str(value))


@contextmanager
def fault(**parameters):
    """bffault's parameters, for the time of the with statement."""
    for name, value in parameters.items():
        parameter('bffault', name, value)
    try:
        yield
    finally:
        for name in parameters:
            parameter('bffault', name, 0)


@contextmanager
def partitioned(sizes=('16MiB', '16MiB'), **parameters):
    """A scsi_debug disk with partitions: its ScsiDebug and its name."""
    with bf.scsi_debug(**parameters) as scsi:
        disk, = scsi.disks()
        bf.sfdisk(disk, 'label: gpt\n' + ''.join(f'size={s}\n' for s in sizes))
        yield scsi, disk


@contextmanager
def null_blk(name, **settings):
    """A null_blk device made for the test, which has that name."""
    bf.sh('modprobe null_blk nr_devices=0')
    folder = Path(f'/sys/kernel/config/nullb/{name}')
    if not folder.parent.exists():
        bf.sh('mount -t configfs none /sys/kernel/config', ok=(0, 32))
    folder.mkdir()
    try:
        for key, value in settings.items():
            (folder / key).write_text(str(value))
        (folder / 'power').write_text('1')
        bf.settle()
        yield name
    finally:
        (folder / 'power').write_text('0')
        folder.rmdir()
        bf.sh('udevadm settle; modprobe --remove null_blk')


@contextmanager
def dm_table(name, table):
    """A device-mapper device: its kernel name."""
    bf.sh(f'dmsetup create {name}', stdin=table)
    try:
        bf.settle()
        yield bf.name_of(f'mapper/{name}')
    finally:
        bf.settle()
        bf.sh(f'dmsetup remove --retry {name}')


def sectors(device):
    return int(Path(f'/sys/class/block/{bf.name_of(device)}/size').read_text())


@contextmanager
def loop_disk(size, *options):
    """A loop device on a file of `size` bytes: its kernel name."""
    path = Path('/var/tmp/kfilter-loop')
    with open(path, 'wb') as stream:
        stream.truncate(size)
    name = os.path.basename(bf.sh(f'losetup --find --show {" ".join(options)} {path}').strip())
    bf.settle()
    try:
        yield name
    finally:
        bf.settle()
        bf.sh(f'losetup --detach /dev/{name}', ok=(0, 1))
        path.unlink()


# work beside the test

class Background:
    """Calls `step(i)` with i = 0, 1, 2… in a thread until it is left. What it raises, the end of the with statement
    raises, unless it is one of `tolerated`, which end it quietly."""

    def __init__(self, step, tolerated=()):
        self.step = step
        self.tolerated = tolerated
        self.stop = threading.Event()
        self.n_done = 0
        self.error = None
        self.thread = threading.Thread(target=self._run, daemon=True)

    def _run(self):
        try:
            while not self.stop.is_set():
                self.step(self.n_done)
                self.n_done += 1
        except self.tolerated:
            pass
        except Exception as error:      # pylint: disable=broad-exception-caught
            self.error = error

    def __enter__(self):
        self.thread.start()
        return self

    def reach(self, n):
        """Waits until n steps are done."""
        bf.wait_for(lambda: self.error or self.n_done >= n, what=f'{n} rounds beside the test')

    def __exit__(self, kind, *_):
        self.stop.set()
        # a case that has failed already may have left it in a hang that only ends further out
        self.thread.join(120 if kind is None else 1)
        if kind is None:
            bf.check(not self.thread.is_alive(), 'what runs beside the test ends when asked to')
            if self.error:
                raise self.error


class Child:
    """An ioctl in a process of its own, for calls that may hang: what it answers is read by `.answer()`."""

    CODE = ('import sys; sys.path.insert(0, sys.argv[1]); import kfilter; '
            'print(kfilter.error_of(getattr(kfilter, sys.argv[2]), *sys.argv[3:]), flush=True)')

    def __init__(self, call, *args):
        self.process = subprocess.Popen([sys.executable, '-c', self.CODE, os.path.dirname(__file__), call, *args],
                                        stdout=subprocess.PIPE, text=True)

    def asleep_in_kernel(self):
        """Whether it sleeps in its ioctl and cannot be interrupted. It does so for a moment before that as well, when
        the interpreter is read from the disk."""
        if self.process.poll() is not None:
            return False
        status = Path(f'/proc/{self.process.pid}/status').read_text()
        call = Path(f'/proc/{self.process.pid}/syscall').read_text().split()[0]
        return re.search(r'^State:\s+(\w)', status, re.MULTILINE).group(1) == 'D' and call == str(SYS_IOCTL)

    def answer(self, limit=60):
        try:
            return self.process.communicate(timeout=limit)[0].strip()
        except subprocess.TimeoutExpired:
            raise bf.Failure(f'process {self.process.pid} was not done after {limit} s') from None


def pattern(seed, length):
    """Bytes that tell where they belong."""
    return random.Random(seed).randbytes(length)


# the kernel's own view

_seen_lines = None


def kernel_lines():
    return bf.sh('dmesg').splitlines()


def begin():
    """Remembers what the kernel has said so far, and loads the filters."""
    global _seen_lines
    _seen_lines = len(kernel_lines())
    bf.sh('modprobe -a bfcount bftrack bffault')


def end(group):
    """The last case of a file: no module is left in use, the kernel has not complained. Ends the file."""
    with bf.case(f'{group}/no-filter-left-behind'):
        for module in ('bfcount', 'bftrack', 'bffault'):
            bf.wait_for(lambda m=module: refcount(m) == 0, what=f'{module} to be unused')
        bf.sh('rmmod bfcount bftrack bffault')
    with bf.case(f'{group}/kernel-says-nothing'):
        bad = [line for line in kernel_lines()[_seen_lines:] if COMPLAINT.search(line)]
        bf.equal(bad, [], 'complaints of the kernel')
    bf.done()
