# SPDX-License-Identifier: LGPL-2.1-or-later
# vm: interfaces-long limit=1200
"""Whole devices, and what is on devices: disks by serial number, WWN and table, file systems on disks and partitions,
the device-mapper, partitions of an MBR; and devices that are to be left alone."""

import os
import sys
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
RULE = Path('/run/udev/rules.d/62-blkfilter-test.rules')
NO_PARTITIONS = RULE.with_name('68-del-part-nodes.rules')
FS1, FS2 = bfd.uuid(101), bfd.uuid(102)


@contextmanager
def udev_says(device, **values):
    """udev has these properties of a device and its partitions for the time of the with statement."""
    def tell():
        bf.sh('udevadm control --reload')
        bf.sh(f'udevadm trigger --settle --action=change /sys/class/block/{bf.name_of(device)}*')
    RULE.parent.mkdir(parents=True, exist_ok=True)
    # kpartx's, which takes the partitions of a multipath device's path away
    if not NO_PARTITIONS.is_symlink():
        NO_PARTITIONS.symlink_to('/dev/null')
    words = [f'KERNEL=="{bf.name_of(device)}*"', *(f'ENV{{{k}}}="{v}"' for k, v in values.items())]
    RULE.write_text(', '.join(words) + '\n')
    try:
        tell()
        yield
    finally:
        RULE.unlink()
        tell()


@contextmanager
def mapped(name, uuid, table):
    """A device-mapper device with a UUID: its kernel name."""
    bf.sh(f'dmsetup create {name} --uuid {uuid}', stdin=table)
    try:
        bf.settle()
        yield bf.name_of(f'mapper/{name}')
    finally:
        bf.settle()
        bf.sh(f'dmsetup remove --retry {name}')


bfd.begin()

