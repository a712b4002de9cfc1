# SPDX-License-Identifier: LGPL-2.1-or-later
"""A crowd: sixteen disks with eight partitions each, all of one and the same name, and clones among them. What the
short and the long test file share."""

import contextlib
import random
import time

import bf
import bfd
import gate
import gpt
import hostile
import rounds
import shufdisk
import truth

N_DISKS, N_PARTS = 16, 8
LABEL = 'data'
# (disk, number) that are the same
CLONES = (((0, 1), (1, 1)), ((2, 3), (9, 8)), ((5, 1), (5, 2)), ((3, 4), (7, 4), (11, 4)))
LIMIT_SEC = 120


def uuid_of(disk, number):
    for group in CLONES:
        if (disk, number) in group:
            disk, number = group[0]
    return bfd.uuid(0x1000 + disk * 16 + number)


def make_policies():
    """The clones, two of each disk, some with the name besides; and one that has only the name, which 128 have."""
    wanted = sorted({group[0] for group in CLONES} | {(d, n) for d in range(N_DISKS) for n in (6, 7)})
    found = [hostile.Policy(uuid_of(d, n), LABEL if n % 2 else '', 'bftrack' if d % 2 else 'bfcount')
             for d, n in wanted]
    return found + [hostile.Policy('', LABEL, 'bftrack')]


def state_counts():
    counts = {}
    for a in bfd.attachments():
        counts[a.state] = counts.get(a.state, 0) + 1
    return counts


class Crowd:
    """The disks, and the steps that each of the two runs takes."""

    def __init__(self, group, disks, keeper, killer):
        self.group = group
        self.disks = disks
        self.keeper = keeper
        self.killer = killer
        self.rng = random.Random(1)

    def undisturbed(self):
        return self.killer.paused() if self.killer else contextlib.nullcontext()

    @contextlib.contextmanager
    def case(self, name):
        """A step; then all must be as it should be."""
        with bf.case(f'{self.group}/{name}'):
            began = time.monotonic()
            yield
            bf.settle(LIMIT_SEC)
            with self.undisturbed():
                try:
                    self.keeper.converge(LIMIT_SEC)
                except BaseException:
                    for line in self.keeper.describe():
                        print(f'#   {line}')
                    raise
                print(f'# {name}: {time.monotonic() - began:.1f} s, {state_counts()}')

    def expect(self, **wanted):
        """So many are in these states."""
        with self.undisturbed():
            counts = state_counts()
        bf.equal({s: counts.get(s, 0) for s in wanted}, wanted, 'attachments by state')

    def rewrite(self, disk, number, uuid):
        d = self.disks[disk]
        d.by_rrpart({**d.table, number: d.table[number]._replace(uuid=uuid)}, self.rng, True)

    def reread(self):
        for d in self.disks:
            d.touch()
            bfd.reread(d.name)

    def write_tables(self):
        for i, d in enumerate(self.disks):
            d.by_rrpart({n: gpt.Entry(n * 2048, 2048, uuid_of(i, n), LABEL) for n in range(1, N_PARTS + 1)}, self.rng,
                        True)

    def run(self):
        n_single = 2 * N_DISKS
        n_same = len(CLONES) + 1        # and the one that has only the name
        with self.case('the-right-ones-attached'):
            for d in self.disks[:2]:
                self.keeper.writer.write_all(d.name, self.rng)
        # by name: the keeper looks at that
        self.expect(attached=n_single, ambiguous=n_same)
        with self.case('all-read-again-at-once'):
            self.reread()
        with self.case('from-the-start'):
            with self.undisturbed():
                with bfd.without():
                    self.reread()
        self.expect(attached=n_single, ambiguous=n_same)

        with self.case('a-clone-goes'):
            self.disks[1].unplug()
        self.expect(attached=n_single - 2 + 1, ambiguous=n_same - 1)
        with self.case('and-comes-back'):
            self.disks[1].plug()
        self.expect(attached=n_single + 1, ambiguous=n_same - 1)
        with self.case('clones-become-somebody-else'):
            self.rewrite(9, 8, bfd.uuid(0x2000))
            self.rewrite(5, 2, bfd.uuid(0x2001))
            self.rewrite(11, 4, bfd.uuid(0x2002))
        self.expect(attached=n_single + 3, ambiguous=n_same - 3)
        with self.case('the-last-but-one-goes'):
            self.disks[7].unplug()
        self.expect(attached=n_single - 2 + 4, ambiguous=1)


def run(group, killed):
    """All of it. With `killed` the daemon is killed every few seconds."""
    with shufdisk.disks(N_DISKS, dev_size_mb=16) as disks, bfd.policies(), gate.Gate(bfd, gpt.read_with_id) as witness:
        policies = make_policies()
        killer = bfd.Killer(random.Random(1)) if killed else None
        with killer or contextlib.nullcontext():
            crowd = Crowd(group, disks, truth.Truth(disks, hostile.Writer(), witness, policies,
                                                     killer.kills if killer else ()), killer)
            with bf.case(f'{group}/states'):
                # first, so that of two clones none comes before the other
                crowd.write_tables()
                bf.settle()
                with crowd.undisturbed():
                    rounds.put(policies)
                crowd.run()
        if killer:
            print(f'# killed {len(killer.kills)} times')
