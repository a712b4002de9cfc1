# SPDX-License-Identifier: LGPL-2.1-or-later
"""Who puts filters back: the daemon, and what it is compared with. Each is a context manager: on entry the partitions of the
disk have the filter bfstamp, and while it is entered they get it again after each re-read."""

import contextlib
import subprocess
from pathlib import Path

import bench
import bf
import bfd
import stamps

RULES = Path('/run/udev/rules.d/99-bench.rules')
SCRIPT = Path('/run/bench-attach.sh')

# What people do today: ask for the partition's UUID, and attach if it is one of theirs.
SCRIPT_TEXT = f'''#!/bin/sh
uuid=$(lsblk --noheadings --nodeps --output PARTUUID "/dev/$1")
case $uuid in
{bfd.uuid(0)[:24]}*) exec {bench.program("attach")} {stamps.FILTER} "$1" ;;
esac
'''


def first_time(disk, n_parts):
    """A re-read after which all of them have the filter."""
    bf.settle()
    stamps.clear()
    stamps.reread(disk)
    stamps.wait(n_parts)
    bf.settle()


@contextlib.contextmanager
def limit(disk, n_parts):
    """A bare listener: the ioctl at the kernel's event, and nothing else."""
    with subprocess.Popen([bench.program('listen'), stamps.FILTER, disk], stdout=subprocess.PIPE,
                          text=True) as process:
        try:
            bf.equal(process.stdout.readline(), 'ready\n', 'what the listener says')
            first_time(disk, n_parts)
            yield
        finally:
            process.terminate()


@contextlib.contextmanager
def udev_rule(disk, n_parts, command):
    RULES.parent.mkdir(parents=True, exist_ok=True)
    RULES.write_text(f'ACTION=="add", SUBSYSTEM=="block", ENV{{DEVTYPE}}=="partition", '
                     f'ENV{{ID_PART_ENTRY_UUID}}=="{bfd.uuid(0)[:24]}*", RUN+="{command}"\n')
    bf.sh('udevadm control --reload')
    try:
        first_time(disk, n_parts)
        yield
    finally:
        RULES.unlink()
        bf.sh('udevadm control --reload')


def udev_helper(disk, n_parts):
    """A udev rule that knows the UUID and runs a compiled program, which makes the ioctl."""
    return udev_rule(disk, n_parts, f'{bench.program("attach")} {stamps.FILTER} %k')


def udev_shell(disk, n_parts):
    """A udev rule that runs a shell script, which looks at the UUID itself."""
    SCRIPT.write_text(SCRIPT_TEXT)
    SCRIPT.chmod(0o755)
    return udev_rule(disk, n_parts, f'{SCRIPT} %k')


@contextlib.contextmanager
def blkfilterd(disk, n_parts):
    """The daemon. Its policies are in place already."""
    bfd.start()
    try:
        first_time(disk, n_parts)
        yield
    finally:
        bfd.stop()


SUBJECTS = {'limit': limit, 'blkfilterd': blkfilterd, 'udev-helper': udev_helper, 'udev-shell': udev_shell}


@contextlib.contextmanager
def udisks(running):
    """udisks2, which looks at every disk and partition, too; or not."""
    bf.sh(f'systemctl {"start" if running else "stop"} udisks2.service')
    try:
        yield
    finally:
        bf.sh('systemctl stop udisks2.service')
