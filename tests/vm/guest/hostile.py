# SPDX-License-Identifier: LGPL-2.1-or-later
"""The hostile re-partitioner: rounds of changes of partition tables, drawn from a seed, with I/O and a flood of events
going on at the same time. What it does is written down in words, for a failure."""

import contextlib
import mmap
import os
import random
import threading
import time
import zlib
from collections import Counter, namedtuple
from dataclasses import dataclass, field
from pathlib import Path

import bf
import gpt
from shufdisk import read_parts

MIB = 2048                          # sectors
FIRST, LAST = MIB, 62 * MIB         # of the place for partitions
MAX_PARTS = 6
BLOCK = 4096
N_SIGNATURES = 64

Policy = namedtuple('Policy', 'uuid label filter')      # '': any


def matches(policy, entry):
    return policy.uuid in ('', entry.uuid) and policy.label in ('', entry.label)


def identity(policy):
    """As the daemon tells it."""
    keys = (('PARTUUID', policy.uuid), ('PARTLABEL', policy.label))
    return ' '.join(f'{key}={value}' for key, value in keys if value)


def signature(uuid):
    """Which of each 64 blocks the I/O on a partition of that UUID goes to."""
    return zlib.crc32(uuid.encode()) % N_SIGNATURES


def foreign(rng):
    """The UUID of a partition that nobody wants."""
    return f'f0f0f0f0-0000-4000-8000-{rng.getrandbits(48):012x}'


# tables

def free_places(table):
    """(start, size) of what no entry covers."""
    at = FIRST
    for e in sorted(table.values()):
        if e.start - at >= MIB:
            yield at, e.start - at
        at = e.start + e.size
    if LAST - at >= MIB:
        yield at, LAST - at


