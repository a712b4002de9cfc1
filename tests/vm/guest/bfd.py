# SPDX-License-Identifier: LGPL-2.1-or-later
"""What the tests of the daemon share on top of bf.py: policies, attachments as the bus tells them, and what only the
kernel knows for certain: which filter is on a device (sysfs), and whether it is still the same attach (the generation
of bftrack, another one after each attach)."""

import json
import re
import threading
import time
from collections import namedtuple
from contextlib import contextmanager
from pathlib import Path

import bf
import interface
import kfilter

POLICY_FOLDER = Path('/etc/blkfilter.d')
CONFIG = Path('/etc/blkfilterd.conf')
ATTACHMENT = 'org.blkfilter1.Attachment'
PROPERTIES = 'org.freedesktop.DBus.Properties'
ERROR = 'org.blkfilter1.Error.'

Attachment = namedtuple('Attachment', 'path filter identity device state reason intact_since')
Gap = namedtuple('Gap', 'begin latest end reason')

_n_restarts = 0


def uuid(number):
    """A partition's UUID for the tests, the same for the same number."""
    return f'0fc63daf-8483-4772-8e79-{number:012x}'


# policies

def write_policy(name, text, folder=POLICY_FOLDER):
    """Puts a policy file in place, whole. Returns its path; the daemon is not told."""
    folder.mkdir(parents=True, exist_ok=True)
    new = folder / f'.{name}.new'
    new.write_bytes(text if isinstance(text, bytes) else text.encode())
    new.chmod(0o644)
    new.rename(folder / name)
    return folder / name


def policy_text(part_uuid=None, label=None, filter_name='bftrack', retry=None):
    lines = ['[Match]']
    if part_uuid:
        lines.append(f'PartUUID={part_uuid}')
    if label:
        lines.append(f'PartLabel="{label}"')
    lines += ['[Filter]', f'Name={filter_name}']
    if retry:
        lines += ['[Attach]', f'RetrySec={retry}']
    return '\n'.join(lines) + '\n'


def reload():
    """Makes the daemon read its policies. Returns the errors: [file, line, message]."""
    return bf.busctl_call('Reload', 'a{sv}', 0)[0]


def put_policy(name, folder=POLICY_FOLDER, **what):
    """Puts a good policy in place (arguments of policy_text) and makes the daemon read it."""
    path = write_policy(name, policy_text(**what), folder)
    errors = [e for e in reload() if e[0] == str(path)]
    bf.equal(errors, [], f'errors in {path}')
    return path


def forget_all():
    """No policy, and no filter left on a device by what the tests attached."""
    if POLICY_FOLDER.is_dir():
        for path in POLICY_FOLDER.glob('*.conf'):
            path.unlink()
    reload()
    # two can say that one filter is theirs: the partition that one of them has it on became the other's while it was on
    on = {(a.device, a.filter) for a in attachments() if a.device and a.state in ('attached', 'orphaned')}
    for device, name in sorted(on):
        bf.busctl_call('Detach', 'ssa{sv}', device, name, 0)


@contextmanager
def policies():
    """For the time of the with statement there are only the policies that are made in it."""
    forget_all()
    try:
        yield
    finally:
        forget_all()


@contextmanager
def configured(**settings):
    """The daemon's own settings, for the time of the with statement: blkfilterd.conf."""
    CONFIG.write_text('[Daemon]\n' + ''.join(f'{key}={value}\n' for key, value in settings.items()))
    reload()
    try:
        yield
    finally:
        CONFIG.unlink()
        reload()


# attachments, as the bus tells them

def attachments():
    """All of them."""
    return [Attachment(*row) for row in bf.busctl_call('ListAttachments', 'a{sv}', 0)[0]]


def attachment(part_uuid=None, label=None, filter_name='bftrack'):
    """The one of a filter and an identity; a Failure if there is none."""
    identity = ' '.join(([f'PARTUUID={part_uuid}'] if part_uuid else []) + ([f'PARTLABEL={label}'] if label else []))
    found = [a for a in attachments() if a.filter == filter_name and a.identity == identity]
    bf.equal(len(found), 1, f'attachments of {filter_name} on {identity}')
    return found[0]


def properties(a):
    """All properties of an attachment, by name."""
    values = bf.busctl_call('GetAll', 's', ATTACHMENT, path=a.path, interface=PROPERTIES)[0]
    return {name: value['data'] for name, value in values.items()}


def gaps(a):
    return [Gap(*g) for g in properties(a)['Gaps']]


def wait_state(state, limit=60, **what):
    """Waits until the attachment (arguments of attachment()) is in that state. Returns it."""
    def look():
        a = attachment(**what)
        if a.state != state:
            raise bf.Failure(f'{a.state}: {a.reason}')
        return a
    return bf.wait_for(look, limit, f'the state {state}')


def quiet(limit=120):
    """Waits until udev has handled all events and the daemon has drawn its conclusions from them."""
    def settled():
        rows = attachments()
        for a in rows:
            if a.state == 'attaching' or 'is being read' in a.reason or 'has not said yet' in a.reason:
                raise bf.Failure(f'{a.identity}: {a.state}: {a.reason}')
        return True
    bf.settle()
    # udev's last event reached the daemon before this call: it reads events before it answers
    bf.wait_for(settled, limit, 'the daemon to be done')


# the kernel's view

def generation(device):
    """The attach of bftrack that is on the device; None if there is none (or the device is just away)."""
    try:
        return str(kfilter.TrackInfo(bf.name_of(device)).generation)
    except OSError:
        return None