with bf.scsi_debug(2) as scsi:
    sda, sdb = (f'/dev/{disk}' for disk in scsi.disks())
    sda1 = bf.partition(sda, 1)
    bf.sfdisk(sda, f'label: gpt\nsize=16MiB, uuid={bfd.uuid(1)}, name=data\n')
    serial, wwn = bfp.udev_property(sda, 'ID_SERIAL_SHORT'), bfp.udev_property(sda, 'ID_WWN')
    table = bfp.udev_property(sda, 'ID_PART_TABLE_UUID')

    with bf.case('daemon/whole/a-disk-by-its-numbers'):
        print(f'# {sda}: serial number {serial}, WWN {wwn}, table {table}')
        with bfp.only():
            generation = None
            serial_of_other = bfp.udev_property(sdb, 'ID_SERIAL_SHORT')
            for match in (f'DiskSerial={serial}', f'DiskSerial={serial[:-2]}* !{serial_of_other}',
                          f'DiskWWN={wwn.upper().replace("X", "x")}', f'PTUUID={table}'):
                bfp.put(FILE, match)
                a = bfp.wait_on(FILE, sda)[sda]
                print(f'# {match}: {a.Identity}')
                bf.equal((a.Fingerprint['DiskSerial']['data'], a.Fingerprint['DiskWWN']['data'], bf.filter_of(sda1),
                          bf.filter_of(sdb)), (serial, wwn, '', ''), 'fingerprint, and filters elsewhere')
                # the same filter, whatever it is that the disk is known by
                generation = generation or bfd.generation(sda)
                bfp.still(a, sda, generation)
            # its partitions come and go, it stays
            bfd.reread(sda)
            bfd.quiet()
            bfp.still(a, sda, generation)

    with bf.case('daemon/whole/the-partition-of-a-disk'), bfp.only():
        bfp.put(FILE, f'DiskSerial={serial} PartNumber=1')
        bfp.wait_on(FILE, sda1)
        bf.equal(bf.filter_of(sda), '', 'filter of the whole disk')

    with bf.case('daemon/whole/a-file-system-on-a-partition'), bfp.only():
        bfp.make_fs(sda1, FS1, 'a label')
        bfp.put(FILE, f'FSUUID={FS1.upper()} FSType=ext2 FSLabel="a label"')
        a = bfp.wait_on(FILE, sda1)[sda1]
        print(f'# {a.Identity}')
        generation = bfd.generation(sda1)
        bfd.reread(sda)
        bfd.wait_attached(sda1, other_than=generation)
        bfd.quiet()
        # another one is made there: it is not followed to there after the next re-read
        with bfd.without():
            bfp.make_fs(sda1, FS2)
            bfd.reread(sda)
            bf.settle()
        with bfd.Watch(sda1) as watch:
            bfd.quiet()
            bfp.wait(FILE, 'waiting', 'not present')
        watch.none_came(sda1)
        bfp.put(FILE, 'FSLabel=a*')
        bfp.make_fs(sda1, FS2, 'another')
        bfp.wait_on(FILE, sda1)

    with bf.case('daemon/whole/a-file-system-on-a-disk'), bfp.only():
        bfp.make_fs(sdb, FS1, 'whole')
        for match in (f'FSUUID={FS1}', 'FSLabel=whole'):
            bfp.put(FILE, match)
            bfp.wait_on(FILE, sdb)
        bfp.put(FILE, f'FSUUID={FS1} PartNumber=1')
        bfp.wait(FILE, 'waiting')

    with bf.case('daemon/whole/by-hand-and-back-under-another-name'), bfp.only():
        hosts = scsi.hosts()
        bf.busctl_call('Attach', 'ssa{sv}', sda, 'bftrack', 0)
        old, = bfp.every()
        bf.equal((old.State, old.Device, old.Identity, old.Source), ('attached', sda, f'DiskWWN={wwn}', 'runtime'),
                 'the attachment')
        scsi.remove(sda)
        scsi.remove(sdb)
        bf.wait_for(lambda: bfp.every()[0].State == 'waiting', what='the attachment to wait')
        scsi.plug_in(hosts[::-1])
        bf.equal(bfp.udev_property(sdb, 'ID_WWN'), wwn, f'WWN of {sdb}, which was {sda}')
        bfd.wait_attached(sdb)
        bfd.quiet()
        now, = bfp.every()
        bf.equal((now.path, now.State, now.Device, now.GapCount, now.Gaps[-1][3], bf.filter_of(sda)),
                 (old.path, 'attached', sdb, 1, 'removed', ''), 'the attachment, and the filter of the other')
        # and so it is for the next daemon
        bfd.kill()
        bfd.quiet()
        bfp.still(now, sdb, bfd.generation(sdb))
        bf.busctl_call('Detach', 'ssa{sv}', sdb, 'bftrack', 0)
        bf.equal(bfp.every(), [], 'attachments')
        for disk in (sda, sdb):
            scsi.remove(disk)
        scsi.rescan(2)

    for name, values, words in (('raid-member', {'ID_FS_TYPE': 'linux_raid_member'}, 'member of a RAID array'),
                                ('multipath-member', {'DM_MULTIPATH_DEVICE_PATH': '1'}, 'path of a multipath device')):
        with bf.case(f'daemon/whole/{name}-left-alone'), bfp.only():
            with bfd.Watch(sda, sda1) as watch, udev_says(sda, **values):
                bfp.put(FILE, f'PartUUID={bfd.uuid(1)}')
                a = bfp.wait(FILE, 'waiting', words)
                print(f'# {a.StateReason}')
                bfp.put('30-disk.conf', f'DiskSerial={serial}')
                bfp.wait('30-disk.conf', 'waiting', words)
                bfp.put('40-each.conf', 'PartLabel=dat*')
                bfd.quiet()
                bf.equal(bfp.of('40-each.conf'), [], 'attachments of a pattern')
                watch.none_came(sda)
                watch.none_came(sda1)
            bfp.wait_on(FILE, sda1)
            bfp.wait_on('30-disk.conf', sda)

    with bf.case('daemon/whole/partitions-of-an-mbr'), bfp.only():
        bf.sfdisk(sda, 'label: dos\nlabel-id: 0x1234abcd\nsize=8MiB, type=83\nsize=24MiB, type=5\nsize=8MiB, type=82\n'
                  '5: size=8MiB, type=83\n', '--wipe=always')
        bfp.put(FILE, 'PTUUID=1234ABCD PartNumber=5 PartType=0x83')
        bfp.put('30-other.conf', 'PartUUID=1234abcd-03')
        sda5, sda3 = bf.partition(sda, 5), bf.partition(sda, 3)
        a = bfp.wait_on(FILE, sda5)[sda5]
        print(f'# {a.Identity}')
        bfp.wait_on('30-other.conf', sda3)
        generation = bfd.generation(sda5)
        bfd.reread(sda)
        bfd.wait_attached(sda5, other_than=generation)
        bfd.quiet()
        bfp.wait_on('30-other.conf', sda3)

    with bf.case('daemon/whole/the-device-mapper'), bfp.only():
        sectors = kfilter.sectors(sdb) // 2
        bfp.put(FILE, 'DMName=bf-one')
        bfp.put('30-uuid.conf', 'DMUUID=BFTEST-*', name='bfcount')
        with kfilter.dm_table('bf-one', f'0 {sectors} linear {sdb} 0') as one, \
                mapped('bf-two', 'BFTEST-2', f'0 {sectors} linear {sdb} {sectors}') as two:
            a = bfp.wait_on(FILE, f'/dev/{one}')[f'/dev/{one}']
            bfp.wait_on('30-uuid.conf', f'/dev/{two}')
            bf.equal(bf.filter_of(two), 'bfcount', 'filter of the other')
            # what lvresize and its like do costs nothing
            generation = bfd.generation(one)
            bf.sh('dmsetup suspend bf-one; dmsetup reload bf-one; dmsetup resume bf-one',
                  stdin=f'0 2048 linear {sdb} 0')
            bfd.quiet()
            bfp.still(a, f'/dev/{one}', generation)
        a = bfp.wait(FILE, 'waiting')
        bf.equal(a.Gaps[-1][3], 'removed', 'reason of the gap')
        # the next one of that name is the same identity
        with kfilter.dm_table('bf-one', f'0 {sectors} linear {sdb} 0') as one:
            bfp.wait_on(FILE, f'/dev/{one}')

    with bf.case('daemon/whole/suspended-left-alone'), bfp.only():
        with kfilter.dm_table('bf-one', f'0 {sectors} linear {sdb} 0') as one:
            since = time.time()
            try:
                bf.sh(f'dmsetup suspend bf-one; udevadm trigger --settle --action=change /sys/class/block/{one}')
                bfp.put(FILE, 'DMName=bf-one', 'TimeoutSec=1')
                a = bfp.wait(FILE, 'waiting')
                print(f'# {a.StateReason}')
                bfd.restart()
                bfd.quiet()
                bfp.wait(FILE, 'waiting')
            finally:
                bf.sh('dmsetup resume bf-one')
            bfp.wait_on(FILE, f'/dev/{one}')
            bf.check('stuck' not in bf.journal(since=since), 'nothing got stuck')

with bf.scsi_debug(2, vpd_use_hostno=0) as scsi:
    sda, sdb = (f'/dev/{disk}' for disk in scsi.disks())

    with bf.case('daemon/whole/two-disks-of-one-serial-number'), bfp.only():
        serial = bfp.udev_property(sda, 'ID_SERIAL_SHORT')
        bf.equal(bfp.udev_property(sdb, 'ID_SERIAL_SHORT'), serial, 'serial number of the other')
        with bfd.Watch(sda, sdb) as watch:
            bfp.put(FILE, f'DiskSerial={serial}')
            a = bfp.wait(FILE, 'ambiguous', sda, sdb)
            print(f'# {a.StateReason}')
            bfd.restart()
            bfp.wait(FILE, 'ambiguous', sda, sdb)
        watch.none_came(sda)
        watch.none_came(sdb)
        scsi.remove(sda)
        bfp.wait_on(FILE, sdb)
        # the other one comes back, and gets nothing
        generation = bfd.generation(sdb)
        scsi.rescan(2)
        bfd.quiet()
        bf.equal((bf.filter_of(sda), bfd.generation(sdb)), ('', generation), 'filters')
        bfp.wait(FILE, 'attached', sda, 'clone', device=sdb)

bfd.end('daemon/whole')
