# SPDX-License-Identifier: LGPL-2.1-or-later
# vm: interfaces-long limit=300
"""Policies that are wrong: each gets a message that names file, line and what was expected, on the bus and in the
journal; the other policies work on, the last good version of the wrong one too, and the daemon lives."""

import os
import sys
import time
from pathlib import Path

sys.path.insert(0, os.path.join(os.path.dirname(__file__), '..', 'guest'))
# pylint: disable=wrong-import-position
import bf
import bfd
import kfilter

FOLDER = bfd.POLICY_FOLDER
RUN, LIB = Path('/run/blkfilter.d'), Path('/usr/lib/blkfilter.d')
GOOD = bfd.policy_text(part_uuid=bfd.uuid(2))

# name: content, line of the error (0: none), words of the message
WRONG = {
    'unknown-key': (GOOD.replace('PartUUID', 'PartUID'), 2, ('PartUID=', 'PartUUID=')),
    'unknown-section': (GOOD + '[Atach]\nRetrySec=1\n', 5, ('[Atach]', '[Attach]')),
    'wrong-uuid': (GOOD.replace(bfd.uuid(2), 'not-a-uuid'), 2, ('PartUUID=not-a-uuid', 'expected', 'lsblk')),
    'duplicate-key': (GOOD.replace('[Filter]', f'partuuid={bfd.uuid(3)}\n[Filter]'), 3, ('partuuid', '2')),
    'long-line': (GOOD + '# ' + 'x' * 1500 + '\n', 5, ('1000',)),
    'key-before-section': ('Name=bftrack\n' + GOOD, 1, ('section',)),
    'no-equals-sign': (GOOD.replace('Name=bftrack', 'Name bftrack'), 4, ('Key=value',)),
    'wrong-time': (GOOD + '[Attach]\nRetrySec=soon\n', 6, ('RetrySec=soon', 'expected')),
    'wrong-filter-name': (GOOD.replace('bftrack', 'bf/track'), 4, ('Name=bf/track', 'expected')),
    'control-byte': (GOOD.replace('[Filter]', '\x01[Filter]'), 3, ('0x01',)),
    'not-utf-8': (GOOD.encode() + b'# \xff\n', 5, ('UTF-8',)),
    'cut-in-a-line': (GOOD[:len(GOOD) // 2], 2, ()),
    'cut-between-lines': (GOOD.partition('[Filter]')[0], None, ('[Filter]', 'Name=')),
    'empty': ('', 0, ('empty',)),
    'too-large': ('# comment\n' * 7000 + GOOD, 0, ('65536',)),
}


def errors_of(path):
    """The error of a file as Reload, the property and the journal tell it: (line, message)."""
    since = time.time()
    returned = [(line, message) for file, line, message in bfd.reload() if file == str(path)]
    kept = [(line, message) for file, line, message in bf.busctl_get('ConfigErrors') if file == str(path)]
    bf.equal(kept, returned, 'ConfigErrors, and what Reload returned')
    bf.equal(len(returned), 1, f'errors of {path} ({returned})')
    line, message = returned[0]
    place = f'{path}:{line}: ' if line else f'{path}: '
    said = bf.journal(since=since)
    bf.check(place + message in said, f'the journal has "{place}{message}": {said}')
    return line, message


def others_work(disk, part):
    """The good policy is in force: its filter comes back after a re-read."""
    generation = bfd.generation(part)
    bf.check(generation, f'bftrack is on {part}')
    bfd.reread(disk)
    bfd.wait_attached(part, other_than=generation)
    bf.equal(bfd.unit_property('ActiveState'), 'active', 'the daemon')


def remove(path):
    if path.is_dir() and not path.is_symlink():
        path.rmdir()
    else:
        path.unlink(missing_ok=True)


bfd.begin()

with bf.scsi_debug() as scsi, bfd.policies():
    sda, = scsi.disks()
    bf.sfdisk(sda, f'label: gpt\nsize=16MiB, uuid={bfd.uuid(1)}, name=data\nsize=8MiB, uuid={bfd.uuid(2)}, name=other\n')
    sda1, sda2 = bf.partition(sda, 1), bf.partition(sda, 2)
    bfd.put_policy('20-good.conf', part_uuid=bfd.uuid(1))
    bfd.wait_attached(sda1)
    path = FOLDER / '10-wrong.conf'

    for name, (text, line, words) in WRONG.items():
        with bf.case(f'daemon/bad-input/{name}'):
            bfd.write_policy(path.name, text)
            found = errors_of(path)
            print(f'# {path}:{found[0]}: {found[1]}')
            bf.check(line in (None, found[0]), f'the error is in line {line}: {found}')
            for word in words:
                bf.check(word in found[1], f'"{word}" is in the message: {found[1]}')
            bf.equal((bf.filter_of(sda1), bf.filter_of(sda2)), ('bftrack', ''), 'filters')
    remove(path)

    # what is no file, or nobody's but root's to decide
    def link():
        target = FOLDER / 'target'
        target.write_text(GOOD)
        path.symlink_to(target)

    def world_writable():
        path.write_text(GOOD)
        path.chmod(0o666)

    def of_another_user():
        path.write_text(GOOD)
        os.chown(path, 1000, 1000)

    for name, make, words in (('directory', path.mkdir, ('directory', 'regular file')),
                              ('fifo', lambda: os.mkfifo(path), ('FIFO', 'regular file')),
                              ('symbolic-link', link, ('symbolic link', 'copy')),
                              ('world-writable', world_writable, ('write', 'chmod')),
                              ('of-another-user', of_another_user, ('root', 'chown'))):
        with bf.case(f'daemon/bad-input/{name}'):
            try:
                make()
                found = errors_of(path)
                print(f'# {path}: {found[1]}')
                bf.equal(found[0], 0, 'line')
                for word in words:
                    bf.check(word in found[1], f'"{word}" is in the message: {found[1]}')
                bf.equal((bf.filter_of(sda1), bf.filter_of(sda2)), ('bftrack', ''), 'filters')
                others_work(sda, sda1)
            finally:
                remove(path)
                (FOLDER / 'target').unlink(missing_ok=True)

    with bf.case('daemon/bad-input/last-good-version-stays'):
        bfd.put_policy(path.name, part_uuid=bfd.uuid(2))
        bfd.wait_attached(sda2)
        bfd.write_policy(path.name, WRONG['unknown-key'][0])
        errors_of(path)
        bf.equal(bfd.wait_state('attached', part_uuid=bfd.uuid(2)).device, sda2, 'device')
        # it is in force, not merely left where it was
        generation = bfd.generation(sda2)
        bfd.reread(sda)
        bfd.wait_attached(sda2, other_than=generation)
        # the other way to reload
        bfd.write_policy(path.name, GOOD)
        bf.sh(f'systemctl reload {bf.UNIT}')
        bf.wait_for(lambda: bf.busctl_get('ConfigErrors') == [], what='the errors to be gone')
        bf.equal(bf.filter_of(sda2), 'bftrack', 'filter')

    with bf.case('daemon/bad-input/wrong-at-the-start'):
        bfd.write_policy(path.name, WRONG['wrong-uuid'][0])
        bfd.restart()
        bf.equal([(f, n) for f, n, _ in bf.busctl_get('ConfigErrors')], [(str(path), 2)], 'ConfigErrors after a restart')
        # what it was before is still in force
        bfd.quiet()
        generation = bfd.generation(sda2)
        bf.check(generation, 'its filter was left in place')
        others_work(sda, sda1)
        bfd.wait_attached(sda2, other_than=generation)
        # a file that is gone is another thing
        remove(path)
        bfd.reload()
        bfd.wait_state('orphaned', part_uuid=bfd.uuid(2))
        bf.busctl_call('Detach', 'ssa{sv}', sda2, 'bftrack', 0)

    with bf.case('daemon/bad-input/filter-that-is-not-registered'):
        what = {'part_uuid': bfd.uuid(2), 'filter_name': 'bfcount'}
        bf.sh('rmmod bfcount')
        since = time.time()
        bfd.put_policy(path.name, **what)
        a = bfd.wait_state('failed', **what)
        bf.check('bfcount' in a.reason and 'modprobe bfcount' in a.reason, f'what to do: {a.reason}')
        bf.check(a.reason in bf.journal(since=since), 'the journal says it')
        print(f'# {a.reason}')
        others_work(sda, sda1)
        bf.sh('modprobe bfcount')
        bf.wait_for(lambda: bf.filter_of(sda2) == 'bfcount', what=f'bfcount on {sda2} by itself')
        bfd.wait_state('attached', **what)

    with bf.case('daemon/bad-input/filter-that-fails-is-tried-again'):
        remove(path)
        bfd.reload()
        bf.busctl_call('Detach', 'ssa{sv}', sda2, 'bfcount', 0)
        what = {'part_uuid': bfd.uuid(2), 'filter_name': 'bffault'}
        with kfilter.fault(attach_errno=5):
            bfd.put_policy(path.name, retry='200ms', **what)
            a = bfd.wait_state('failed', **what)
            bf.check('Input/output error' in a.reason, f'the error is told: {a.reason}')
            others_work(sda, sda1)
        bf.wait_for(lambda: bf.filter_of(sda2) == 'bffault', what=f'bffault on {sda2} by itself')
        bfd.wait_state('attached', **what)
        remove(path)
        bfd.reload()
        bf.busctl_call('Detach', 'ssa{sv}', sda2, 'bffault', 0)

    with bf.case('daemon/bad-input/two-policies-for-one-partition'):
        # the first by name wins, the other one says so
        bfd.put_policy('30-late.conf', part_uuid=bfd.uuid(1), filter_name='bfcount')
        a = bfd.wait_state('conflict', part_uuid=bfd.uuid(1), filter_name='bfcount')
        bf.check('20-good.conf' in a.reason or 'bftrack' in a.reason, f'the other one is named: {a.reason}')
        others_work(sda, sda1)
        remove(FOLDER / '30-late.conf')
        bfd.reload()

    with bf.case('daemon/bad-input/precedence-and-mask'):
        try:
            bfd.put_policy('50-x.conf', LIB, part_uuid=bfd.uuid(2))
            a = bfd.wait_state('attached', part_uuid=bfd.uuid(2))
            bf.equal(bfd.properties(a)['Policy'], str(LIB / '50-x.conf'), 'policy')
            generation = bfd.generation(sda2)
            # the same name further up replaces it; the filter that both want stays where it is
            bfd.put_policy('50-x.conf', RUN, part_uuid=bfd.uuid(2), label='other')
            a = bfd.wait_state('attached', part_uuid=bfd.uuid(2), label='other')
            bf.equal(bfd.properties(a)['Policy'], str(RUN / '50-x.conf'), 'policy')
            bf.equal(bfd.generation(sda2), generation, 'attach')
            # one that is wrong does not bring the lower one back
            bfd.write_policy('50-x.conf', 'nonsense\n')
            errors_of(FOLDER / '50-x.conf')
            (FOLDER / '50-x.conf').unlink()
            # a link to /dev/null masks
            (FOLDER / '50-x.conf').symlink_to('/dev/null')
            bf.equal(bfd.reload(), [], 'errors')
            bfd.wait_state('orphaned', part_uuid=bfd.uuid(2), label='other')
            bf.busctl_call('Detach', 'ssa{sv}', sda2, 'bftrack', 0)
            bf.equal(bf.filter_of(sda2), '', 'filter')
            bf.equal([a.identity for a in bfd.attachments()], [f'PARTUUID={bfd.uuid(1)}'], 'attachments')
        finally:
            for folder in (LIB, RUN, FOLDER):
                remove(folder / '50-x.conf')

    with bf.case('daemon/bad-input/others-were-never-touched'):
        others_work(sda, sda1)
        bfd.quiet()
        bf.equal(bf.busctl_get('ConfigErrors'), [], 'ConfigErrors at the end')

bfd.end('daemon/bad-input')
