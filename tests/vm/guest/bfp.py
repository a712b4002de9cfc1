# SPDX-License-Identifier: LGPL-2.1-or-later
"""What the tests of policies share on top of bfd.py: policy files of any keys, and attachments found by the file that
they come from, or by what they are on."""

import re
import shutil
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace

import bf
import bfd

ETC, RUN, LIB = bfd.POLICY_FOLDER, Path('/run/blkfilter.d'), Path('/usr/lib/blkfilter.d')
GPT_DATA = '0fc63daf-8483-4772-8e79-3d69d8477de4'


# policies

def text(match, attach='', name='bftrack', **filter_keys):
    """A policy: `match` and `attach` are Key=value with blanks between, which become lines; other keys of [Filter] are
    given by name (Module=…)."""
    def lines(given):
        return re.sub(r'\s+(?=[A-Za-z]+=)', '\n', given)
    keys = [f'Name={name}', *(f'{key}={value}' for key, value in filter_keys.items())]
    parts = ['[Match]', lines(match), '[Filter]', *keys]
    if attach:
        parts += ['[Attach]', lines(attach)]
    return '\n'.join(parts) + '\n'


def put(file, match, attach='', name='bftrack', folder=ETC, **filter_keys):
    """Puts a good policy (arguments of text()) in place and makes the daemon read it."""
    path = bfd.write_policy(file, text(match, attach, name, **filter_keys), folder)
    errors = [e for e in bfd.reload() if e[0] == str(path)]
    bf.equal(errors, [], f'errors in {path}')
    return path


def put_dropin(policy, file, content, folder=ETC):
    """Puts a drop-in of a policy in place and makes the daemon read it. Returns its path and the errors in it."""
    path = bfd.write_policy(file, content, folder / f'{policy}.d')
    return path, [e for e in bfd.reload() if e[0] == str(path)]


def drop(file, folder=ETC):
    """Takes a policy away, and lets the daemon see that."""
    (folder / file).unlink()
    bfd.reload()


@contextmanager
def only():
    """For the time of the with statement there are only the policies that are made in it, in any folder."""
    bfd.forget_all()
    try:
        yield
    finally:
        for folder in (ETC, RUN, LIB):
            for path in folder.glob('*.conf.d'):
                shutil.rmtree(path)
            for path in folder.glob('*.conf'):
                path.unlink()
        bfd.forget_all()


# attachments

def every():
    """All attachments with all their properties: .path, .State, .Policy, …"""
    objects = bf.busctl_call('GetManagedObjects', interface='org.freedesktop.DBus.ObjectManager')[0]
    found = []
    for path, interfaces in sorted(objects.items()):
        if bfd.ATTACHMENT in interfaces:
            values = {k: v['data'] for k, v in interfaces[bfd.ATTACHMENT].items()}
            found.append(SimpleNamespace(path=path, **values))
    return found


def of(file):
    """The attachments of the policy in a file of that name."""
    return [a for a in every() if Path(a.Policy).name == file]


def one(file):
    """The one attachment of a policy, besides what earlier versions of it left in place; a Failure if there is none,
    or several."""
    found = [a for a in of(file) if a.State != 'orphaned']
    bf.equal(len(found), 1, f'attachments of {file} ({[(a.Identity, a.State) for a in found]})')
    return found[0]


def wait(file, state, *words, device=None, limit=90):
    """Waits until the one attachment of a policy is in that state, on that device, and its reason has those words.
    Returns it."""
    def look():
        a = one(file)
        if a.State != state or device not in (None, a.Device) or any(w not in a.StateReason for w in words):
            raise bf.Failure(f'{a.State} on "{a.Device}": {a.StateReason}')
        return a
    return bf.wait_for(look, limit, f'the state {state} {words} {device or ""} of {file}')


def wait_on(file, *devices, limit=90):
    """Waits until the attachments of a policy are attached to exactly these devices. Returns those, by device."""
    def look():
        found = {a.Device: a for a in of(file) if a.State == 'attached'}
        if sorted(found) != sorted(devices):
            raise bf.Failure(f'{[(a.Device, a.State, a.StateReason) for a in of(file)]}')
        return found or not devices
    found = bf.wait_for(look, limit, f'{file} to be on {devices}')
    for device in devices:
        bf.check(bf.filter_of(device), f'{device} has a filter')
    return found


def still(a, device, generation=None):
    """Fails unless an attachment is on its device just as it was when it was looked at: never gone in between."""
    now = [b for b in every() if b.path == a.path]
    bf.equal(len(now), 1, f'attachments {a.path}')
    bf.equal((now[0].Device, now[0].IntactSince, now[0].GapCount), (device, a.IntactSince, a.GapCount),
             'device, IntactSince and gaps')
    if generation:
        bf.equal(bfd.generation(device), generation, 'attach')
    return now[0]


# devices

def udev_property(device, name):
    """What udev's database says of a device, '' if nothing."""
    for line in bf.sh(f'udevadm info --query=property --name={device}').splitlines():
        key, _, value = line.partition('=')
        if key == name:
            return value
    return ''


def make_fs(device, uuid, label=''):
    """An empty file system on a device, or in a file."""
    # udev does not see a device closed while it handles an event of it, as of the close before: the lock keeps it off
    lock = f'udevadm lock --device={device} ' if device.startswith('/dev/') else ''
    bf.sh(f'{lock}sh -c \'wipefs --quiet --all {device}; mke2fs -q -F -t ext2 -U {uuid} -L "{label}" {device}\'')
    bf.settle()
