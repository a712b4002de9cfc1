# SPDX-License-Identifier: LGPL-2.1-or-later
"""What the test files in the machine share. A test file begins with

    import os, sys
    sys.path.insert(0, os.path.join(os.path.dirname(__file__), '..', 'guest'))
    import bf

has its cases as `with bf.case('group/what-holds'):` blocks (or functions with `@bf.case(…)`, to be called), and ends
with `bf.done()`. A case that raises is reported as failed and the next one runs."""

import contextlib
import json
import os
import re
import subprocess
import sys
import time
import traceback
from pathlib import Path

import interface

BUS_NAME = 'org.blkfilter1'
MANAGER_PATH = '/org/blkfilter1'
MANAGER = 'org.blkfilter1.Manager'
UNIT = 'blkfilterd.service'
UNPRIVILEGED = 'user'

_failed = []


class Failure(Exception):
    """What was expected did not happen. The text says what."""


class CommandError(Failure):
    """A command failed: .status, .output (both streams)."""

    def __init__(self, command, status, output):
        super().__init__(f'"{command}" ended with {status}: {output.strip()}')
        self.status = status
        self.output = output


class BusError(Failure):
    """A D-Bus call was answered by an error: .name (org.freedesktop.DBus.Error.AccessDenied), .message."""

    def __init__(self, name, message):
        super().__init__(f'{name}: {message}')
        self.name = name
        self.message = message


# cases

@contextlib.contextmanager
def case(name):
    """One case. Prints its result; an exception ends the case, not the file."""
    try:
        yield
    except Exception as error:      # pylint: disable=broad-exception-caught
        # before the result, so that the runner counts it to this case
        traceback.print_exc(file=sys.stdout)
        _failed.append(name)
        reason = ' '.join(str(error).split())
        print(f'not ok {name}: {reason[:400] or type(error).__name__}', flush=True)
    else:
        print(f'ok {name}', flush=True)


def has_failed():
    """Whether a case has failed so far."""
    return bool(_failed)


def done():
    """The last line of a test file: the exit status says whether all cases passed."""
    sys.exit(1 if _failed else 0)


def check(condition, what):
    """Fails the case unless the condition is true; `what` is what should have been so."""
    if not condition:
        raise Failure(f'this does not hold: {what}')


def equal(got, wanted, what):
    """Fails the case unless both are equal."""
    if got != wanted:
        raise Failure(f'{what}: {got!r} instead of {wanted!r}')


def wait_for(function, limit=60, what=None):
    """Calls the function until it returns something true, and returns that. Its Failure and OSError mean "not
    yet". Fails after `limit` seconds with what was waited for and what was last seen. For states that can be looked
    at cheaply: it looks 50 times a second. The last look begins behind the limit: a machine that has stood still for
    longer is looked at once more."""
    deadline = time.monotonic() + limit
    while True:
        is_last = time.monotonic() > deadline
        try:
            last = function()
            if last:
                return last
        except (Failure, OSError) as error:
            last = error
        if is_last:
            raise Failure(f'waited {limit} s for {what or function.__name__}; last seen: {last!r}')
        time.sleep(0.02)


# commands

def sh(command, *, user=None, stdin='', ok=(0,)):
    """Runs a shell command, as root or as the user of that name. Returns what it printed on stdout. Its status must
    be one of `ok`, else CommandError."""
    arguments = ['bash', '-c', command]
    if user:
        arguments = ['setpriv', f'--reuid={user}', f'--regid={user}', '--init-groups', '--', *arguments]
    run = subprocess.run(arguments, input=stdin, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                         errors='replace', check=False)
    if run.returncode not in ok:
        raise CommandError(command, run.returncode, run.stdout + run.stderr)
    return run.stdout


def settle(limit=120):
    """Waits until udev has handled all events."""
    sh(f'udevadm settle --timeout={limit}')


def journal(unit=UNIT, since=None):
    """What the unit has logged in this boot, since that time.time() if given. One message a line."""
    command = f'journalctl --sync; journalctl --boot --quiet --no-pager --output=cat --unit={unit}'
    return sh(command + (f' --since=@{since:.6f}' if since else ''))


def main_pid(unit=UNIT):
    """The process of the unit, 0 if there is none."""
    return int(sh(f'systemctl show --value --property=MainPID {unit}'))


# disks

def name_of(device):
    """The kernel's name (sda1) of a device given as name, node or link to a node."""
    return os.path.basename(os.path.realpath(os.path.join('/dev', device)))


def filter_of(device):
    """The name of the filter on the device, '' for none; None if the device does not exist, or the kernel has no
    filters. By the kernel's attribute; where there is none the device is opened for it, which makes a re-read busy."""
    return interface.filter_of(name_of(device))


def partitions(disk):
    """The names of the partitions of a disk that the kernel has now, by number."""
    disk = name_of(disk)
    found = Path(f'/sys/block/{disk}').glob(f'{disk}*/partition')
    return [p.parent.name for p in sorted(found, key=lambda p: int(p.read_text()))]


def partition(disk, number):
    """The node of a partition of a disk."""
    name = name_of(disk)
    return f'/dev/{name}{"p" if name[-1].isdigit() else ""}{number}'


