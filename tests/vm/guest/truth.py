# SPDX-License-Identifier: LGPL-2.1-or-later
"""The truth keeper: works out which filter belongs where, from the tables on the disks, from what the kernel has, from
the journal of what was written when, and from the witness of each ATTACH (gate.py). Only then it looks at what the
daemon says, and compares."""

import re
import time
from collections import Counter

import bf
import bfd
import gpt
import kfilter
from hostile import BLOCK, Written, identity, matches, signature
from shufdisk import read_parts

# How long a table that was overwritten without a lock may have been the one that an ATTACH is proven by: the daemon has
# no means against that, and it reads the table just before.
PROOF_SEC = 10.0


# How long the daemon may take to write down that a filter is on.
RECORD_SEC = 5.0

# So many that have the same identity are told by name, or all of them.
NAMED = 7


UDEV_DATABASE = '/run/udev/data/b{}'


class Wrong(bf.Failure):
    """What must never be."""


def is_named(text, name):
    return re.search(rf'/dev/{name}(?!\w)', text) is not None


def udev_uuid(name):
    """The UUID of a partition's entry as udev's database has it."""
    try:
        with open(f'/sys/class/block/{name}/dev', encoding='ascii') as file:
            number = file.read().strip()
        with open(UDEV_DATABASE.format(number), encoding='utf-8') as file:
            return re.search(r'^E:ID_PART_ENTRY_UUID=(.*)$', file.read(), re.M).group(1)
    except (OSError, AttributeError):
        return ''


