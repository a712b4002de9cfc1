# SPDX-License-Identifier: LGPL-2.1-or-later
# vm: interfaces limit=420
"""A filter comes back on the same partition: after re-reads and changes of the table by the usual tools, after the disk
was away, after the daemon was. What was re-attached, and what was not, is told by bftrack's generation, which is
another one after each attach."""

import os
import sys
import time
from contextlib import contextmanager

sys.path.insert(0, os.path.join(os.path.dirname(__file__), '..', 'guest'))
# pylint: disable=wrong-import-position
import bf
import bfd
import kfilter
import rounds

TABLE = f'''label: gpt
start=2048, size=16MiB, uuid={bfd.uuid(1)}, name=data
start=40960, size=8MiB, uuid={bfd.uuid(2)}, name=other
'''


@contextmanager
def attached(disk):
    """A disk with two partitions, and bftrack on the first by a policy: the partition and its attachment's path."""
    bf.sfdisk(disk, TABLE)
    part = bf.partition(disk, 1)
    with bfd.policies():
        bfd.put_policy('20-data.conf', part_uuid=bfd.uuid(1), label='data')
        bfd.wait_attached(part)
        bfd.quiet()
        yield part
    bf.sh(f'wipefs --quiet --all /dev/{bf.name_of(disk)}')
    bf.settle()


def find():
    return bfd.attachment(part_uuid=bfd.uuid(1), label='data')


def rereads(disk, n):
    """n re-reads in a row, each begun when the filter is back from the one before."""
    with attached(disk) as part:
        since = time.time()
        before = bfd.properties(find())
        seen = {bfd.generation(part)}
        n_busy = 0
        for _ in range(n):
            n_busy += bfd.reread(disk)
            seen.add(bfd.wait_attached(part, other_than=None))
            bf.equal(bf.partuuid(part), bfd.uuid(1), f'the UUID of {part}')
        bfd.quiet()
        now = bfd.properties(find())
        bf.equal(len(seen), n + 1, 'different attaches')
        bf.equal(now['AttachCount'] - before['AttachCount'], n, 'attaches that the daemon counted')
        bf.equal(now['GapCount'] - before['GapCount'], n, 'gaps that the daemon counted')
        bf.equal({g[3] for g in now['Gaps'][-min(n, 10):]}, {'rescan'}, 'reasons of the gaps')
        bf.check(all(begin <= latest < end for begin, latest, end, _ in now['Gaps']), 'each gap has an end after its begin')
        times = sorted(bfd.times_back(since))
        print(f'# {bf.name_of(disk)}: {n} re-reads, tried again while busy {n_busy} times; back after'
              f' {times[0]:.3f} to {times[-1]:.3f} s, median {times[len(times) // 2]:.3f} s')


bfd.begin()

