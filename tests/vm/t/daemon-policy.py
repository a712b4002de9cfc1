# SPDX-License-Identifier: LGPL-2.1-or-later
# vm: interfaces-long limit=420
"""Which policy gets which devices: keys together, negation, patterns, lists; precedence, masks and drop-ins of the
three folders; and what becomes of an attachment when its policy is edited, broken, removed and restored."""

import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(__file__), '..', 'guest'))
# pylint: disable=wrong-import-position
import bf
import bfd
import bfp

TABLE_ID = '9f3c1d20-6a7b-4e8f-a1b2-c3d4e5f60718'
SWAP_TYPE = '0657fd6d-a4ab-43c4-84e5-0933c84b4f4f'
FILE = '20-data.conf'


def filters(disk):
    """What is on each partition of a disk, in their order."""
    return [bf.filter_of(name) for name in bf.partitions(disk)]


def goes_on(disk, part):
    """A policy is in force: what it attached comes back after a re-read."""
    generation = bfd.generation(part)
    bfd.reread(disk)
    bfd.wait_attached(part, other_than=generation)
    bfd.quiet()


bfd.begin()

with bf.scsi_debug() as scsi:
    sda, = scsi.disks()
    bf.sfdisk(sda, f'label: gpt\nlabel-id: {TABLE_ID}\n'
              f'size=8MiB, uuid={bfd.uuid(1)}, name=data1\n'
              f'size=8MiB, uuid={bfd.uuid(2)}, name=data2\n'
              f'size=4MiB, uuid={bfd.uuid(3)}, name="my swap", type={SWAP_TYPE}\n')
    sda1, sda2, sda3 = (bf.partition(sda, n) for n in (1, 2, 3))
    bfd.quiet()

    with bf.case('daemon/policy/all-keys-of-a-match-must-hold'), bfp.only():
        all_keys = [f'PartUUID={bfd.uuid(1).upper()}', 'PartLabel=data1', f'PartType={bfp.GPT_DATA}', 'PartNumber=1',
                    f'PTUUID={TABLE_ID.upper()}']
        bfp.put(FILE, ' '.join(all_keys))
        a = bfp.wait_on(FILE, sda1)[sda1]
        print(f'# {a.Identity}')
        generation = bfd.generation(sda1)
        # the weakest of them alone is enough to keep it away
        other = [f'PartUUID={bfd.uuid(2)}', *all_keys[1:3], 'PartNumber=2', all_keys[4]]
        bfp.put('10-other.conf', ' '.join(other))
        a = bfp.wait('10-other.conf', 'waiting', 'not present')
        print(f'# {a.StateReason}')
        bf.equal((filters(sda), bfd.generation(sda1)), (['bftrack', '', ''], generation), 'filters and the attach')

    with bf.case('daemon/policy/a-pattern-has-an-attachment-for-each'), bfp.only():
        bfp.put(FILE, 'PartLabel=data*')
        before = bfp.wait_on(FILE, sda1, sda2)
        print(f'# {[a.Identity for a in before.values()]}')
        # one that comes later
        bf.sfdisk(sda, f'size=2MiB, uuid={bfd.uuid(4)}, name=data4\nsize=2MiB, uuid={bfd.uuid(5)}, name=log\n',
                  '--append', '--no-reread')
        found = bfp.wait_on(FILE, sda1, sda2, bf.partition(sda, 4))
        bf.equal({a.path for a in before.values()} - {a.path for a in found.values()}, set(), 'those from before')
        bf.equal(filters(sda), ['bftrack', 'bftrack', '', 'bftrack', ''], 'filters')
        # and goes: the others stay, its own waits for it
        bf.sh(f'sfdisk --quiet --no-reread --delete /dev/{sda} 4 5')
        bfd.quiet()
        bfp.wait_on(FILE, sda1, sda2)
        bf.equal([a.State for a in bfp.of(FILE) if bfd.uuid(4) in a.Identity], ['waiting'], 'state of what went')
    with bf.case('daemon/policy/a-pattern-that-is-gone-leaves-nothing'):
        bf.equal((bfp.every(), filters(sda)), ([], ['', '', '']), 'attachments and filters')

    with bf.case('daemon/policy/not'), bfp.only():
        bfp.put(FILE, 'PartLabel=data* !*2')
        bfp.wait_on(FILE, sda1)
        bfp.put(FILE, f'PTUUID={TABLE_ID} PartType=!{SWAP_TYPE} PartNumber=!1')
        bfp.wait_on(FILE, sda2)
        bfp.put('30-rest.conf', 'PartLabel="my swap"')
        bfp.wait_on('30-rest.conf', sda3)
        bf.equal(filters(sda)[1:], ['bftrack', 'bftrack'], 'filters')

    with bf.case('daemon/policy/a-list-has-an-attachment-for-each-value'), bfp.only():
        bfp.put(FILE, f'PartUUID={bfd.uuid(2)} {bfd.uuid(3)} {bfd.uuid(77)}')
        bfp.wait_on(FILE, sda2, sda3)
        bf.equal({a.Identity: a.State for a in bfp.of(FILE)},
                 {f'PARTUUID={bfd.uuid(2)}': 'attached', f'PARTUUID={bfd.uuid(3)}': 'attached',
                  f'PARTUUID={bfd.uuid(77)}': 'waiting'}, 'attachments')

    with bf.case('daemon/policy/the-first-that-matches-wins'), bfp.only():
        bfp.put('10-first.conf', 'PartLabel=data1', name='bfcount')
        bfp.put(FILE, f'PartUUID={bfd.uuid(1)}')
        bfp.wait_on('10-first.conf', sda1)
        a = bfp.wait(FILE, 'conflict', str(bfp.ETC / '10-first.conf'), 'bfcount')
        print(f'# {a.StateReason}')
        bf.equal(bf.filter_of(sda1), 'bfcount', 'filter')
        # what the first has attached stays when its policy goes, and is not taken from it either
        bfp.drop('10-first.conf')
        bfp.wait(FILE, 'conflict', 'bfcount')
        bf.equal(bf.filter_of(sda1), 'bfcount', 'filter')
        bf.busctl_call('Detach', 'ssa{sv}', sda1, 'bfcount', 0)
        bfp.wait_on(FILE, sda1)

    with bf.case('daemon/policy/folders-and-masks'), bfp.only():
        bfp.put(FILE, f'PartUUID={bfd.uuid(1)}', folder=bfp.LIB)
        bfp.put('30-lib.conf', f'PartUUID={bfd.uuid(3)}', folder=bfp.LIB)
        bfp.wait_on(FILE, sda1)
        bfp.put(FILE, f'PartUUID={bfd.uuid(2)}', folder=bfp.RUN)
        bfp.wait_on(FILE, sda2)
        # what the packages' policy attached stays where it is, but nobody cares for it any more
        bf.equal({a.State for a in bfp.every() if a.Device == sda1}, {'orphaned'}, 'state of what the first attached')
        bf.busctl_call('Detach', 'ssa{sv}', sda1, 'bftrack', 0)
        bfp.wait_on('30-lib.conf', sda3)
        bfp.put(FILE, f'PartUUID={bfd.uuid(1)}')
        bf.equal(bfp.wait_on(FILE, sda1)[sda1].Policy, str(bfp.ETC / FILE), 'the file')
        (bfp.ETC / '30-lib.conf').symlink_to('/dev/null')
        bf.equal(bfd.reload(), [], 'errors')
        bf.equal([a.State for a in bfp.every() if a.Device == sda3], ['orphaned'], 'state of what a masked policy attached')

    with bf.case('daemon/policy/drop-ins'), bfp.only():
        bfp.put(FILE, f'PartUUID={bfd.uuid(1)}', folder=bfp.LIB)
        bfp.wait_on(FILE, sda1)
        a, generation = bfp.one(FILE), bfd.generation(sda1)
        # one that changes how, not what
        bf.equal(bfp.put_dropin(FILE, '10-how.conf', '[Attach]\nRetrySec=5\n', bfp.RUN)[1], [], 'errors')
        bfp.still(a, sda1, generation)
        # one that changes what; of two that say it the later name counts
        bf.equal(bfp.put_dropin(FILE, '50-what.conf', f'[Match]\nPartUUID={bfd.uuid(3)}\n')[1], [], 'errors')
        bf.equal(bfp.put_dropin(FILE, '60-what.conf', f'[Match]\nPartUUID={bfd.uuid(2)}\n', bfp.RUN)[1], [], 'errors')
        bfp.wait_on(FILE, sda2)
        bf.equal([a.Policy for a in bfp.of(FILE) if a.Device == sda2], [str(bfp.LIB / FILE)], 'the policy')
        # one that is wrong is named itself, and the last good version stays
        path, errors = bfp.put_dropin(FILE, '70-wrong.conf', '[Attach]\n\nRetrySecs=9\n', bfp.RUN)
        bf.check(len(errors) == 1 and errors[0][1] == 3 and 'RetrySec=' in errors[0][2], f'the error is told: {errors}')
        print(f'# {path}:{errors[0][1]}: {errors[0][2]}')
        goes_on(sda, sda2)

    with bf.case('daemon/policy/a-broken-file-leaves-its-last-good-version'), bfp.only():
        path = bfp.put(FILE, 'PartLabel=data?', 'OnChange=refuse RetrySec=3')
        found = bfp.wait_on(FILE, sda1, sda2)
        generation = bfd.generation(sda1)
        bfd.write_policy(FILE, bfp.text('PartLable=data1', 'RetrySec=3'))
        errors = bfd.reload()
        bf.equal([e[:2] for e in errors], [[str(path), 2]], 'file and line of the error')
        bf.check('PartLable=' in errors[0][2] and 'PartLabel=' in errors[0][2], f'the nearest key is named: {errors}')
        for change in (bfd.reload, bfd.restart, bfd.kill):
            change()
            bfd.quiet()
            bf.equal(bf.busctl_get('ConfigErrors'), errors, 'ConfigErrors')
            bfp.wait_on(FILE, sda1, sda2)
            bfp.still(found[sda1], sda1, generation)
        # it is not only remembered, it works
        goes_on(sda, sda1)
        bfp.wait_on(FILE, sda1, sda2)
        bf.sfdisk(sda, f'4: size=2MiB, uuid={bfd.uuid(4)}, name=data4\n', '--append', '--no-reread')
        bfp.wait_on(FILE, sda1, sda2, bf.partition(sda, 4))
        bf.sh(f'sfdisk --quiet --no-reread --delete /dev/{sda} 4')
        # and it ends with the file
        bfp.drop(FILE)
        bf.equal((bf.busctl_get('ConfigErrors'), {a.State for a in bfp.of(FILE)}), ([], {'orphaned'}),
                 'errors and states without the file')

    with bf.case('daemon/policy/edited-and-the-same-device-keeps-its-filter'), bfp.only():
        bfp.put(FILE, f'PartUUID={bfd.uuid(1)}')
        bfp.wait_on(FILE, sda1)
        goes_on(sda, sda1)
        old, generation = bfp.one(FILE), bfd.generation(sda1)
        for match in (f'PartUUID={bfd.uuid(1)} PartLabel=data1', 'PartLabel=data1', 'PartLabel=data[12] PartNumber=1',
                      f'PTUUID={TABLE_ID} PartNumber=1', f'PartUUID={bfd.uuid(1)}'):
            bfp.put(FILE, match)
            a = bfp.wait_on(FILE, sda1)[sda1]
            bf.equal((bfd.generation(sda1), a.IntactSince, a.GapCount, a.Gaps, a.AttachCount),
                     (generation, old.IntactSince, old.GapCount, old.Gaps, old.AttachCount), f'what is known with {match}')
            bf.equal(len(bfp.every()), 1, f'attachments with {match}')
        goes_on(sda, sda1)

    with bf.case('daemon/policy/removed-and-restored'), bfp.only():
        bfp.put(FILE, f'PartUUID={bfd.uuid(1)}')
        old = bfp.wait_on(FILE, sda1)[sda1]
        generation = bfd.generation(sda1)
        bfp.drop(FILE)
        for change in (bfd.reload, bfd.kill):
            change()
            bfd.quiet()
            a, = bfp.every()
            bf.equal((a.State, a.IntactSince), ('orphaned', old.IntactSince), 'state without a policy')
        print(f'# {a.StateReason}')
        bfp.put(FILE, f'PartUUID={bfd.uuid(1)}')
        bfp.wait_on(FILE, sda1)
        bfp.still(old, sda1, generation)
        # an orphan is not followed
        bfp.drop(FILE)
        bfd.reread(sda)
        bfd.quiet()
        bf.wait_for(lambda: not bfp.every(), what='the orphan to be forgotten')
        bf.equal(filters(sda), ['', '', ''], 'filters')

    with bf.case('daemon/policy/a-hold-outlives-edits-and-restarts'), bfp.only():
        bfp.put(FILE, f'PartUUID={bfd.uuid(1)}')
        bfp.wait_on(FILE, sda1)
        bf.busctl_call('Detach', 'ssa{sv}', sda1, 'bftrack', 0)
        bfp.wait(FILE, 'detached')
        with bfd.Watch(sda1) as watch:
            for match, change in ((f'PartUUID={bfd.uuid(1)}', bfd.restart),
                                  (f'PartUUID={bfd.uuid(1)} PartLabel=data1', bfd.kill),
                                  ('PartLabel=data1*', lambda: bfd.reread(sda))):
                bfp.put(FILE, match)
                change()
                bfd.quiet()
                bf.equal({a.State for a in bfp.every()}, {'detached'}, f'states with {match}')
        watch.none_came(sda1)
        for a in bfp.every():
            print(f'# {a.Identity}: {a.StateReason}')
        bf.busctl_call('Attach', 'ssa{sv}', sda1, 'bftrack', 0)
        bfp.wait_on(FILE, sda1)
        bf.wait_for(lambda: len(bfp.every()) == 1, what='one attachment to be left')
        goes_on(sda, sda1)

bfd.end('daemon/policy')
