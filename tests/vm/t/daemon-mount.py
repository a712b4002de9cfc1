# SPDX-License-Identifier: LGPL-2.1-or-later
# vm: interfaces-long reboots stops-units limit=400
"""A file system in fstab, on a partition that a policy has a filter for, is mounted only after the filter is on: on a
disk that is there at boot, and on one that comes later. And when the daemon hangs, or the filter does not come, the
mount is not kept waiting for long, and the journal says so: there the filter's record misses the first write."""

import os
import sys
import time
from pathlib import Path

sys.path.insert(0, os.path.join(os.path.dirname(__file__), '..', 'guest'))
# pylint: disable=wrong-import-position
import bf
import bfd
import mounts
import stall

GROUP = 'daemon/mount'
NOT_WAITED = 'c1a35b0e6f2f4e0f9e55a36b9d2f7a0c'

mounts.boots(GROUP, mounts.setting('MOUNT_BOOTS', 3))


def misses(scsi):
    """Whether the mount's first write is not in the filter's record, which is what prove() is there to find."""
    scsi.rescan(1)
    mounts.wait_mounted('/mnt/hot')
    try:
        mounts.prove('/mnt/hot')
    except bf.Failure as error:
        print(f'# {error}')
        return True
    return False


def unplug(scsi):
    bf.sh(f'systemctl stop {mounts.unit_of("/mnt/hot")}')
    scsi.remove(scsi.disks()[0])
    bf.settle()


def told(since, name=None):
    """The journal's warnings that a device was let go, from that program."""
    bf.sh('journalctl --sync')
    found = bf.sh(f'journalctl --boot --quiet --no-pager --output=cat --since=@{since:.6f} MESSAGE_ID={NOT_WAITED}'
                  + (f' SYSLOG_IDENTIFIER={name}' if name else ''))
    return found.splitlines()


with bf.case(f'{GROUP}/units'):
    for unit in (bf.UNIT, 'blkfilterd-settled.service'):
        bf.equal(bf.sh(f'systemctl is-active {unit}', ok=(0, 3)).strip(), 'active', unit)
        bf.equal(bf.sh(f'systemd-analyze verify {unit} 2>&1').strip(), '', f'what systemd-analyze says of {unit}')
    after = bfd.unit_property('After').split()
    bf.check(not any(u.endswith('.mount') and u != '-.mount' or u in ('basic.target', 'dbus.socket', 'sysinit.target')
                     for u in after), f'the daemon is ordered after no mount, no bus: {after}')
    print(f'# ordered after {after}')

with bf.scsi_debug() as scsi:
    with bf.case(f'{GROUP}/make-the-disk-that-comes-later'):
        mounts.make_hot(scsi)

    mounts.hotplugs(GROUP, mounts.setting('MOUNT_HOTPLUGS', 3), scsi)

    with bf.case(f'{GROUP}/slow-daemon-is-waited-for'):
        # it is stopped until an event of udev's waits for it, or, if none does, the mount is made
        pid = bf.main_pid()
        bf.sh(f'kill -STOP {pid}')
        try:
            for host in scsi.hosts():
                Path(f'/sys/class/scsi_host/host{host}/scan').write_text('- - -')
            bf.wait_for(lambda: bf.sh('pgrep -x blkfilter-wait', ok=(0, 1)) or mounts.is_mounted('/mnt/hot'),
                        what='an event of udev to wait')
        finally:
            bf.sh(f'kill -CONT {pid}')
        try:
            mounts.prove('/mnt/hot')
        finally:
            unplug(scsi)

    with bf.case(f'{GROUP}/stopped-daemon-holds-nothing-back'):
        bfd.stop()
        try:
            began = time.time()
            bf.check(misses(scsi), 'without a daemon the write is missed')
            bf.equal(told(began), [], 'warnings')
        finally:
            unplug(scsi)
            bfd.start()

    with bf.case(f'{GROUP}/hanging-daemon-is-not-waited-for-long'):
        pid = bf.main_pid()
        bf.sh(f'kill -STOP {pid}')
        began = time.time()
        try:
            with stall.Watch() as watch:
                scsi.rescan(1)
                mounts.wait_mounted('/mnt/hot')
                seconds = time.time() - began
        finally:
            bf.sh(f'kill -CONT {pid}')
        try:
            print(f'# mounted after {seconds:.1f} s')
            # twice, for the disk and its partition, the helper's own limit
            bf.check(seconds > 5 and seconds - watch.lost < 30, 'the mount was held back, and not for long: '
                     f'{seconds:.1f} s, {watch.lost:.1f} s of them the machine stood still')
            lines = told(began, 'blkfilter-wait')
            bf.check(len(lines) >= 2 and all('does not answer' in line for line in lines), f'the journal: {lines}')
            bfd.wait_state('attached', part_uuid=mounts.HOT_UUID)
            bf.check(misses(scsi), 'the write is missed')
        finally:
            unplug(scsi)

    with bf.case(f'{GROUP}/filter-that-does-not-come-is-not-waited-for-long'):
        # after one attempt: after some that failed nobody waits for the next
        bfd.put_policy('30-hot.conf', part_uuid=mounts.HOT_UUID, filter_name='nosuch', retry='10min')
        mounts.set_wait(10)
        bfd.reload()
        began = time.time()
        try:
            scsi.rescan(1)
            device = mounts.wait_mounted('/mnt/hot')
            print(f'# mounted after {time.time() - began:.1f} s')
            line, = told(began)
            bf.check(f'{device} is let go after 10 s without filter nosuch' in line, f'the journal: {line}')
        finally:
            unplug(scsi)
            mounts.set_wait()
            bfd.put_policy('30-hot.conf', part_uuid=mounts.HOT_UUID)

    with bf.case(f'{GROUP}/again-after-all-that'):
        mounts.hotplug(scsi)

bf.done()
