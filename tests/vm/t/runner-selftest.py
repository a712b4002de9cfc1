# SPDX-License-Identifier: LGPL-2.1-or-later
# vm: limit=180
"""The machine is what the other tests take for granted."""

import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(__file__), '..', 'guest'))
import bf   # pylint: disable=wrong-import-position

with bf.case('runner/kernel-is-the-tests-own'):
    bf.check(os.path.isdir(f'/usr/lib/modules/{os.uname().release}'), 'the modules are those of the running kernel')
    bf.check(bf.filter_of('vda') == '', 'the root disk has the attribute, and no filter')

with bf.case('runner/systemd-is-up'):
    bf.equal(bf.sh('systemctl is-system-running', ok=(0, 1)).strip(), 'running', 'systemd')
    bf.equal(bf.sh('systemctl --failed --plain --no-legend').strip(), '', 'failed units')

with bf.case('runner/the-installed-daemon-starts-at-boot'):
    bf.equal(bf.sh('systemctl is-enabled blkfilterd; systemctl is-active blkfilterd', ok=(0, 1, 3)).split(),
             ['enabled', 'active'], 'the daemon\'s unit')

with bf.case('runner/udev-knows-scsi-debug-partitions'):
    with bf.scsi_debug() as scsi:
        disk, = scsi.disks()
        bf.sfdisk(disk, 'label: gpt\nsize=8MiB, name=first\nname=second\n')
        bf.equal(bf.partitions(disk), [f'{disk}1', f'{disk}2'], 'partitions')
        bf.equal(bf.name_of('disk/by-partlabel/first'), f'{disk}1', 'udev\'s link by label')
        bf.equal(bf.name_of('disk/by-partuuid/' + bf.partuuid(f'{disk}2')), f'{disk}2', 'udev\'s link by UUID')
        scsi.remove(disk)
        bf.equal(scsi.disks(), [], 'disks after the removal')
        disk, = scsi.rescan(1)
        bf.equal(bf.partitions(disk), [f'{disk}1', f'{disk}2'], 'partitions after the return')

with bf.case('runner/disks-with-memory-of-their-own'):
    with bf.scsi_debug(2) as scsi:
        one, two = scsi.disks()
        bf.sfdisk(one, 'label: gpt\nname=only-here\n')
        bf.sh(f'blockdev --rereadpt /dev/{two}')
        bf.equal((bf.partitions(one), bf.partitions(two)), ([f'{one}1'], []), 'partitions of the two')

with bf.case('runner/spare-disks'):
    disks = [bf.spare_disk(n) for n in range(3)]
    bf.equal(len(set(disks)), 3, 'different disks')
    for disk in disks:
        bf.equal(bf.sh(f'blockdev --getsize64 {disk}').strip(), str(64 << 20), disk)

with bf.case('runner/filter-modules'):
    bf.sh('modprobe -a bfcount bftrack bffault null_blk; rmmod bfcount bftrack bffault null_blk')

with bf.case('runner/dbus-answers-root-and-user'):
    for user in (None, bf.UNPRIVILEGED):
        bf.check(bf.busctl_get('Version', user=user, service='org.freedesktop.systemd1',
                               path='/org/freedesktop/systemd1', interface='org.freedesktop.systemd1.Manager'), 'systemd tells its version')

with bf.case('runner/polkit-refuses-the-user'):
    try:
        bf.busctl_call('RestartUnit', 'ss', 'systemd-udevd.service', 'fail', user=bf.UNPRIVILEGED,
                       service='org.freedesktop.systemd1', path='/org/freedesktop/systemd1',
                       interface='org.freedesktop.systemd1.Manager')
    except bf.BusError as error:
        bf.check('AccessDenied' in error.name or 'InteractiveAuthorizationRequired' in error.name, error.name)
    else:
        raise bf.Failure('the user was allowed to restart udevd')
    bf.equal(bf.sh('systemctl is-active polkit').strip(), 'active', 'polkit')

bf.done()
