# SPDX-License-Identifier: LGPL-2.1-or-later
"""Mounts by systemd, from fstab, of file systems on partitions that a policy has a filter for: what the short and the
long test file share. The proof that the filter was on before is the filter's own record: a file system that is mounted
to be written has its superblock written first."""

import os
import re
import sys
from pathlib import Path

import bf
import bfd
import kfilter

AGAIN = 75  # asks the runner for the next boot

FS_UUID = '0fc63daf-8483-4772-8e79-00000000f002'
BOOT_UUID, HOT_UUID = bfd.uuid(0xb001), bfd.uuid(0xb003)

# one on a disk that is there at boot by its entry in the table, one by what is on it; one on a disk that comes later
MOUNTS = {'/mnt/boot': f'/dev/disk/by-partuuid/{BOOT_UUID}', '/mnt/fs': f'/dev/disk/by-uuid/{FS_UUID}',
          '/mnt/hot': f'/dev/disk/by-partuuid/{HOT_UUID}'}
TIMEOUT_SEC = 60


def n_boot():
    """Which boot of this machine it is, from 0."""
    return int(os.environ['VM_BOOT'])


def setting(name, default):
    """What `tests/vm/run --set NAME=VALUE` says, or the default, as a number."""
    return int(os.environ.get(name) or default)


def unit_of(what, suffix='mount'):
    return bf.sh(f'systemd-escape --path --suffix={suffix} {what}').strip()


def set_wait(seconds=None):
    """WaitSec=. Two seconds, the default, are short where a processor is emulated: udev alone takes longer."""
    Path('/etc/blkfilterd.conf').write_text(f'[Daemon]\nWaitSec={seconds or os.environ.get("MOUNT_WAIT_SEC") or 10}\n')


def prepare():
    """File systems on a disk that is there at boot, policies for all of them, and fstab: for the boots that follow."""
    disk = bf.spare_disk(0)
    bf.sfdisk(disk, f'label: gpt\nsize=16MiB, uuid={BOOT_UUID}\nsize=16MiB, name=other\n')
    for number, options in ((1, ''), (2, f'-U {FS_UUID}')):
        bf.sh(f'mkfs.ext4 -q {options} {bf.partition(disk, number)}')
    bf.settle()

    set_wait()
    # its module is loaded because of this one, before there is a bus
    bfd.write_policy('10-boot.conf', f'[Match]\nPartUUID={BOOT_UUID}\n[Filter]\nName=bftrack\nModule=bftrack\n')
    bfd.write_policy('20-fs.conf', f'[Match]\nFSUUID={FS_UUID}\n[Filter]\nName=bftrack\n')
    bfd.write_policy('30-hot.conf', bfd.policy_text(part_uuid=HOT_UUID))

    lines = ''
    for where, what in MOUNTS.items():
        Path(where).mkdir(parents=True, exist_ok=True)
        more = 'noauto' if where == '/mnt/hot' else ''
        lines += f'{what} {where} ext4 defaults,nofail,x-systemd.device-timeout={TIMEOUT_SEC},{more} 0 0\n'
    Path('/etc/fstab').write_text(lines)

    # what udev's ENV{SYSTEMD_WANTS} does: it is mounted when the device comes
    wants = Path('/etc/systemd/system') / (unit_of(MOUNTS['/mnt/hot'], 'device') + '.wants')
    wants.mkdir(parents=True, exist_ok=True)
    (wants / unit_of('/mnt/hot')).symlink_to('/run/systemd/generator/' + unit_of('/mnt/hot'))
    bf.sh('sync')


def began(where):
    """When systemd began to mount it: realtime, microseconds."""
    path = '/org/freedesktop/systemd1/unit/' + ''.join(
        c if c.isalnum() else f'_{ord(c):02x}' for c in unit_of(where))
    return bf.busctl_get('InactiveExitTimestamp', path=path, interface='org.freedesktop.systemd1.Unit',
                         service='org.freedesktop.systemd1')


def is_mounted(where):
    return bf.sh(f'systemctl show --value --property=ActiveState {unit_of(where)}').strip() == 'active'