def place(rng, table):
    """A free place for a partition of 1 to 6 MiB, None if there is none."""
    places = list(free_places(table))
    if not places:
        return None
    start, room = rng.choice(places)
    size = rng.randint(1, min(6, room // MIB)) * MIB
    return start + rng.randint(0, (room - size) // MIB) * MIB, size


class Editor:
    """Changes of a table. Each takes a table and changes it, or returns None where it cannot be done."""

    def __init__(self, rng, policies, disks):
        self.rng = rng
        self.policies = policies
        self.disks = disks

    def holders(self, uuid):
        return [(d, n) for d in self.disks for n, e in d.table.items() if e.uuid == uuid]

    def pick(self, table, n=1):
        return self.rng.sample(sorted(table), n) if len(table) >= n else None

    def wanted(self, policy, rng):
        return policy.uuid, policy.label or rng.choice(('data', 'system', ''))

    def swap_places(self, t):
        if not (two := self.pick(t, 2)):
            return None
        a, b = two
        t[a], t[b] = (t[a]._replace(start=t[b].start, size=t[b].size), t[b]._replace(start=t[a].start, size=t[a].size))
        return f'{a} and {b} swap places'

    def swap_numbers(self, t):
        if not (two := self.pick(t, 2)):
            return None
        a, b = two
        t[a], t[b] = t[b], t[a]
        return f'{a} and {b} swap numbers'

    def renumber(self, t):
        if not (one := self.pick(t)):
            return None
        new = self.rng.choice([n for n in range(1, MAX_PARTS + 3) if n not in t])
        t[new] = t.pop(one[0])
        return f'{one[0]} becomes {new}'

    def shrink(self, t):
        if not (one := self.pick(t)) or t[one[0]].size < 2 * MIB:
            return None
        e = t[one[0]]
        t[one[0]] = e._replace(size=e.size - MIB)
        return f'{one[0]} shrinks'

    def grow(self, t):
        if not (one := self.pick(t)):
            return None
        e = t[one[0]]
        if (e.start + e.size) not in [start for start, _ in free_places(t)]:
            return None
        t[one[0]] = e._replace(size=e.size + MIB)
        return f'{one[0]} grows'

    def move(self, t):
        if not (one := self.pick(t)):
            return None
        e = t.pop(one[0])
        where = place(self.rng, t)
        t[one[0]] = e._replace(start=where[0], size=where[1]) if where else e
        return f'{one[0]} moves'

    def delete(self, t):
        if len(t) < 2 or not (one := self.pick(t)):
            return None
        del t[one[0]]
        return f'{one[0]} is deleted'

    def recreate(self, t):
        if not (one := self.pick(t)):
            return None
        t[one[0]] = t[one[0]]._replace(uuid=foreign(self.rng))
        return f'{one[0]} has another UUID'

    def relabel(self, t):
        if not (one := self.pick(t)):
            return None
        label = self.rng.choice([p.label for p in self.policies if p.label] + ['other'])
        t[one[0]] = t[one[0]]._replace(label=label)
        return f'{one[0]} is called {label}'

    def clone_across(self, t):
        entries = [e for d in self.disks for e in d.table.values() if e not in t.values()
                   and any(matches(p, e) for p in self.policies)]
        if not entries or not (one := self.pick(t)):
            return None
        e = self.rng.choice(sorted(entries))
        t[one[0]] = t[one[0]]._replace(uuid=e.uuid, label=e.label)
        return f'{one[0]} becomes a clone of {e.uuid[-4:]}'

    def clone_within(self, t):
        if not (two := self.pick(t, 2)):
            return None
        a, b = two
        t[b] = t[b]._replace(uuid=t[a].uuid, label=t[a].label)
        return f'{b} becomes a clone of {a}'

    def heal_absent(self, t):
        """What nobody has, somebody gets."""
        absent = [p for p in self.policies if not self.holders(p.uuid)]
        if not absent:
            return None
        uuid, label = self.wanted(self.rng.choice(absent), self.rng)
        nobodys = [n for n, e in t.items() if not any(p.uuid == e.uuid for p in self.policies)]
        where = place(self.rng, t)
        if nobodys and (not where or self.rng.random() < 0.5):
            number = self.rng.choice(sorted(nobodys))
            t[number] = t[number]._replace(uuid=uuid, label=label)
        elif where and len(t) < MAX_PARTS:
            number = self.rng.choice([n for n in range(1, MAX_PARTS + 2) if n not in t])
            t[number] = gpt.Entry(*where, uuid, label)
        else:
            return None
        return f'{number} becomes {uuid[-4:]} "{label}"'

    def heal_clone(self, t):
        """One of several that are the same becomes another."""
        cloned = [n for n, e in t.items() if len(self.holders(e.uuid)) > 1]
        if not cloned:
            return None
        number = self.rng.choice(sorted(cloned))
        t[number] = t[number]._replace(uuid=foreign(self.rng))
        return f'{number} is no clone any more'

    def heal_label(self, t):
        wrong = [(n, p.label) for n, e in t.items() for p in self.policies if p.uuid == e.uuid and p.label != e.label
                 and p.label]
        if not wrong:
            return None
        number, label = self.rng.choice(sorted(wrong))
        t[number] = t[number]._replace(label=label)
        return f'{number} is called {label}'

    EDITS = ((swap_places, 4), (swap_numbers, 3), (renumber, 2), (shrink, 2), (grow, 2), (move, 3), (delete, 2),
             (recreate, 2), (relabel, 1), (clone_across, 3), (clone_within, 1), (heal_absent, 9), (heal_clone, 5),
             (heal_label, 2))

    def edit(self, table):
        """Another table and what was done to it."""
        new, said = dict(table), []
        for _ in range(self.rng.choice((1, 1, 2, 3))):
            edits, weights = zip(*self.EDITS)
            for edit in self.rng.choices(edits, weights, k=4):
                if word := edit(self, new):
                    said.append(word)
                    break
        return new, ', '.join(said)

    def first_table(self):
        table = {}
        for number in range(1, self.rng.randint(3, 5)):
            start, size = place(self.rng, table)
            table[number] = gpt.Entry(start, size, foreign(self.rng), 'data')
        return table


# I/O

@dataclass
class Written:
    """What was written to one object of the kernel."""
    identities: set = field(default_factory=set)        # (uuid, label) that the table gave it at a write
    blocks: set = field(default_factory=set)
    n_writes: int = 0
    bytes: int = 0
    seen_by: dict = field(default_factory=dict)         # by filter: [writes, bytes, blocks] that it must have seen


class Writer:
    """Writes to partitions, each to blocks that tell its UUID, and knows what each object of the kernel got."""

    def __init__(self):
        self.written = {}
        self.lock = threading.Lock()
        self.n_writes = 0
        self.memory = mmap.mmap(-1, BLOCK)

    def write(self, disk, part, rng):
        """One write to a partition, if it is still there. The open descriptor keeps it in place meanwhile."""
        try:
            fd = os.open(f'/dev/{part.name}', os.O_RDWR | os.O_DIRECT | os.O_CLOEXEC | os.O_NONBLOCK)
        except OSError:
            return
        try:
            with contextlib.suppress(OSError):
                self.write_fd(fd, disk, part, rng)
        finally:
            os.close(fd)

    def write_fd(self, fd, disk, part, rng):
        rdev = os.fstat(fd).st_rdev
        folder = Path(f'/sys/dev/block/{os.major(rdev)}:{os.minor(rdev)}')
        if os.stat(folder).st_ino != part.object:
            return
        entry = gpt.read(disk).get(part.number)
        uuid = entry.uuid if part.is_entry(entry) else 'none'
        n_groups = part.size * gpt.SECTOR // BLOCK // N_SIGNATURES
        block = rng.randrange(n_groups) * N_SIGNATURES + signature(uuid)
        length = gpt.SECTOR * (1 + signature(uuid) % 8)
        on = bf.filter_of(part.name)
        with self.lock:
            log = self.written.setdefault(part.object, Written())
        # before: what fails half way may have been seen
        log.identities.add((uuid, entry.label if uuid != 'none' else ''))
        log.blocks.add(block)
        log.n_writes += 1
        log.bytes += length
        with memoryview(self.memory) as view:
            os.pwritev(fd, [view[:length]], block * BLOCK)
        if on:
            seen = log.seen_by.setdefault(on, [0, 0, set()])
            seen[0] += 1
            seen[1] += length
            seen[2].add(block)
        self.n_writes += 1

    def write_all(self, disk, rng):
        """A write to each partition of a disk."""
        if disk:
            for part in read_parts(disk).values():
                self.write(disk, part, rng)

    def forget(self, objects):
        """Keeps only what is known of these objects."""
        self.written = {o: w for o, w in self.written.items() if o in objects}


class Beside(threading.Thread):
    """Calls step() up to n times beside the test, until it is stopped. What it raises, stop() raises."""

    def __init__(self, n, step):
        super().__init__(daemon=True)
        self.n, self.step, self.error = n, step, None
        self.ended = threading.Event()

    def run(self):
        try:
            for _ in range(self.n):
                if self.ended.is_set():
                    return
                self.step()
        except Exception as error:      # pylint: disable=broad-exception-caught
            self.error = error

    def stop(self):
        self.ended.set()
        self.join()
        if self.error:
            raise self.error


def flood_step(rng, names):
    """An event that is not one: a device's, or all of a kind."""
    name = rng.choice(names)
    devices = [f'/sys/block/{name}'] + [f'/sys/block/{name}/{p.name}' for p in read_parts(name).values()]
    with contextlib.suppress(OSError):
        Path(rng.choice(devices), 'uevent').write_text(rng.choice(('change', 'change', 'add')))


# rounds

class Hostile:
    """The rounds. .log is what the last one did; .told counts what all of them did."""

    def __init__(self, disks, policies, seed):
        self.disks = disks
        self.policies = policies
        self.seed = seed
        self.writer = Writer()
        self.log = []
        self.told = Counter()

    def rng(self, *what):
        return random.Random('/'.join(str(w) for w in (self.seed, *what)))

    def say(self, disk, what):
        self.log.append(f'{time.monotonic():.3f} {disk.label} ({disk.name or "unplugged"}): {what}')

    def begin(self):
        """First tables, with some of the wanted identities."""
        for disk in self.disks:
            editor = Editor(self.rng('begin', disk.label), self.policies, self.disks)
            table = editor.first_table()
            for _ in range(3):
                editor.heal_absent(table)
            disk.by_rrpart(table, editor.rng, True)
            disk.touched = None
        bf.settle()

    def change(self, disk, rng, n_changes):
        """Changes of one disk, one after the other, with writes in between."""
        for _ in range(n_changes):
            if not disk.name:
                return
            new, what = Editor(rng, self.policies, self.disks).edit(disk.table)
            how = disk.apply(new, rng)
            self.say(disk, f'{what or "the same again"}, by {how}: {gpt.told(new)}')
            self.told['changes'] += 1
            self.told[how.split(' ')[0]] += 1
            self.told['left busy'] += '(busy)' in how
            if rng.random() < 0.5:
                self.writer.write_all(disk.name, rng)

    def replug(self, disks, rng):
        """Unplugs disks, and plugs in most of those that are out, in another order: their names change."""
        for disk in disks:
            if disk.name:
                self.say(disk, 'unplugged')
                disk.unplug()
                self.told['unplugged'] += 1
        out = [d for d in self.disks if not d.name]
        rng.shuffle(out)
        # now and then one stays away for some rounds
        for disk in out[(rng.random() < 0.4):]:
            disk.plug()
            self.say(disk, 'plugged in')

    def round(self, number):
        rng = self.rng('round', number)
        self.log = []
        present = [d for d in self.disks if d.name]
        chosen = rng.sample(present, min(len(present), rng.randint(1, 3)))
        unplugged = []
        if rng.random() < 0.35 or len(present) < len(self.disks):
            unplugged = rng.sample(present, min(len(present) - 2, rng.choice((0, 1, 1, 2))))
        names = [d.name for d in present]
        flood_rng, io_rng = self.rng('flood', number), self.rng('io', number)
        beside = [Beside(rng.choice((0, 20, 60)), lambda: flood_step(flood_rng, names)),
                  Beside(3, lambda: [self.writer.write_all(d.name, io_rng) for d in present])]
        workers = [Beside(1, lambda d=d: self.change(d, self.rng('disk', number, d.label), self.rng(
            'n', number, d.label).randint(1, 3))) for d in chosen if d not in unplugged]
        if unplugged or len(present) < len(self.disks):
            workers.append(Beside(1, lambda: self.replug(unplugged, self.rng('plug', number))))
        for thread in beside + workers:
            thread.start()
        for thread in workers:
            thread.join()
        for thread in beside + workers:
            thread.stop()
        self.told['rounds'] += 1
