# SPDX-License-Identifier: LGPL-2.1-or-later
"""The kernel's interface for filters that this machine was booted with (`tests/vm/run --interface`): its ioctls, and
how to learn which filter is on a device. For the tests; the daemon has its own.

The calls take a device as a name (sda1), a node or a link to one, or an open descriptor of it."""

import ctypes
import errno
import fcntl
import os
import struct
from contextlib import contextmanager

NODE = '/dev/bdevfilter'

# ATTACH, DETACH, CTL
_NUMBERS = {
    'blkfilter-1': (0xC020128C, 0xC020128D, 0xC030128E),
    'blkfilter-1-v4': (0xC020128C, 0xC020128D, 0xC030128E),     # of the series v3 and v4: no attribute
    'blkfilter-2': (0xC030128E, 0xC020128F, 0xC0301290),
    'bdevfilter-40': (0xC028468C, 0xC028468D, 0xC038468E),      # the size of its attach
    'bdevfilter-56': (0xC038468C, 0xC028468D, 0xC038468E),
    'none': (None, None, None),
}

# Each filter's command that changes nothing, and the bytes of its answer: a device is asked by it whose filter it has.
HARMLESS = {'bftrack': (0, 48), 'bfcount': (0, 48), 'bffault': (0, 0), 'blksnap': (0, 40)}


def become(name):
    """The machine has that interface from now on: a module has come, or gone."""
    global NAME, IS_NONE, IS_BDEVFILTER, TAKES_OPTIONS, HAS_ATTRIBUTE, TOLD, ATTACH, DETACH, CTL
    NAME = name
    IS_NONE = name == 'none'
    IS_BDEVFILTER = name.startswith('bdevfilter-')
    TAKES_OPTIONS = name in ('blkfilter-2', 'bdevfilter-56')
    HAS_ATTRIBUTE = name in ('blkfilter-1', 'blkfilter-2')
    # as the daemon calls it
    TOLD = name if IS_NONE else '-'.join(name.split('-')[:1 if IS_BDEVFILTER else 2])
    ATTACH, DETACH, CTL = _NUMBERS[name]


become(os.environ.get('VM_INTERFACE') or 'blkfilter-1')


@contextmanager
def opened(device, flags=os.O_RDONLY):
    """A descriptor of a device; one that is given stays open."""
    if isinstance(device, int):
        yield device
        return
    fd = os.open(os.path.join('/dev', device), flags | os.O_CLOEXEC | os.O_NONBLOCK)
    try:
        yield fd
    finally:
        os.close(fd)


def name_arg(name):
    """A filter's name as the kernel takes it. Bytes are taken as they are (32), for what is not a proper name."""
    return bytes(name) if isinstance(name, (bytes, bytearray)) else struct.pack('32s', name.encode())


def _path(device):
    """The device's own node, as bdevfilter takes it."""
    path = f'/proc/self/fd/{device}' if isinstance(device, int) else os.path.join('/dev', device)
    return os.path.realpath(path)


def _call(device, number, argument):
    """The ioctl, on the device or on bdevfilter's node."""
    if not IS_BDEVFILTER:
        with opened(device) as fd:
            fcntl.ioctl(fd, number, bytearray(argument))
        return
    path = ctypes.create_string_buffer(_path(device).encode())
    with opened(NODE) as fd:
        fcntl.ioctl(fd, number, bytearray(struct.pack('Q', ctypes.addressof(path)) + argument))


def attach(device, name, options=b''):
    """ATTACH. Options are for interfaces that take them."""
    argument = name_arg(name)
    if TAKES_OPTIONS:
        data = ctypes.create_string_buffer(bytes(options), max(len(options), 1))
        argument += struct.pack('QII', ctypes.addressof(data) if options else 0, len(options), 0)
    elif options:
        raise ValueError(f'{NAME} takes no options')
    _call(device, ATTACH, argument)


def detach(device, name):
    """DETACH. On bdevfilter one that names another filter than the one that is on would be the end of the kernel: the
    device is asked first, and the error is what blkfilter-1 would answer."""
    if IS_BDEVFILTER:
        on = ask(device)
        if on != name:
            raise OSError(errno.EINVAL if on else errno.ENOENT, f'{on or "no filter"} is on {device}')
    _call(device, DETACH, name_arg(name))


def ctl(device, name, cmd, payload=None, optlen=None, pointer=None):
    """Hands a command over. `payload` is a bytearray that the kernel may fill; optlen and pointer replace what goes
    with it."""
    buffer = (ctypes.c_char * len(payload)).from_buffer(payload) if payload else None
    if pointer is None:
        pointer = ctypes.addressof(buffer) if buffer is not None else 0
    if optlen is None:
        optlen = len(payload) if payload else 0
    _call(device, CTL, name_arg(name) + struct.pack('IIQ', cmd, optlen, pointer))


def ask(device):
    """The filter that is on a device, '' for none, by asking each filter for what changes nothing. OSError if there is
    no such device."""
    for name, (cmd, size) in HARMLESS.items():
        try:
            ctl(device, name, cmd, bytearray(size))
        except OSError as error:
            # not on, or (blkfilter-2) another one is
            if error.errno in (errno.ENOENT, errno.EINVAL):
                continue
            if error.errno in (errno.ENODEV, errno.ENXIO, errno.ENOMEDIUM):
                raise
        return name
    # a path that is not there answers as a filter that is not on
    os.stat(device if isinstance(device, int) else os.path.join('/dev', device))
    return ''


def filter_of(name):
    """The filter on the device of that kernel name, '' for none; None if there is no such device, or no filters."""
    try:
        with open(f'/sys/class/block/{name}/filter', encoding='utf-8') as stream:
            return stream.read().strip()
    except FileNotFoundError:
        if IS_NONE or not os.path.exists(f'/sys/class/block/{name}'):
            return None
    except OSError:
        return None
    # no attribute
    try:
        return ask(name)
    except OSError:
        return None


def attached_to(pid, argument):
    """What an ATTACH of another process is about: its argument, at this address in that process. Returns the filter's
    name, and the path of the device's node where the argument has it, else ''. OSError if the process is gone."""
    def text(memory, at, size):
        memory.seek(at)
        return memory.read(size).split(b'\0')[0].decode()

    with open(f'/proc/{pid}/mem', 'rb', buffering=0) as memory:
        if not IS_BDEVFILTER:
            return text(memory, argument, 32), ''
        memory.seek(argument)
        where, = struct.unpack('Q', memory.read(8))
        return text(memory, argument + 8, 32), text(memory, where, 256)

