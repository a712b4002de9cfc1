# SPDX-License-Identifier: LGPL-2.1-or-later
# vm: suite=interfaces interface=bdevfilter-40 panics=bdevfilter: limit=120
"""A DETACH at bdevfilter that names another filter than the one that is attached is the end of the machine, at once."""

import ctypes
import fcntl
import os
import struct
import sys

sys.path.insert(0, os.path.join(os.path.dirname(__file__), '..', 'guest'))
# pylint: disable=wrong-import-position
import bf
import kfilter as kf

DETACH = 0xC028468D

bf.sh('modprobe bfcount')
device = bf.spare_disk(0)
kf.attach(device, 'bfcount')
path = ctypes.create_string_buffer(device.encode())
with open('/dev/bdevfilter', 'rb') as node:
    argument = struct.pack('Q', ctypes.addressof(path)) + kf.name_arg('bftrack')
    print(kf.error_of(fcntl.ioctl, node, DETACH, bytearray(argument)))
bf.done()
