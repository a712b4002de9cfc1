# SPDX-License-Identifier: LGPL-2.1-or-later
# vm: interfaces limit=420
"""A filter that somebody else takes off, or takes off and puts on again, without asking the daemon: what was not tracked
is never called intact. And what a daemon may claim of the time in which there was none."""

import json
import os
import subprocess
import sys
import threading
import time
from contextlib import contextmanager
from pathlib import Path

sys.path.insert(0, os.path.join(os.path.dirname(__file__), '..', 'guest'))
# pylint: disable=wrong-import-position
import bf
import bfd
import bfp
import kfilter

FILE = '20-data.conf'
MATCH = f'PartUUID={bfd.uuid(1)}'
ID_LOST, ID_RESTORED, ID_FOREIGN = (f'c1a35b0e6f2f4e0f9e55a36b9d2f7a{n:02x}' for n in (1, 2, 9))


class Signals:
    """The signals of the manager, from the with statement's begin on: .wait(member) is the next of that name."""

    def __enter__(self):
        self.seen = []
        self.process = subprocess.Popen(['busctl', 'monitor', '--json=short', bf.BUS_NAME], stdout=subprocess.PIPE,
                                        stderr=subprocess.STDOUT, text=True)
        self.thread = threading.Thread(target=self.read, daemon=True)
        self.thread.start()
        bf.wait_for(lambda: any('Monitoring bus' in line for line in self.seen), what='busctl monitor')
        return self

    def read(self):
        for line in self.process.stdout:
            self.seen.append(line)

    def wait(self, member):
        def look():
            for line in self.seen:
                if line.startswith('{'):
                    message = json.loads(line)
                    if message.get('member') == member:
                        return message['payload']['data']
            return None
        return bf.wait_for(look, 60, f'the signal {member}')

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()
        self.thread.join()


@contextmanager
def attached(name='bftrack'):
    """The filter is on the partition by a policy: the attachment, seen a moment ago."""
    with bfp.only():
        bfp.put(FILE, MATCH, name=name)
        yield bfp.wait_on(FILE, sda1)[sda1]


def nudge(disk):
    """An event of the disk, about nothing."""
    bf.sh(f'udevadm trigger --settle --action=change /sys/class/block/{bf.name_of(disk)}')


def usec():
    return int(time.time() * 1e6)


def wait_gap(old, limit=60):
    """Waits for the next gap of an attachment to end. Returns the attachment and the gap."""
    def look():
        a = bfp.one(FILE)
        return a if a.GapCount > old.GapCount and a.State == 'attached' else None
    a = bf.wait_for(look, limit, 'a gap')
    bf.equal(a.GapCount, old.GapCount + 1, 'number of gaps')
    return a, bfd.Gap(*a.Gaps[-1])


def spans(gap, before, after):
    """A gap is told such that what happened from `before` to `after` is in it."""
    bf.check(gap.begin <= after and before <= gap.latest <= gap.end and gap.begin < gap.end,
             f'{gap} has {before} to {after} in it')


def entries(message_id, since):
    return bfd.messages(since, match=f'MESSAGE_ID={message_id}')


bfd.begin()

