# SPDX-License-Identifier: LGPL-2.1-or-later
# vm: interfaces-long limit=420
"""A filter never comes onto another partition than the one that was meant, and follows that one wherever it goes.
The devices are watched all the while, and the module's count of users and the daemon's count of attaches are
compared: a filter that was on the wrong partition for a moment would show. sfdisk runs with --no-reread: else it
re-reads the old table once more before it writes the new one, and the filter rightly comes back in between."""

import os
import sys
from contextlib import contextmanager

sys.path.insert(0, os.path.join(os.path.dirname(__file__), '..', 'guest'))
# pylint: disable=wrong-import-position
import bf
import bfd
import kfilter

OTHER = bfd.uuid(99)


def table(part_uuid, name='data', number=1, start=2048):
    return (f'label: gpt\n{number}: start={start}, size=16MiB, uuid={part_uuid}, name={name}\n'
            f'{number + 1}: start=45056, size=8MiB, uuid={bfd.uuid(50 + number)}, name=rest\n')


@contextmanager
def attached(disk, **what):
    """bftrack on the first partition of a disk, by a policy with the given keys: the partition."""
    rewrite(disk, table(bfd.uuid(1)))
    part = bf.partition(disk, 1)
    with bfd.policies():
        bfd.put_policy('20-data.conf', **what)
        bfd.wait_attached(part)
        bfd.quiet()
        yield part


def nothing_attached(state, **what):
    """The daemon has seen it all, no partition has bftrack, and that is its state. Returns the attachment."""
    bfd.quiet()
    a = bfd.wait_state(state, **what)
    bf.equal(a.device, '', 'device of the attachment')
    bf.equal(kfilter.refcount('bftrack'), 0, 'devices with bftrack on them')
    return a


def rewrite(disk, script):
    bf.sfdisk(disk, script, '--no-reread')


def attach_count(**what):
    return bfd.properties(bfd.attachment(**what))['AttachCount']


bfd.begin()

with bf.scsi_debug() as scsi:
    sda, = scsi.disks()
    by_uuid = {'part_uuid': bfd.uuid(1)}
    by_label = {'label': 'data'}
    by_both = {'part_uuid': bfd.uuid(1), 'label': 'data'}

    with bf.case('daemon/identity/another-partition-at-the-same-place'):
        with attached(sda, **by_uuid) as sda1:
            for _ in range(5):
                count = attach_count(**by_uuid)
                with bfd.Watch(sda1) as watch:
                    rewrite(sda, table(OTHER))
                    bf.equal(bf.partuuid(sda1), OTHER, f'the UUID of {sda1}')
                    nothing_attached('waiting', **by_uuid)
                    # and a re-read of the changed table gives it no chance either
                    bfd.reread(sda)
                    a = nothing_attached('waiting', **by_uuid)
                watch.none_came(sda1)
                bf.equal(attach_count(**by_uuid), count, 'attaches while another partition was there')
                rewrite(sda, table(bfd.uuid(1)))
                bfd.wait_attached(sda1)
                bfd.quiet()
        print(f'# {a.reason}')

    with bf.case('daemon/identity/moved-partition-is-followed'):
        with attached(sda, **by_both) as sda1:
            old = bfd.properties(bfd.attachment(**by_both))
            rewrite(sda, table(bfd.uuid(1), number=3, start=6144))
            sda3 = bf.partition(sda, 3)
            bfd.wait_attached(sda3)
            bfd.quiet()
            a = bfd.wait_state('attached', **by_both)
            new = bfd.properties(a)
            bf.equal((a.device, bf.partuuid(sda3)), (sda3, bfd.uuid(1)), 'where it is')
            bf.equal(kfilter.refcount('bftrack'), 1, 'devices with bftrack on them')
            bf.equal(new['Fingerprint']['PartNumber']['data'], 3, 'number in the fingerprint')
            bf.equal(new['Fingerprint']['StartSectors']['data'], 6144, 'start in the fingerprint')
            bf.check(new['GapCount'] > old['GapCount'], 'the way was a gap')
            # the first number is another partition's now
            bf.sfdisk(sda, f'1: start=40960, size=2MiB, uuid={OTHER}, name=data\n', '--append', '--no-reread')
            bfd.quiet()
            bf.equal((bf.filter_of(sda1), bf.filter_of(sda3)), ('', 'bftrack'), 'filters')

    with bf.case('daemon/identity/only-the-label'):
        with attached(sda, **by_label) as sda1:
            with bfd.Watch(sda1) as watch:
                bf.sh(f'sfdisk --quiet --no-reread --part-label /dev/{sda} 1 changed')
                nothing_attached('waiting', **by_label)
                bfd.reread(sda)
                nothing_attached('waiting', **by_label)
            watch.none_came(sda1)
            bf.sh(f'sfdisk --quiet --no-reread --part-label /dev/{sda} 1 data')
            bfd.wait_attached(sda1)

    with bf.case('daemon/identity/both-must-hold'):
        with attached(sda, **by_both) as sda1:
            for option, wrong, right in (('label', 'changed', 'data'), ('uuid', OTHER, bfd.uuid(1))):
                bfd.quiet()
                with bfd.Watch(sda1) as watch:
                    bf.sh(f'sfdisk --quiet --no-reread --part-{option} /dev/{sda} 1 {wrong}')
                    nothing_attached('waiting', **by_both)
                    bfd.reread(sda)
                    nothing_attached('waiting', **by_both)
                watch.none_came(sda1)
                bf.sh(f'sfdisk --quiet --no-reread --part-{option} /dev/{sda} 1 {right}')
                bfd.wait_attached(sda1)

    with bf.case('daemon/identity/two-of-one-label-in-one-table'):
        with attached(sda, **by_label) as sda1:
            bf.sh(f'sfdisk --quiet --no-reread --part-label /dev/{sda} 2 data')
            a = nothing_attached('ambiguous', **by_label)
            bf.check(f'/dev/{sda}1' in a.reason and f'/dev/{sda}2' in a.reason, f'both are named: {a.reason}')
            bf.sh(f'sfdisk --quiet --no-reread --part-label /dev/{sda} 2 rest')
            bfd.wait_attached(sda1)

    with bf.case('daemon/identity/uuid-of-an-mbr'):
        bf.sfdisk(sda, 'label: dos\nlabel-id: 0x1234abcd\nsize=16MiB\nsize=8MiB\n', '--wipe=always')
        sda1 = bf.partition(sda, 1)
        with bfd.policies():
            bfd.put_policy('20-data.conf', part_uuid='1234ABCD-01')
            generation = bfd.wait_attached(sda1)
            bfd.quiet()
            bfd.reread(sda)
            bfd.wait_attached(sda1, other_than=generation)
            bfd.quiet()
            bf.equal(bfd.wait_state('attached', part_uuid='1234abcd-01').device, sda1, 'device')
            with bfd.Watch(sda1) as watch:
                bf.sh(f'sfdisk --quiet --no-reread --disk-id /dev/{sda} 0x99999999')
                nothing_attached('waiting', part_uuid='1234abcd-01')
            watch.none_came(sda1)