def wait_attached(device, other_than=None, limit=60):
    """Waits until bftrack is on the device, by another attach than the given one. Returns its generation. Looks at
    sysfs first, so as to open the partition only once it has a filter."""
    def look():
        if bf.filter_of(device) != 'bftrack':
            raise bf.Failure(f'the filter of {device} is {bf.filter_of(device)!r}')
        now = generation(device)
        if now is None or now == other_than:
            raise bf.Failure(f'{device} has the attach {now}')
        return now
    return bf.wait_for(look, limit, f'bftrack on {device}')


def reread(disk, limit=60):
    """blockdev --rereadpt, tried again while it is busy: udev has the partitions open after an event. Returns how
    often it was."""
    busy = 0
    deadline = time.monotonic() + limit
    while True:
        try:
            bf.sh(f'blockdev --rereadpt /dev/{bf.name_of(disk)}')
            return busy
        except bf.CommandError as error:
            if 'busy' not in error.output or time.monotonic() > deadline:
                raise
            busy += 1


class Watch:
    """Looks at the filters of devices without a break while the with statement runs, and remembers how they changed:
    .seen[device] is the list of the different values in their order ('', a name, None for no such device). Where the
    kernel has no attribute it looks less often, as each look opens the device: no re-read would come through."""

    PAUSE_SEC = 0.001
    PAUSE_ASKING_SEC = 0.05

    def __init__(self, *devices):
        self.seen = {bf.name_of(d): [bf.filter_of(d)] for d in devices}
        self.error = None
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def _run(self):
        try:
            while not self._stop.is_set():
                for device, seen in self.seen.items():
                    value = bf.filter_of(device)
                    if value != seen[-1]:
                        seen.append(value)
                time.sleep(self.PAUSE_SEC if interface.HAS_ATTRIBUTE else self.PAUSE_ASKING_SEC)
        except Exception as error:      # pylint: disable=broad-exception-caught
            self.error = error

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._stop.set()
        self._thread.join()
        if self.error:
            raise self.error

    def none_came(self, device):
        """Fails if a filter came onto the device while it was watched; one that was there at first may have gone."""
        later = [value for value in self.seen[bf.name_of(device)][1:] if value]
        bf.equal(later, [], f'filters that came onto {device}')


# the daemon's process

def unit_property(name):
    return bf.sh(f'systemctl show --value --property={name} {bf.UNIT}').strip()


def settled(limit=20):
    """Waits until the daemon has seen to all that is there: it is "started" before that. What cannot be had in that
    time, as a disk that does not answer, is not waited for."""
    bf.sh(f'/usr/libexec/blkfilter-wait --settled --timeout={limit}', ok=(0, 1))


def start():
    global _n_restarts
    bf.sh(f'systemctl start {bf.UNIT}')
    settled()
    # systemd counts anew after each start by hand
    _n_restarts = int(unit_property('NRestarts'))


def stop():
    bf.sh(f'systemctl stop {bf.UNIT}')


def restart():
    global _n_restarts
    bf.sh(f'systemctl restart {bf.UNIT}')
    settled()
    _n_restarts = int(unit_property('NRestarts'))


def kill():
    """Ends the daemon by SIGKILL and waits until systemd has another one up."""
    global _n_restarts
    old = bf.main_pid()
    bf.check(old > 0, 'the daemon has a process')
    bf.sh(f'kill -KILL {old}')
    _n_restarts += 1
    bf.wait_for(lambda: bf.main_pid() not in (0, old) and unit_property('ActiveState') == 'active',
                what='another daemon')
    settled()


@contextmanager
def without():
    """For the time of the with statement the daemon does not run."""
    stop()
    try:
        yield
    finally:
        start()


class Killer:
    """While the with statement runs, the daemon is killed again and again, at times that `rng` gives. Not while
    .paused() is entered: then there is one that is up."""

    def __init__(self, rng, shortest=1.0, longest=4.0):
        self.kills = []         # when, monotonic
        self._draw = lambda: rng.uniform(shortest, longest)
        self._error = None
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def _run(self):
        try:
            while not self._stop.wait(self._draw()):
                with self._lock:
                    self.kills.append(time.monotonic())
                    kill()
        except Exception as error:      # pylint: disable=broad-exception-caught
            self._error = error

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._stop.set()
        self._thread.join()
        if self._error:
            raise self._error

    @contextmanager
    def paused(self):
        with self._lock:
            yield


def messages(since=None, priority=None, match=''):
    """What the daemon and its workers have logged, not systemd of them: dictionaries of the journal's fields."""
    command = f'journalctl --sync; journalctl --boot --quiet --no-pager --output=json --unit={bf.UNIT} {match}'
    if since:
        command += f' --since=@{since:.6f}'
    if priority:
        command += f' --priority={priority}'
    return [m for m in map(json.loads, bf.sh(command).splitlines()) if m['_PID'] != '1']


def times_back(since):
    """How long the filters were away that came back since then: seconds, from the journal's sentences."""
    return [float(s) for s in re.findall(r'is back on \S+ after (\d+\.\d+) s', bf.journal(since=since))]


def begin(filters=('bfcount', 'bftrack', 'bffault')):
    """What each test of the daemon begins with: the filters are there, the daemon runs, nothing is attached."""
    for module in filters:
        bf.sh(f'modprobe {module}')
    start()
    forget_all()


def end(group):
    """The last case of a file: the daemon has not died meanwhile. Ends the file."""
    with bf.case(f'{group}/daemon-lives'):
        bf.equal(unit_property('ActiveState'), 'active', bf.UNIT)
        bf.equal(int(unit_property('NRestarts')), _n_restarts, 'restarts of the daemon')
        forget_all()
        for module in ('bfcount', 'bftrack', 'bffault'):
            bf.wait_for(lambda m=module: kfilter.refcount(m) == 0, what=f'{module} to be unused')
    bf.done()
