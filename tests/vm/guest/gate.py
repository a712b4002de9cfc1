# SPDX-License-Identifier: LGPL-2.1-or-later
"""A witness of every ATTACH. The daemon is started through this file, which installs a seccomp filter with a listener
and hands the listener to the test: from then on each ATTACH of the daemon and of its workers stops before the kernel
carries it out, and goes on when the witness has written down what was there: which object of the kernel the
descriptor is of, what the partition table on the disk says, whether the lock is held. As the descriptor keeps the
partition in place, and its lock keeps away who respects it, that is the truth of the attach, not what somebody saw
some time later. The daemon is not asked.

    gate.py PROGRAM [ARGUMENT…]     what the unit runs instead of the program
"""

import array
import contextlib
import ctypes
import errno
import fcntl
import os
import re
import select
import socket
import struct
import sys
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path

import interface

SOCKET = '/run/blkfilter-gate'
DROP_IN = Path('/run/systemd/system/blkfilterd.service.d/50-gate.conf')

SYS_IOCTL, SYS_SECCOMP, SYS_PIDFD_GETFD = 16, 317, 438
AUDIT_ARCH_X86_64 = 0xC000003E
SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_NEW_LISTENER = 1, 8
SECCOMP_RET_USER_NOTIF, SECCOMP_RET_ALLOW = 0x7FC00000, 0x7FFF0000
SECCOMP_IOCTL_NOTIF_RECV, SECCOMP_IOCTL_NOTIF_SEND = 0xC0502100, 0xC0182101
SECCOMP_IOCTL_NOTIF_ID_VALID = 0x40082102
SECCOMP_USER_NOTIF_FLAG_CONTINUE = 1
BLKGETDISKSEQ = 0x80081280

_libc = ctypes.CDLL(None, use_errno=True)


def _syscall(*args):
    result = _libc.syscall(*(ctypes.c_long(a) for a in args))
    if result < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return result


# the daemon's side

def _install():
    """A filter that stops ioctl(…, ATTACH, …) of this process and its children. Returns the listener."""
    code = (
        (0x20, 0, 0, 4),                            # load arch
        (0x15, 0, 5, AUDIT_ARCH_X86_64),
        (0x20, 0, 0, 0),                            # load nr
        (0x15, 0, 3, SYS_IOCTL),
        (0x20, 0, 0, 16 + 8),                       # load the low half of args[1]
        (0x15, 0, 1, interface.ATTACH),
        (0x06, 0, 0, SECCOMP_RET_USER_NOTIF),
        (0x06, 0, 0, SECCOMP_RET_ALLOW),
    )
    program = ctypes.create_string_buffer(b''.join(struct.pack('HBBI', *line) for line in code))
    header = ctypes.create_string_buffer(struct.pack('HxxxxxxQ', len(code), ctypes.addressof(program)))
    return _syscall(SYS_SECCOMP, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_NEW_LISTENER, ctypes.addressof(header))


def _main(program):
    with socket.socket(socket.AF_UNIX) as s:
        s.connect(SOCKET)
        listener = _install()
        s.sendmsg([b'.'], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array('i', [listener]))])
    os.close(listener)
    os.execv(program[0], program)


# the witness

@dataclass
class Attach:
    """One ATTACH, as it was when it was about to be carried out."""
    time: float                 # monotonic
    realtime: float
    filter: str
    looked: float = 0.0         # when all of the rest had been looked at
    gone: str = ''              # why there is nothing to look at: the device is no longer there
    name: str = ''              # kernel name of the device
    disk: str = ''
    object: int = 0             # inode of its folder in sysfs: no two devices of a boot have the same
    number: int = 0             # 0: a whole disk
    start: int = 0
    size: int = 0
    was_on: str = ''            # the filter that is on it already
    locked: bool = False        # the process holds a lock of the disk
    disk_id: str = ''           # GUID in the disk's table
    table: dict = field(default_factory=dict)

    def told(self):
        what = f'{self.gone}' if self.gone else (f'{self.name} (object {self.object}, number {self.number}, '
                                                 f'{self.start}+{self.size})')
        return f'ATTACH of {self.filter} at {self.time:.3f} on {what}'


def _sysfs(path):
    return Path(path).read_text().strip()


def _has_lock(pid, disk):
    inode = os.stat(f'/dev/{disk}').st_ino
    pattern = re.compile(rf'FLOCK\s+\w+\s+\w+\s+{pid}\s+\w+:\w+:{inode}\s')
    return bool(pattern.search(Path('/proc/locks').read_text()))


def _open_copy(pid, fd, path):
    """A descriptor of what the ATTACH is on: the caller's own, or, where the kernel opens a path, of what it will
    open. The caller's descriptor of the partition keeps it in place."""
    if path:
        return os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    pidfd = os.pidfd_open(pid)
    try:
        return _syscall(SYS_PIDFD_GETFD, pidfd, fd, 0)
    finally:
        os.close(pidfd)