with bf.scsi_debug(2) as scsi:
    one, two = scsi.disks()
    one1, two1 = bf.partition(one, 1), bf.partition(two, 1)
    mine = {'part_uuid': bfd.uuid(1)}

    def both_named():
        found = nothing_attached('ambiguous', **mine)
        bf.check(one1 in found.reason and two1 in found.reason, f'both are named: {found.reason}')
        return found

    with bf.case('daemon/identity/two-disks-from-the-start'), bfd.policies():
        for disk in (one, two):
            rewrite(disk, table(bfd.uuid(1)))
        with bfd.Watch(one1, two1) as watch:
            bfd.put_policy('20-data.conf', **mine)
            print(f'# {both_named().reason}')
            bfd.restart()
            both_named()
            for disk in (one, two):
                bfd.reread(disk)
                both_named()
        watch.none_came(one1)
        watch.none_came(two1)
        bf.equal(attach_count(**mine), 0, 'attaches')

    with bf.case('daemon/identity/one-of-two-goes'), bfd.policies():
        bfd.put_policy('20-data.conf', **mine)
        both_named()
        scsi.remove(one)
        bfd.wait_attached(two1)
        bf.equal(bfd.wait_state('attached', **mine).device, two1, 'device')
        # and the other one comes back beside it
        generation = bfd.generation(two1)
        scsi.rescan(2)
        bfd.quiet()
        bf.equal((bf.filter_of(one1), bfd.generation(two1)), ('', generation), 'filters')
        bf.check(one1 in bfd.wait_state('attached', **mine).reason, 'the clone is named')

    with bf.case('daemon/identity/clone-beside-an-attached-one'), bfd.policies():
        rewrite(two, table(OTHER))
        bfd.put_policy('20-data.conf', **mine)
        generation = bfd.wait_attached(one1)
        bfd.quiet()
        with bfd.Watch(one1, two1) as watch:
            rewrite(two, table(bfd.uuid(1)))
            bfd.quiet()
            a = bfd.wait_state('attached', **mine)
            bf.check(two1 in a.reason and 'clone' in a.reason, f'the clone is named: {a.reason}')
            bf.equal((bfd.generation(one1), bf.filter_of(two1)), (generation, ''), 'filters')
            print(f'# {a.reason}')
            # the clone's re-read brings it nothing and costs the other nothing
            bfd.reread(two)
            bfd.quiet()
            bf.equal((bfd.generation(one1), bf.filter_of(two1)), (generation, ''), 'filters after the clone\'s re-read')
            # its own re-read leaves both without: it cannot be told any more which one was meant
            bfd.reread(one)
            both_named()
            bfd.reread(two)
            both_named()
        watch.none_came(one1)
        watch.none_came(two1)
        bf.equal(attach_count(**mine), 1, 'attaches')
        # a new identity for the clone, and all is well
        bf.sh(f'sfdisk --quiet --no-reread --part-uuid /dev/{two} 1 {OTHER}')
        bfd.wait_attached(one1)
        bfd.quiet()
        bf.equal((bf.filter_of(one1), bf.filter_of(two1)), ('bftrack', ''), 'filters')

with bf.scsi_debug(dev_size_mb=32) as scsi, bfd.policies():
    sda, = scsi.disks()
    sda1 = bf.partition(sda, 1)

    with bf.case('daemon/identity/clone-on-a-loop-disk-goes'):
        # a copy of the disk in a file; its loop device stays when it is detached, with another medium in it: none
        rewrite(sda, table(bfd.uuid(1)))
        bf.sh(f'dd if=/dev/{sda} of=/var/tmp/clone bs=1M status=none')
        bfd.put_policy('20-data.conf', **mine)
        bfd.wait_attached(sda1)
        bfd.quiet()
        loop = bf.sh('losetup --find --show --partscan /var/tmp/clone').strip()
        try:
            bfd.quiet()
            bf.check(bf.partition(loop, 1) in bfd.wait_state('attached', **mine).reason, 'the clone is named')
            bfd.reread(sda)
            nothing_attached('ambiguous', **mine)
        finally:
            bf.sh(f'losetup --detach {loop}; rm /var/tmp/clone')
        bfd.wait_attached(sda1)
        bfd.quiet()
        bf.equal(bfd.wait_state('attached', **mine).device, sda1, 'device')

bfd.end('daemon/identity')