with bf.scsi_debug() as scsi:
    sda = '/dev/' + scsi.disks()[0]
    sda1 = bf.partition(sda, 1)
    bf.sfdisk(sda, f'label: gpt\nsize=16MiB, uuid={bfd.uuid(1)}, name=data\n')
    bfd.quiet()

    with bf.case('daemon/foreign/taken-off-and-found-after-an-event'), attached() as old:
        since, generation = time.time(), bfd.generation(sda1)
        with Signals() as signals:
            before = usec()
            kfilter.detach(sda1, 'bftrack')
            after = usec()
            nudge(sda)
            bfd.wait_attached(sda1, other_than=generation)
            lost, restored = signals.wait('FilterLost'), signals.wait('FilterRestored')
        took = time.time() - after / 1e6
        a, gap = wait_gap(old)
        print(f'# back after {took:.1f} s; it was taken off {(before - gap.begin) / 1e6:.3f} s after the gap\'s begin,'
              f' {(gap.latest - after) / 1e6:.3f} s before its latest, {(gap.end - after) / 1e6:.3f} s before its end')
        bf.check(took < 30, f'it is back soon ({took:.1f} s)')
        spans(gap, before, after)
        # it was seen last when it was attached
        bf.check(old.IntactSince - 30e6 < gap.begin, f'{gap} begins not long before it was attached, {old.IntactSince}')
        bf.equal((gap.reason, a.IntactSince, a.AttachCount), ('foreign-detach', gap.end, old.AttachCount + 1),
                 'reason, IntactSince, and attaches')
        bf.equal(lost, [a.path, sda1, 'foreign-detach', gap.begin, gap.latest], 'FilterLost')
        bf.equal(restored, [a.path, sda1, gap.begin, gap.end], 'FilterRestored')
        told, = entries(ID_FOREIGN, since)
        bf.equal((told['BLKFILTER_DEVICE'], told['BLKFILTER_FILTER'], told['BLKFILTER_PARTUUID'], told['PRIORITY']),
                 (bf.name_of(sda1), 'bftrack', bfd.uuid(1), '4'), 'fields of the journal\'s entry')
        bf.equal((len(entries(ID_LOST, since)), len(entries(ID_RESTORED, since))), (0, 1), 'other entries')

    with bf.case('daemon/foreign/catalogue'):
        bf.sh('journalctl --update-catalog')
        shown = bf.sh(f'journalctl --sync; journalctl --boot -x --no-pager MESSAGE_ID={ID_FOREIGN}')
        bf.check(f'Somebody took filter bftrack off {sda1}' in shown and 'Take a full backup' in shown and
                 bfd.uuid(1) in shown, f'the catalogue explains it: {shown}')
        print('# ' + '\n# '.join(shown.splitlines()[:8]))

    with bf.case('daemon/foreign/taken-off-and-put-on-again'), attached() as old:
        since = time.time()
        before = usec()
        kfilter.detach(sda1, 'bftrack')
        kfilter.attach(sda1, 'bftrack')
        after, generation = usec(), bfd.generation(sda1)
        nudge(sda)
        a, gap = wait_gap(old)
        spans(gap, before, after)
        bf.equal((gap.reason, a.IntactSince, a.AttachCount, a.Fingerprint['Generation']['data']),
                 ('foreign-detach', gap.end, old.AttachCount, generation.replace('-', '')), 'what is known')
        # the other's attach is as good as any: it was not made again
        bf.equal((bfd.generation(sda1), len(entries(ID_FOREIGN, since))), (generation, 1), 'attach, and entries')

    with bf.case('daemon/foreign/found-by-the-look-now-and-then'), bfd.configured(CheckSec='2s'), attached() as old:
        for change in (lambda: kfilter.detach(sda1, 'bftrack'),
                       lambda: (kfilter.detach(sda1, 'bftrack'), kfilter.attach(sda1, 'bftrack'))):
            # seen on at least once after it was attached: that is what the gap begins with
            bfd.quiet()
            before = usec()
            change()
            after = usec()
            a, gap = wait_gap(old, 90)
            spans(gap, before, after)
            bf.equal((gap.reason, a.IntactSince), ('foreign-detach', gap.end), 'reason and IntactSince')
            print(f'# found after {(gap.latest - after) / 1e6:.1f} s, seen {(before - gap.begin) / 1e6:.1f} s before')
            old = a

    with bf.case('daemon/foreign/what-tells-no-generation-cannot-be-told-from-another'), attached('bfcount') as old:
        kfilter.detach(sda1, 'bfcount')
        nudge(sda)
        a, gap = wait_gap(old)
        bf.equal(gap.reason, 'foreign-detach', 'reason')
        bf.equal(a.Fingerprint['Generation']['data'], '', 'generation')
        # This is a limit, and told as one: between two looks it was off, and on again.
        kfilter.detach(sda1, 'bfcount')
        kfilter.attach(sda1, 'bfcount')
        since = time.time()
        nudge(sda)
        # that it was looked at shows by the records
        bf.wait_for(lambda: any(f.stat().st_mtime > since for f in os.scandir('/run/blkfilterd/attachments')),
                    what='the daemon to look')
        bfp.still(a, sda1)

    with bf.case('daemon/foreign/anothers-filter-in-its-place'), attached() as old:
        before = usec()
        kfilter.detach(sda1, 'bftrack')
        kfilter.attach(sda1, 'bfcount')
        after = usec()
        nudge(sda)
        a = bfp.wait(FILE, 'conflict', 'bfcount')
        bf.equal((bf.filter_of(sda1), a.IntactSince, a.Gaps[-1][2:]), ('bfcount', 0, [0, 'foreign-detach']),
                 'how it stands')
        kfilter.detach(sda1, 'bfcount')
        a, gap = wait_gap(old)
        spans(gap, before, after)

    with bf.case('daemon/foreign/taken-off-twice-by-hand'), attached() as old:
        # an administrator's word about what is off already: not an error, and the gap tells what happened
        before = usec()
        kfilter.detach(sda1, 'bftrack')
        bf.busctl_call('Detach', 'ssa{sv}', sda1, 'bftrack', 0)
        a = bfp.wait(FILE, 'detached')
        bf.equal((a.GapCount, a.Gaps[-1][3]), (old.GapCount + 1, 'foreign-detach'), 'gaps')
        bf.check(a.Gaps[-1][0] <= before, f'the gap begins when it was last seen: {a.Gaps[-1]}')
        bf.busctl_call('Attach', 'ssa{sv}', sda1, 'bftrack', 0)
        wait_gap(old)

    with bf.case('daemon/foreign/killed-with-the-filter-on'), attached() as old:
        generation = bfd.generation(sda1)
        for _ in range(2):
            bfd.kill()
            bfd.quiet()
            bfp.wait(FILE, 'attached')
            bfp.still(old, sda1, generation)

    for name, meanwhile in (('put-on-again', lambda: kfilter.attach(sda1, 'bftrack')), ('left-off', lambda: None)):
        with bf.case(f'daemon/foreign/taken-off-and-{name}-while-no-daemon-was-there'), attached() as old:
            with bfd.without():
                before = usec()
                kfilter.detach(sda1, 'bftrack')
                meanwhile()
                after = usec()
            a, gap = wait_gap(old)
            print(f'# {gap.reason}, {(gap.end - gap.begin) / 1e6:.3f} s')
            spans(gap, before, after)
            bf.equal((gap.reason, a.IntactSince, a.Fingerprint['Generation']['data']),
                     ('daemon-not-running', gap.end, bfd.generation(sda1).replace('-', '')), 'what is known')

    with bf.case('daemon/foreign/records-that-were-lost-claim-nothing'), attached() as old:
        generation = bfd.generation(sda1)
        bfd.stop()
        bf.sh('rm -r /run/blkfilterd/attachments')
        after = usec()
        bfd.start()
        a = bfp.wait_on(FILE, sda1)[sda1]
        bf.check(a.IntactSince > after, f'intact only since it is known: {a.IntactSince}, {after}')
        bf.equal(bfd.generation(sda1), generation, 'attach')

bfd.end('daemon/foreign')