def _look(pid, fd, filter_name, path, read_table):
    """Writes down what an ATTACH is about to be made on."""
    seen = Attach(time.monotonic(), time.time(), filter_name)
    try:
        copy = _open_copy(pid, fd, path)
    except OSError as error:
        if not path:
            raise
        seen.gone = f'{path}, which is not there: {error}'
        return seen
    try:
        rdev = os.fstat(copy).st_rdev
        diskseq = bytearray(8)
        with contextlib.suppress(OSError):
            fcntl.ioctl(copy, BLKGETDISKSEQ, diskseq)
    finally:
        os.close(copy)

    folder = f'/sys/dev/block/{os.major(rdev)}:{os.minor(rdev)}'
    try:
        target = os.readlink(folder)
        seen.name = os.path.basename(target)
        seen.object = os.stat(folder).st_ino
        if os.path.exists(f'{folder}/partition'):
            seen.disk = os.path.basename(os.path.dirname(target))
            seen.number = int(_sysfs(f'{folder}/partition'))
            seen.start = int(_sysfs(f'{folder}/start'))
        else:
            seen.disk = seen.name
        seen.size = int(_sysfs(f'{folder}/size'))
        if struct.unpack('Q', diskseq)[0] != int(_sysfs(f'/sys/block/{seen.disk}/diskseq')):
            seen.gone = f'a disk that is no longer there, called {seen.disk} now'
            return seen
        seen.locked = _has_lock(pid, seen.disk)
        seen.disk_id, seen.table = read_table(seen.disk)
        seen.was_on = interface.filter_of(seen.name) or ''
        seen.looked = time.monotonic()
    except OSError as error:
        # a partition that is open goes only with its disk
        seen.gone = f'a device that went: {error}'
    return seen


class Gate:
    """While the with statement runs, the daemon (which is restarted for it, and at its end) is watched: .take() has
    the ATTACHes since the last call."""

    def __init__(self, bfd, read_table, before=lambda: None):
        """read_table: of a disk's name, gives its GUID and table. before: called before each ATTACH goes on, after it
        was looked at."""
        self.bfd = bfd
        self.read_table = read_table
        self.before = before
        self.seen = []
        self.errors = []
        self.lock = threading.Lock()
        self.poll = select.poll()
        self.server = None
        self.wake, self._wake_end = os.pipe()
        self.thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self):
        program = re.search(r'path=(\S+)', self.bfd.unit_property('ExecStart')).group(1)
        with contextlib.suppress(FileNotFoundError):
            os.unlink(SOCKET)
        self.server = socket.socket(socket.AF_UNIX)
        self.server.bind(SOCKET)
        self.server.listen()
        self.poll.register(self.server, select.POLLIN)
        self.poll.register(self.wake, select.POLLIN)
        self.thread.start()
        DROP_IN.parent.mkdir(parents=True, exist_ok=True)
        DROP_IN.write_text('[Unit]\nStartLimitIntervalSec=0\n[Service]\n'
                           f'ExecStart=\nExecStart=/usr/bin/python3 {os.path.realpath(__file__)} {program}\n'
                           f'Environment=PYTHONDONTWRITEBYTECODE=1 VM_INTERFACE={interface.NAME}\n'
                           'SystemCallFilter=seccomp\nMemoryDenyWriteExecute=no\nRestartSec=100ms\n')
        self._restart()
        return self

    def __exit__(self, *_):
        DROP_IN.unlink()
        self._restart()
        os.write(self._wake_end, b'.')
        self.thread.join()
        self.server.close()
        os.unlink(SOCKET)

    def _restart(self):
        self.bfd.bf.sh('systemctl daemon-reload')
        self.bfd.restart()

    def take(self):
        """The ATTACHes since the last call, in their order."""
        with self.lock:
            if self.errors:
                raise self.errors[0]
            taken, self.seen = self.seen, []
        return taken

    def _run(self):
        while True:
            for fd, events in self.poll.poll():
                try:
                    if fd == self.wake:
                        return
                    if fd == self.server.fileno():
                        self._take_listener()
                    elif events & select.POLLIN:
                        self._witness(fd)
                    else:
                        # the daemon is gone, and with it all that had the filter
                        self.poll.unregister(fd)
                        os.close(fd)
                except Exception as error:      # pylint: disable=broad-exception-caught
                    with self.lock:
                        self.errors.append(error)

    def _take_listener(self):
        with self.server.accept()[0] as s:
            _, controls, _, _ = s.recvmsg(1, socket.CMSG_SPACE(4))
            for _, _, data in controls:
                self.poll.register(struct.unpack('i', data[:4])[0], select.POLLIN)

    @staticmethod
    def _is_pending(listener, id_):
        """Whether the call waits still: then all that was looked at was so while it did. Else it was killed."""
        try:
            fcntl.ioctl(listener, SECCOMP_IOCTL_NOTIF_ID_VALID, struct.pack('Q', id_))
        except FileNotFoundError:
            return False
        return True

    def _witness(self, listener):
        call = bytearray(80)
        try:
            fcntl.ioctl(listener, SECCOMP_IOCTL_NOTIF_RECV, call)
        except OSError as error:
            if error.errno == errno.ENOENT:     # it was killed meanwhile
                return
            raise
        id_, pid, _, _, _, _, fd, _, argument = struct.unpack_from('QIIiIQQQQ', call)
        try:
            name, path = interface.attached_to(pid, argument)
            # an empty name is the question whether the kernel knows ATTACH
            if name:
                seen = _look(pid, fd, name, path, self.read_table)
                if self._is_pending(listener, id_):
                    with self.lock:
                        self.seen.append(seen)
                    self.before()
        except OSError:
            if self._is_pending(listener, id_):
                raise
        finally:
            with contextlib.suppress(FileNotFoundError):
                fcntl.ioctl(listener, SECCOMP_IOCTL_NOTIF_SEND,
                            struct.pack('QqiI', id_, 0, 0, SECCOMP_USER_NOTIF_FLAG_CONTINUE))


if __name__ == '__main__':
    _main(sys.argv[1:])
