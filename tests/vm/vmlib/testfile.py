# SPDX-License-Identifier: LGPL-2.1-or-later
"""The test files: which there are, what their headers ask for, and the meaning of what they print."""

import re
import time
from dataclasses import dataclass, field
from pathlib import Path

from .image import VM_DIR
from .machine import INTERFACES

DEFAULT_LIMIT_SEC = 300
HEADER_LINES = 30

# What makes a test a failure when the kernel says it. Its time stamp in front keeps out what merely quotes it.
KERNEL_COMPLAINT = re.compile(
    r'^\[ *\d+\.\d+\](?:\[[^]]*\])? (?:BUG|WARNING|Oops|kernel BUG at|general protection fault|KASAN|UBSAN|'
    r'Kernel panic|.*possible circular locking|.*possible recursive locking|.*suspicious RCU usage|'
    r'.*inconsistent lock state|unregister_netdevice: waiting|list_(?:add|del) corruption)\b.*', re.MULTILINE)

NEXT_BOOT_LINE = re.compile(r'^next-boot: (?:initramfs=(\S+) ?)?(.*)$')

NOT_ON_LINE = re.compile(r'^# vm-not-on (\S+): (.+)$')

RESULT_LINE = re.compile(r'^(ok|not ok) ([^\s:]+)(?:: ?(.*))?$')


class UsageError(Exception):
    """A wrong name or a wrong header. The text is for the user."""


@dataclass
class TestFile:
    """A test file and its header: lines `# vm: WORD…` near its top, with the words

    own-machine   boots a machine of its own, not one that other files have used
    reboots       the same; if it ends with the status 75 the machine is shut down, booted again from the same disks,
                  which keep what was written to them, and it is run once more. VM_BOOT in its environment counts the
                  boots from 0; its limit is that of one boot. A line "next-boot: initramfs=FILE WORD…" in its output
                  says how the next ones are made, both as need be: an initramfs, by the path of its file in the machine,
                  and more words for the kernel's command line
    stops-units   with reboots: units are stopped in their order before the next boot, not killed; takes longer
    root-partition  with reboots: the root file system is the first partition of the machine's disk
    limit=SECONDS when it is ended as a failure
    suite=NAME    belongs to that suite instead of "vm", which is part of every run
    interfaces    besides, it is part of the table of tests that `./check interfaces` runs over each interface that a
    interfaces-long   kernel can have for filters; or only of the longer one, of `./check interfaces-long`
    interface=NAME    needs a machine with this one: a name of machine.INTERFACES. VM_INTERFACE in the environment of
                  each file says which one its machine has
    append=WORD   a machine of its own with this word on the kernel's command line; may be repeated
    panics=WORD   the same; the kernel must panic, with a message that begins with the word: that is its case

    A line `# vm-not-on INTERFACE: WHY` keeps a file of the table off an interface by whose nature it cannot hold
    ("bdevfilter": off both of its sizes).
    """
    path: Path
    own_machine: bool = False
    reboots: bool = False
    limit: int = DEFAULT_LIMIT_SEC
    suite: str = 'vm'
    stops_units: bool = False
    root_partition: bool = False
    table: str = ''                                 # '', interfaces or interfaces-long
    interface: str = ''                             # '': any
    append: str = ''
    panics: str = ''
    not_on: dict = field(default_factory=dict)      # why, by interface

    def is_for(self, interface):
        """Whether it runs on a machine with that interface."""
        if self.interface:
            return self.interface == interface
        return interface != 'none' and not {interface, interface.partition('-')[0]} & self.not_on.keys()

    def belongs_to(self, suite):
        """Whether it is part of a suite, on any interface."""
        if suite in ('interfaces', 'interfaces-long') and self.table in ('interfaces', suite):
            return True
        return self.suite == suite or (suite == 'interfaces-long' and self.suite == 'interfaces')

    @property
    def name(self):
        return self.path.stem

    @property
    def guest_path(self):
        return str(self.path.relative_to(VM_DIR))


def load(path):
    """Reads the header of a test file."""
    test = TestFile(path)
    with open(path, encoding='utf-8') as stream:
        for number, line in enumerate(stream, 1):
            if number > HEADER_LINES:
                break
            if match := NOT_ON_LINE.match(line):
                test.not_on[match.group(1)] = match.group(2)
            if not line.startswith('# vm:'):
                continue
            for word in line[len('# vm:'):].split():
                key, _, value = word.partition('=')
                if word in ('own-machine', 'reboots'):
                    test.own_machine = True
                    test.reboots = test.reboots or word == 'reboots'
                elif word == 'stops-units':
                    test.stops_units = True
                elif word == 'root-partition':
                    test.root_partition = True
                elif key == 'limit' and value.isdecimal():
                    test.limit = int(value)
                elif key == 'suite' and value:
                    test.suite = value
                elif word in ('interfaces', 'interfaces-long'):
                    test.table = word
                elif key == 'interface' and value in INTERFACES:
                    test.interface = value
                elif key == 'append' and value:
                    test.own_machine = True
                    test.append = f'{test.append} {value}'.strip()
                elif key == 'panics' and value:
                    test.own_machine = True
                    test.panics = value
                else:
                    raise UsageError(f'{path}:{number}: "{word}" is not known in a header; there are own-machine, '
                                     'reboots, stops-units, root-partition, limit=SECONDS, suite=NAME, interfaces, '
                                     'interfaces-long, '
                                     f'interface=NAME ({", ".join(INTERFACES)}), append=WORD and panics=WORD.')
    return test


def all_tests():
    """Every test file, by name."""
    folder = VM_DIR / 't'
    files = sorted(f for f in folder.iterdir() if f.suffix in ('.py', '.sh'))
    return {f.stem: load(f) for f in files}


def find(names, suite):
    """The test files of these names (path, suffix or not; a * stands for anything), or of the suite if there are no
    names."""
    known = all_tests()
    if not names:
        return [test for test in known.values() if test.belongs_to(suite)]
    found = {}
    for name in names:
        stem = Path(name).name.removesuffix('.py').removesuffix('.sh')
        pattern = '.*'.join(re.escape(part) for part in stem.split('*'))
        matching = [n for n in known if re.fullmatch(pattern, n)]
        if not matching:
            raise UsageError(f'there is no test file "{name}" in tests/vm/t; there are: {", ".join(known)}.')
        found.update((n, known[n]) for n in matching)
    return list(found.values())


@dataclass
class Case:
    name: str
    passed: bool
    reason: str = ''
    seconds: float = 0.0
    log: list = field(default_factory=list)     # what the file printed before this result


class Reader:
    """Turns the lines of a test file into cases."""

    def __init__(self, on_case):
        self.on_case = on_case
        self.pending = []
        self.cases = []
        self.since = time.monotonic()

    def line(self, text):
        match = RESULT_LINE.match(text)
        if not match:
            self.pending.append(text)
            return
        verdict, name, reason = match.groups()
        self.add(Case(name, verdict == 'ok', reason or ''))

    def add(self, case):
        now = time.monotonic()
        case.seconds, self.since = now - self.since, now
        case.log, self.pending = self.pending, []
        self.cases.append(case)
        self.on_case(case)