with bf.scsi_debug() as scsi:
    sda, = scsi.disks()

    with bf.case('daemon/reattach/re-reads-of-a-scsi-disk'):
        rereads(sda, rounds.setting('REATTACH_ROUNDS', 50))

    with attached(sda) as sda1:
        def consistent(what, change):
            """Makes a change that leaves the partition what it is. The filter must be on it afterwards; a loss is
            told exactly if there was one."""
            generation, old = bfd.generation(sda1), bfd.properties(find())
            change()
            bfd.quiet()
            a = bfd.wait_state('attached', part_uuid=bfd.uuid(1), label='data')
            new = bfd.properties(a)
            bf.equal((a.device, bf.filter_of(sda1), bf.partuuid(sda1)), (sda1, 'bftrack', bfd.uuid(1)), 'what is where')
            if bfd.generation(sda1) == generation:
                bf.equal((new['GapCount'], new['IntactSince']), (old['GapCount'], old['IntactSince']),
                         'gaps and IntactSince of a filter that was never gone')
            else:
                bf.equal(new['GapCount'], old['GapCount'] + new['AttachCount'] - old['AttachCount'], 'number of gaps')
                bf.check(new['IntactSince'] > old['IntactSince'], 'IntactSince is later after a gap')
            print(f'# {what}: {new["AttachCount"] - old["AttachCount"]} times re-attached')
            return generation != bfd.generation(sda1)

        with bf.case('daemon/reattach/sfdisk-adds-and-deletes-another'):
            consistent('sfdisk --append', lambda: bf.sfdisk(sda, 'size=4MiB, name=third\n', '--append'))
            consistent('sfdisk --delete', lambda: bf.sh(f'sfdisk --quiet --delete /dev/{sda} 3'))

        with bf.case('daemon/reattach/parted-makes-and-removes-another'):
            consistent('parted mkpart', lambda: bf.sh(f'parted --script /dev/{sda} mkpart third 40MiB 44MiB'))
            bf.equal(len(bf.partitions(sda)), 3, 'partitions')
            consistent('parted rm', lambda: bf.sh(f'parted --script /dev/{sda} rm 3'))
            bf.equal(len(bf.partitions(sda)), 2, 'partitions')

        with bf.case('daemon/reattach/partx-removes-and-adds-it'):
            def gone():
                bf.sh(f'partx --delete --nr 1 /dev/{sda}')
                a = bfd.wait_state('waiting', part_uuid=bfd.uuid(1), label='data')
                bf.equal(a.device, '', 'the device while it is away')
                bf.equal(a.intact_since, 0, 'IntactSince while it is away')
                bf.equal(bfd.gaps(a)[-1].end, 0, 'end of the gap that lasts')
                bf.sh(f'partx --add --nr 1 /dev/{sda}')
                bfd.wait_attached(sda1)
            bf.check(consistent('partx', gone), 'it was attached anew')

        with bf.case('daemon/reattach/partx-updates-all'):
            # it removes and adds even what has not changed
            consistent('partx --update', lambda: bf.sh(f'partx --update /dev/{sda}'))

        with bf.case('daemon/reattach/sgdisk-renumbers-nothing'):
            consistent('sgdisk', lambda: bf.sh(f'sgdisk --new=3:48MiB:+4MiB /dev/{sda} && sgdisk --delete=3 /dev/{sda}'))

        with bf.case('daemon/reattach/restart-changes-nothing'):
            pid = bf.main_pid()
            bf.check(not consistent('restart', bfd.restart), 'nothing was attached anew')
            bf.check(bf.main_pid() != pid, 'it is another daemon')

        with bf.case('daemon/reattach/kill-changes-nothing'):
            bf.check(not consistent('kill', bfd.kill), 'nothing was attached anew')

        with bf.case('daemon/reattach/stop-detaches-nothing'):
            generation = bfd.generation(sda1)
            bfd.stop()
            bf.equal((bf.filter_of(sda1), bfd.generation(sda1)), ('bftrack', generation), 'filter while it is stopped')
            bfd.start()
            bfd.quiet()
            bf.equal((bf.filter_of(sda1), bfd.generation(sda1)), ('bftrack', generation), 'filter afterwards')

        with bf.case('daemon/reattach/re-read-while-stopped-is-a-gap'):
            old = bfd.properties(find())
            began = time.time() * 1e6
            with bfd.without():
                away = time.time() * 1e6
                bfd.reread(sda)
                bf.settle()
                bf.equal(bf.filter_of(sda1), '', 'filter after a re-read that no daemon saw')
            bfd.wait_attached(sda1)
            bfd.quiet()
            new = bfd.properties(find())
            bf.equal(new['GapCount'], old['GapCount'] + 1, 'number of gaps')
            gap = bfd.gaps(find())[-1]
            bf.check(gap.begin <= time.time() * 1e6 and gap.end > began, f'the gap {gap} spans the re-read')
            bf.check(gap.begin <= away, f'the gap {gap} begins no later than the daemon was away')
            bf.equal(gap.end, new['IntactSince'], 'IntactSince is the end of the gap')
            print(f'# the gap is told as "{gap.reason}", {(gap.end - gap.begin) / 1e6:.3f} s')

with bf.case('daemon/reattach/re-reads-of-a-loop-disk'):
    with kfilter.loop_disk(64 << 20, '--partscan') as loop:
        rereads(loop, 10)

with bf.case('daemon/reattach/re-reads-of-a-virtio-disk'):
    rereads(bf.spare_disk(0), 10)

with bf.case('daemon/reattach/disk-comes-back-under-another-name'):
    with bf.scsi_debug(2) as scsi:
        first, second = scsi.disks()
        hosts = scsi.hosts()
        with attached(first) as part:
            old = bfd.properties(find())
            scsi.remove(first)
            scsi.remove(second)
            a = bfd.wait_state('waiting', part_uuid=bfd.uuid(1), label='data')
            bf.equal((a.device, a.intact_since), ('', 0), 'device and IntactSince while the disk is away')
            scsi.plug_in(hosts[::-1])
            now = bf.wait_for(lambda: bf.name_of(f'disk/by-partuuid/{bfd.uuid(1)}') in bf.partitions(second) and
                              bf.partition(second, 1), what=f'the partition on {second}')
            bfd.wait_attached(now)
            a = bfd.wait_state('attached', part_uuid=bfd.uuid(1), label='data')
            bf.equal((a.device, bf.partuuid(now)), (now, bfd.uuid(1)), 'where it is')
            bf.check(a.device != part, f'it is not {part} as before')
            new = bfd.properties(a)
            bf.equal((new['GapCount'], new['AttachCount']), (old['GapCount'] + 1, old['AttachCount'] + 1),
                     'gaps and attaches')
            bf.equal(bfd.gaps(a)[-1].reason, 'removed', 'reason of the gap')
            bf.equal(bf.filter_of(first), '', f'filter of {first}, which is another disk now')

bfd.end('daemon/reattach')