class Truth:
    def __init__(self, disks, writer, gate, policies, kills=()):
        """policies: in the order in which the daemon takes them. writer: who does all I/O on the partitions. kills:
        when the daemon was killed, also those that come."""
        self.disks = disks
        self.writer = writer
        self.gate = gate
        self.policies = policies
        self.kills = kills
        self.owners = {}            # object: {Policy: the Attach that put its filter there}, those that it can be for
        self.changed = set()        # objects whose entry in the table became another when their filter came, or since
        self.strong_at_quiet = {}   # disk's label: entries that the kernel had a partition for
        self.kept = {}              # object: (disk, generation)
        self.attaches = []          # of this round
        self.told = Counter()
        self.slowest = 0.0

    # each ATTACH

    def versions(self, attach):
        """The tables that it may have been proven by, the one that was there last first."""
        yield attach.table
        for disk in self.disks:
            if str(disk.disk_uuid) != attach.disk_id:
                continue
            for version in reversed(disk.history):
                if (not version.locked and version.ended > attach.time - PROOF_SEC and version.began < attach.looked and
                        (version.ended > attach.time or attach.object in version.objects)):
                    yield version.table

    def judge(self, attach):
        if attach.gone:
            self.told['attaches on what was gone'] += 1
            return
        if not attach.locked:
            raise Wrong(f'{attach.told()}, without a lock of the disk')
        # where a table was overwritten without a lock there can be more than one way in which it is right
        right, objections = {}, ['nobody wants that there']
        for n, table in enumerate(self.versions(attach)):
            entry = table.get(attach.number)
            if not entry or (entry.start, entry.size) != (attach.start, attach.size):
                continue
            for policy in self.policies:
                if policy.filter == attach.filter and matches(policy, entry):
                    objection = self.objection(attach, policy, table)
                    if objection:
                        objections.append(objection)
                    else:
                        right.setdefault(policy, n)
                    break
        if not right:
            raise Wrong(f'{attach.told()}: {objections[-1]}. The table says: {gpt.told(attach.table)}')
        self.told['attaches proven by a table just overwritten'] += min(right.values()) > 0
        self.take_owners(attach, right)

    def objection(self, attach, policy, table):
        """Why the policy's filter must not come there, though the entry is the one that is wanted. '' if it may."""
        twins = [n for n, e in table.items() if n != attach.number and matches(policy, e)]
        if twins:
            return f'entries {twins} of the same table are the same'
        if attach.was_on:
            return ''
        for disk in self.disks:
            # the daemon has had all the time to know of a clone that was there already and has not been touched
            if str(disk.disk_uuid) != attach.disk_id and (disk.touched is None or disk.touched > attach.time):
                clones = [e for e in self.strong_at_quiet.get(disk.label, ()) if matches(policy, e)]
                if clones:
                    return f'{disk.label} has a clone that has been there all the time: {clones}'
        return ''

    def take_owners(self, attach, policies):
        if not attach.was_on:
            self.told['attaches'] += 1
            self.owners[attach.object] = {policy: attach for policy in policies}
        elif attach.was_on != attach.filter:
            self.told['attaches that met another filter'] += 1
        else:
            self.told['attaches that change nothing'] += 1
            owners = self.owners.get(attach.object)
            for policy in policies if owners else ():
                # one that is new here: the entry has changed under the filter, and it finds it there
                owners.setdefault(policy, next(iter(owners.values())))
        if len(self.owners.get(attach.object, ())) > 1:
            self.changed.add(attach.object)

    def judge_all(self):
        for attach in self.gate.take():
            self.attaches.append(attach)
            self.judge(attach)

    # what is there now

    def look(self):
        """One look at everything. Raises Wrong, or Failure for what may still come right."""
        self.judge_all()
        present = [d for d in self.disks if d.name]
        parts = {d.label: read_parts(d.name) for d in present}
        tables = {d.label: gpt.read(d.name) for d in present}
        rows = {(a.identity, a.filter): a for a in bfd.attachments()}
        if parts != {d.label: read_parts(d.name) for d in present}:
            raise bf.Failure('partitions come and go')
        self.judge_all()
        for d in present:
            bf.equal(tables[d.label], d.table, f'the table of {d.label}, which the journal should know')

        on = {}
        for d in present:
            for part in parts[d.label].values():
                if part.filter:
                    self.check_owner(d, part)
                    for policy in self.owners[part.object]:
                        on.setdefault(policy, []).append((d, part))

        pending = []
        for policy in self.policies:
            strong, weak = [], []
            for d in present:
                for n, e in tables[d.label].items():
                    if matches(policy, e):
                        part = parts[d.label].get(n)
                        (strong if part and part.is_entry(e) else weak).append((d, part))
            row = rows.get((identity(policy), policy.filter))
            try:
                bf.check(row, 'the daemon has an attachment for it')
                self.check_policy(on.get(policy, []), strong, weak, row)
            except Wrong:
                raise
            except bf.Failure as failure:
                pending.append(f'{policy.filter} on {identity(policy)}: {failure} (it says: {row})')
        if pending:
            raise bf.Failure(' | '.join(pending))
        return present, parts, tables, on

    def check_owner(self, disk, part):
        if part.object not in self.owners:
            raise Wrong(f'{part.filter} is on {part.name}, of {disk.label}, and no ATTACH of it was seen')
        for policy, attach in self.owners[part.object].items():
            if part.filter != policy.filter:
                raise Wrong(f'{part.filter} is on {part.name}, of {disk.label}, but {attach.told()} was seen')

    def may_be_unrecorded(self, part):
        """Whether the daemon was killed at the ATTACH: the next one cannot know that it is its own."""
        at = next(iter(self.owners[part.object].values())).time
        return any(at <= kill <= at + RECORD_SEC for kill in self.kills)

    def check_policy(self, on, strong, weak, row):
        """on: where its filter is; strong, weak: who has the identity, with and without such a partition; row: what the
        daemon says."""
        strong_objects = {p.object for _, p in strong}
        sure = [p for _, p in on if p.object in strong_objects and p.object not in self.changed]
        if len(sure) > 1:
            raise Wrong(f'the filter is on more than one: {", ".join(p.name for _, p in on)}')
        clones = [p.name for _, p in strong if p.object not in {q.object for _, q in on}]

        # where the table has changed under it, a daemon that was restarted can no longer say what its filter is on
        if len(strong) > 1 and sure and row.state == 'ambiguous' and self.may_be_unrecorded(sure[0]):
            self.told['left on one of several by a daemon that was killed'] += 1
            return
        if row.state == 'attached' or sure:
            bf.equal(row.state, 'attached', 'state')
            names = [p.name for _, p in on]
            bf.check(row.device.removeprefix('/dev/') in names, f'it is said to be on one of {names}')
            part, = (p for _, p in on if p.name == row.device.removeprefix('/dev/'))
            attach = next(iter(self.owners[part.object].values()))
            since = row.intact_since / 1e6
            if not attach.realtime <= since <= time.time():
                raise bf.Failure(f'intact since {since:.6f}, which is not between the attach at {attach.realtime:.6f} '
                                 'and now')
        else:
            bf.equal(row.intact_since, 0, 'intact since')
            if len(strong) == 1 and not weak and not strong[0][1].filter:
                raise bf.Failure(f'missed: it belongs on {strong[0][1].name} of {strong[0][0].label}')
            if len(strong) > 1:
                bf.equal(row.state, 'ambiguous', 'state')
            if not strong and not weak:
                bf.equal(row.state, 'waiting', 'state')
        if row.state == 'attached' or len(strong) > 1:
            named = [name for name in clones if is_named(row.reason, name)]
            if len(named) < min(len(clones), NAMED):
                raise bf.Failure(f'of {clones} it names only {named}')

    # the filters' own counters

    def changed_in_place(self, disk, attach, policy):
        """Whether the table said something else of the same partition since."""
        since = [v.table for v in disk.history if v.ended > attach.time - PROOF_SEC] + [disk.table]
        entries = [t.get(attach.number) for t in since]
        return any(not e or not matches(policy, e) or (e.start, e.size) != (attach.start, attach.size) for e in entries)

    def check_counters(self, part):
        """The filter has seen what was written to this partition since, and nothing else."""
        policy, attach = next(iter(self.owners[part.object].items()))
        log = self.writer.written.get(part.object, Written())
        n_must, bytes_must, blocks_must = log.seen_by.get(part.filter, (0, 0, set()))
        changed = part.object in self.changed
        mine = signature(policy.uuid)
        if part.filter == 'bftrack':
            blocks = kfilter.track_map(part.name)
            # what it has grown by since is not remembered
            blocks_must = {b for b in blocks_must if b < attach.size * gpt.SECTOR // BLOCK}
            self.told['blocks in maps'] += len(blocks)
            if blocks - log.blocks or blocks_must - blocks:
                raise Wrong(f'the map of {part.name} has {sorted(blocks - log.blocks)} that nobody wrote there, and '
                            f'not {sorted(blocks_must - blocks)} that were written')
            others = {b for b in blocks if b % 64 != mine}
            if others and not changed:
                raise Wrong(f'the map of {part.name} has {sorted(others)} of another partition\'s I/O')
        else:
            seen = kfilter.counters(part.name)
            self.told['writes counted'] += seen['writes']
            if not n_must <= seen['writes'] <= log.n_writes or not bytes_must <= seen['write_bytes'] <= log.bytes:
                raise Wrong(f'{part.name} has counted {seen["writes"]} writes of {seen["write_bytes"]} bytes; there '
                            f'were {n_must} of {bytes_must} since it is on, {log.n_writes} of {log.bytes} in all')
            if seen['write_bytes'] != seen['writes'] * gpt.SECTOR * (1 + mine % 8) and not changed:
                raise Wrong(f'{part.name} has counted writes of another length: {seen}')

    def check_kept(self, present, parts):
        """What was on at the end of the last round and has not been touched is on still, by the same attach."""
        for d in present:
            for part in parts[d.label].values():
                if part.object in self.kept and d.touched is None:
                    generation = self.kept[part.object]
                    if not part.filter or (generation and bfd.generation(part.name) != generation):
                        raise Wrong(f'{part.name}, of {d.label}, has lost its filter, or got it anew, untouched')

    # the end of a round

    def unnoticed(self):
        """The disks on which udev, though it has settled, takes a partition for another one than the table says. It
        does not watch a disk while it handles an event of it, and knows nothing of what is written and closed then."""
        return [d for d in self.disks if d.name and any(udev_uuid(part.name) != d.table[n].uuid for n, part in
                                                        read_parts(d.name).items() if part.is_entry(d.table.get(n)))]

    def show_to_udev(self, disks):
        """What the daemon has found by itself: a daemon that is killed now could not."""
        self.told['disks of which udev had not noticed the table'] += len(disks)
        for disk in disks:
            bf.sh(f'udevadm trigger --action=change /sys/class/block/{disk.name}*')
        bf.settle()
        bf.equal([d.label for d in self.unnoticed()], [], 'disks that udev still takes for others')

    def converge(self, limit, check_sec=0):
        """Waits until all is as it should be, and remembers it for the next round. What udev has not noticed the daemon
        finds when it checks the tables, every check_sec."""
        bf.settle()
        began = time.monotonic()
        found = None
        while not found:
            try:
                found = self.look()
                unnoticed = self.unnoticed()
                if unnoticed:
                    self.show_to_udev(unnoticed)
                    found = None
            except Wrong:
                raise
            except (bf.Failure, OSError) as failure:
                waited = time.monotonic() - began
                if waited > limit and (waited > limit + 2 * check_sec or not self.unnoticed()):
                    raise bf.Failure(f'{waited:.0f} s after udev had settled: {failure}') from None
        present, parts, tables, on = found
        self.slowest = max(self.slowest, time.monotonic() - began)
        self.check_kept(present, parts)
        self.kept = {}
        for disk, part in {part.object: (disk, part) for places in on.values() for disk, part in places}.values():
            policy, attach = next(iter(self.owners[part.object].items()))
            if self.changed_in_place(disk, attach, policy):
                self.changed.add(part.object)
            self.check_counters(part)
            self.kept[part.object] = bfd.generation(part.name) if part.filter == 'bftrack' else None
            self.told['on at the end of a round'] += 1
        # what happens from here on belongs to the next round
        objects = {p.object for ps in parts.values() for p in ps.values()}
        self.strong_at_quiet = {d.label: [e for n, e in tables[d.label].items() if n in parts[d.label] and
                                          parts[d.label][n].is_entry(e)] for d in present}
        self.owners = {o: what for o, what in self.owners.items() if o in objects}
        self.changed &= objects
        self.writer.forget(objects)
        self.attaches = []
        for disk in self.disks:
            disk.touched = None
            disk.history = [v for v in disk.history if v.ended > began - 60]

    def describe(self):
        """Everything that is known, in lines."""
        for disk in self.disks:
            yield f'{disk.label} ({disk.name or "unplugged"}): {gpt.told(disk.table)}'
            for n, part in read_parts(disk.name).items() if disk.name else ():
                yield f'    {part.name} {n}: {part.start}+{part.size} object {part.object} "{part.filter}"; udev: {udev_uuid(part.name)}'
        for attach in self.attaches[-40:]:
            yield attach.told() + (f', {attach.was_on} was on' if attach.was_on else '')
        for row in bfd.attachments():
            yield str(row)