def partuuid(device):
    """The UUID in the partition's table entry, read from the disk."""
    return sh(f'blkid --probe --match-tag PART_ENTRY_UUID --output value /dev/{name_of(device)}').strip()


def sfdisk(device, script, *options):
    """Writes a partition table: a script as sfdisk(8) takes it. Then waits for udev."""
    sh(f'sfdisk --quiet {" ".join(options)} /dev/{name_of(device)}', stdin=script)
    settle()


def spare_disk(number):
    """One of the machine's empty virtio disks of 64 MiB (0, 1, 2): its node."""
    return wait_for(lambda: os.path.realpath(f'/dev/disk/by-id/virtio-spare{number}', strict=True),
                    what=f'spare disk {number}')


class ScsiDebug:
    """The kernel's SCSI disks in memory. Made by scsi_debug()."""

    def hosts(self):
        """The numbers of its SCSI hosts."""
        found = []
        for host in Path('/sys/class/scsi_host').glob('host*'):
            with contextlib.suppress(OSError):
                if (host / 'proc_name').read_text().strip() == 'scsi_debug':
                    found.append(int(host.name.removeprefix('host')))
        return sorted(found)

    def disks(self):
        """The names of its disks (sda), by their SCSI addresses."""
        hosts = self.hosts()
        found = []
        for device in Path('/sys/class/scsi_disk').glob('*'):
            address = [int(n) for n in device.name.split(':')]
            if address[0] in hosts:
                found += [(address, block.name) for block in device.glob('device/block/*')]
        return [name for _, name in sorted(found)]

    def remove(self, disk):
        """Unplugs a disk."""
        disk = name_of(disk)
        Path(f'/sys/block/{disk}/device/delete').write_text('1')
        wait_for(lambda: not Path(f'/sys/block/{disk}').exists(), what=f'{disk} to go away')

    def plug_in(self, hosts):
        """Plugs in the disks of these hosts, of which none is there, in that order: the first gets the first name that
        is free. For hosts with a disk each."""
        for n, host in enumerate(hosts, 1):
            Path(f'/sys/class/scsi_host/host{host}/scan').write_text('- - -')
            wait_for(lambda n=n: len(self.disks()) == n, what=f'{n} disks')
        settle()

    def rescan(self, n_disks=None):
        """Plugs in again what was unplugged; waits until there are `n_disks`. Returns the names of all."""
        for host in self.hosts():
            Path(f'/sys/class/scsi_host/host{host}/scan').write_text('- - -')
        if n_disks is not None:
            wait_for(lambda: len(self.disks()) == n_disks, what=f'{n_disks} disks')
        settle()
        return self.disks()


@contextlib.contextmanager
def scsi_debug(n_disks=1, **parameters):
    """Loads scsi_debug with `n_disks` disks of 64 MiB with memory of their own each, and unloads it at the end of the
    with statement. Module parameters replace that: scsi_debug(2, add_host=1, max_luns=2, per_host_store=0) are
    two disks that show the same memory. Disks come back with their content after remove() and rescan()."""
    settings = {'dev_size_mb': 64, 'num_parts': 0, 'max_luns': 1, 'num_tgts': 1, 'add_host': n_disks,
                'per_host_store': 1, 'delay': 0, **parameters}
    sh('modprobe scsi_debug ' + ' '.join(f'{k}={v}' for k, v in settings.items()))
    disks = ScsiDebug()
    try:
        wait_for(lambda: len(disks.disks()) == n_disks, what=f'{n_disks} scsi_debug disks')
        settle()
        yield disks
    finally:
        # whoever looks at a disk at this moment (udev) keeps the module busy
        wait_for(lambda: sh('udevadm settle; modprobe --remove scsi_debug') == '', what='scsi_debug to be unloaded')


# D-Bus

def _busctl(arguments, user):
    """busctl with JSON; its debugging output is the only place where it tells the name of an error."""
    command = ['env', 'SYSTEMD_LOG_LEVEL=debug', 'SYSTEMD_LOG_TARGET=console', 'SYSTEMD_COLORS=0',
               'busctl', '--json=short', '--timeout=60', *arguments]
    if user:
        command = ['setpriv', f'--reuid={user}', f'--regid={user}', '--init-groups', '--', *command]
    run = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                         check=False)
    if run.returncode == 0:
        return json.loads(run.stdout)['data'] if run.stdout.strip() else []
    # the sentence, too: what busctl prints for AccessDenied is its own
    errors = re.findall(r'error-name=(\S+) error-message=(.*)$', run.stderr, re.MULTILINE)
    raise BusError(*(errors[-1] if errors and errors[-1][0] != 'n/a' else ('unknown', run.stderr.strip()[-400:])))


def busctl_call(method, signature='', *arguments, user=None, path=MANAGER_PATH, interface=MANAGER, service=BUS_NAME):
    """Calls a method as `busctl call` does: arguments as it takes them (an array with its length before it), as root
    or as another user. Returns the list of what came back; BusError when it was an error."""
    words = [service, path, interface, method]
    if signature:
        words += [signature, *(str(a) for a in arguments)]
    return _busctl(['call', '--', *words], user)


def busctl_get(name, user=None, path=MANAGER_PATH, interface=MANAGER, service=BUS_NAME):
    """The value of a property."""
    return _busctl(['get-property', '--', service, path, interface, name], user)