def wait_mounted(where):
    def look():
        state = bf.sh(f'systemctl show --value --property=ActiveState {unit_of(where)}').strip()
        if state != 'active':
            raise bf.Failure(f'{where} is {state}')
        return bf.sh(f'findmnt --noheadings --output=SOURCE --mountpoint {where}').strip()
    return bf.wait_for(look, TIMEOUT_SEC, f'{where} to be mounted')


def prove(where):
    """Fails unless the filter on what is mounted there has seen the first write of the mount, and was on before it."""
    device = wait_mounted(where)
    bf.equal(bf.filter_of(device), 'bftrack', f'the filter of {device}')
    info = kfilter.TrackInfo(bf.name_of(device))
    block = 1024 // info.block
    bf.check(block in kfilter.track_map(bf.name_of(device)),
             f'the superblock of {device} is among the blocks that the filter saw written ({info.written} bytes)')
    a, = [a for a in bfd.attachments() if a.device == device]
    bf.check(a.intact_since <= began(where),
             f'{device} was tracked {(began(where) - a.intact_since) / 1e6:.3f} s before it was mounted')
    return (began(where) - a.intact_since) / 1e6


def check_boot(number):
    """What a boot, from 1, has to have done. Returns how long before the mounts the filters were on, in seconds."""
    early = [prove(where) for where in ('/mnt/boot', '/mnt/fs')]
    said = bf.sh('journalctl --boot --quiet --no-pager --output=cat')
    bad = [line for line in said.splitlines() if re.search(r'ordering cycle|is let go', line)]
    bf.equal(bad, [], 'what the journal has of cycles, and of devices that were not waited for')
    for a in bfd.attachments():
        bf.check(a.state == 'attached' or not a.device, f'{a.identity}: {a.state}: {a.reason}')
    # the records of the last boot were copied when it ended: for the timer it was too short
    for a in bfd.attachments():
        if a.device:
            bf.equal([g.reason for g in bfd.gaps(a)][-1:], ['reboot'] if number > 1 else [], f'the gap of {a.device}')
    return early


def hotplug(scsi):
    """The disk comes, is mounted, and goes. Returns as prove()."""
    scsi.rescan(1)
    try:
        return prove('/mnt/hot')
    finally:
        bf.sh(f'systemctl stop {unit_of("/mnt/hot")}')
        scsi.remove(scsi.disks()[0])
        bf.settle()


def make_hot(scsi):
    """The disk that comes later: made while nothing wants to mount it."""
    disk, = scsi.disks()
    bf.sfdisk(disk, f'label: gpt\nsize=32MiB, uuid={bfd.uuid(0xb00f)}\n')
    bf.sh(f'mkfs.ext4 -q {bf.partition(disk, 1)}')
    bf.settle()
    bf.sh(f'sfdisk --quiet --part-uuid /dev/{disk} 1 {HOT_UUID}')
    bf.settle()
    wait_mounted('/mnt/hot')
    bf.sh(f'systemctl stop {unit_of("/mnt/hot")}')
    scsi.remove(disk)
    bf.settle()


def boots(group, n):
    """Boot 0 prepares, each of the n that follow is checked. Returns in the last one."""
    number = n_boot()
    if number == 0:
        with bf.case(f'{group}/prepare'):
            prepare()
    else:
        with bf.case(f'{group}/boot-{number}'):
            print('# seconds before the mount: ' + ', '.join(f'{s:.3f}' for s in check_boot(number)))
    if bf.has_failed():
        bf.done()
    if number < n:
        sys.exit(AGAIN)


def hotplugs(group, n, scsi):
    """n times the disk comes and goes; one case for ten of them, at most."""
    for first in range(1, n + 1, 10):
        last = min(first + 9, n)
        with bf.case(f'{group}/hotplug-{first}-to-{last}'):
            times = [hotplug(scsi) for _ in range(first, last + 1)]
            print('# seconds before the mount: ' + ', '.join(f'{s:.3f}' for s in times))
