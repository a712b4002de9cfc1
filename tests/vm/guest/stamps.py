# SPDX-License-Identifier: LGPL-2.1-or-later
"""The kernel's own time stamps of devices that come and of attaches: those of the filter bfstamp (kernel/filters)."""

import time
from collections import namedtuple
from pathlib import Path

import bf
import bench

FILTER = 'bfstamp'
FILE = Path('/sys/kernel/debug/bfstamp')
LOOK_SEC = 0.1

# ms of CLOCK_MONOTONIC; device: "8:1"
Stamp = namedtuple('Stamp', 'ms event device')
# of a partition: when it came, when its attach reached the filter, when the filter was on
Window = namedtuple('Window', 'add begin attached')


def begin():
    if not Path('/sys/kernel/debug/block').exists():
        bf.sh('mount -t debugfs none /sys/kernel/debug')
    bf.sh(f'modprobe {FILTER} disk=/dev/vda')


def clear():
    FILE.write_text('0')


def read():
    """All of them, in their order."""
    found = []
    for line in FILE.read_text().splitlines():
        ns, event, device = line.split()
        found.append(Stamp(int(ns) / 1e6, event, device))
    return found


def windows(stamps, after=0.0):
    """Of each device whose filter was attached after that time, the latest: Window by device. `after` in ms."""
    added, begun, found = {}, {}, {}
    for s in stamps:
        if s.event == 'add':
            added[s.device] = s.ms
        elif s.event == 'begin':
            begun[s.device] = s.ms
        elif s.ms > after and s.device in added:
            found[s.device] = Window(added[s.device], begun.get(s.device, s.ms), s.ms)
    return found


def wait(n_devices, after=0.0, limit=300):
    """Waits until so many devices have their filter on. Looks rarely: looking takes time from what is measured."""
    deadline = time.monotonic() + limit
    while True:
        found = windows(read(), after)
        if len(found) >= n_devices:
            bf.equal(len(found), n_devices, 'devices with their filter on')
            return found
        if time.monotonic() > deadline:
            raise bf.Failure(f'after {limit} s {len(found)} of {n_devices} devices have their filter on')
        time.sleep(LOOK_SEC)


def wait_added(n_devices, limit=300):
    """Waits until so many devices have come, disks and partitions."""
    deadline = time.monotonic() + limit
    while sum(s.event == 'add' for s in read()) < n_devices:
        bf.check(time.monotonic() < deadline, f'{n_devices} devices come within {limit} s')
        time.sleep(LOOK_SEC)


def reread(disk):
    """Has the disk's table read again, however often that is busy. Returns how often it was, and the time of the return
    (ms)."""
    busy, _, returned = bf.sh(f'{bench.program("reread")} {disk}').split()
    return int(busy), float(returned)
