# SPDX-License-Identifier: LGPL-2.1-or-later
# vm: interfaces-long limit=420
"""What a policy says besides what it is for: On=, OnChange=, OnConflict=, RetrySec=, TimeoutSec=, Module=, Options=; and
the options of an attach by hand."""

import os
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(__file__), '..', 'guest'))
# pylint: disable=wrong-import-position
import bf
import bfd
import bfp
import interface
import kfilter

FILE = '20-data.conf'
MATCH = f'PartUUID={bfd.uuid(1)}'


def table(*parts):
    """A table: start in MiB, size in MiB, number of the UUID and name of each partition."""
    lines = ['label: gpt', 'label-id: 9f3c1d20-6a7b-4e8f-a1b2-c3d4e5f60718']
    lines += [f'start={start}MiB, size={size}MiB, uuid={bfd.uuid(n)}, name={name}' for start, size, n, name in parts]
    return '\n'.join(lines) + '\n'


def attach(device, filter_name='bftrack', **options):
    words = [len(options)]
    for key, value in options.items():
        words += [key, 'b', str(value).lower()]
    return bf.busctl_call('Attach', 'ssa{sv}', device, filter_name, *words)[0]


def replug(scsi, disk):
    n = len(scsi.disks())
    scsi.remove(disk)
    scsi.rescan(n)


def stays_off(device, state, *words):
    """The daemon has seen it all, and has left the device alone."""
    bfd.quiet()
    a = bfp.wait(FILE, state, *words)
    bf.equal(bf.filter_of(device), '', f'filter of {device}')
    return a


bfd.begin()

with bf.scsi_debug(2) as scsi:
    sda, sdb = (f'/dev/{disk}' for disk in scsi.disks())
    sda1, sda2, sdb1 = bf.partition(sda, 1), bf.partition(sda, 2), bf.partition(sdb, 1)
    bf.sfdisk(sda, table((1, 8, 1, 'data'), (16, 8, 2, 'other')))
    bfd.quiet()

    with bf.case('daemon/settings/on-hotplug'), bfp.only():
        bfp.put(FILE, MATCH, 'On=hotplug')
        bfp.wait_on(FILE, sda1)
        bfd.reread(sda)
        print(f'# {stays_off(sda1, "waiting", "On=", "rescan").StateReason}')
        bfd.restart()
        stays_off(sda1, 'waiting', 'rescan')
        replug(scsi, sda)
        bfp.wait_on(FILE, sda1)

    with bf.case('daemon/settings/on-rescan'), bfp.only():
        bfp.put(FILE, MATCH, 'On=rescan')
        print(f'# {stays_off(sda1, "waiting", "On=", "hotplug").StateReason}')
        attach(sda1)
        generation = bfd.generation(sda1)
        bfd.reread(sda)
        bfd.wait_attached(sda1, other_than=generation)
        bfd.quiet()
        replug(scsi, sda)
        stays_off(sda1, 'waiting', 'hotplug')

    with bf.case('daemon/settings/on-boot'), bfp.only():
        # a disk that came with the boot; no other file plugs this one in anew
        spare = bf.partition(bf.spare_disk(2), 1)
        bf.sfdisk(bf.spare_disk(2), table((1, 8, 3, 'spare')))
        bfp.put('30-spare.conf', f'PartUUID={bfd.uuid(3)}', 'On=boot')
        bfp.put(FILE, MATCH, 'On=boot')
        bfp.wait_on('30-spare.conf', spare)
        stays_off(sda1, 'waiting', 'hotplug')
        bfp.put(FILE, f'PartUUID={bfd.uuid(3)} PartLabel=spare', 'On=rescan hotplug')
        bf.equal(bf.filter_of(sda1), '', 'filter of what has no policy now')
        bfp.drop('30-spare.conf')
        # On= is about what has to be attached: what is on already is taken over
        bfp.wait_on(FILE, spare)
        bfd.reread(bf.spare_disk(2))
        bfp.wait_on(FILE, spare)

    with bf.case('daemon/settings/on-boot-is-not-asked-of-another-boot'), bfp.only():
        bfp.put(FILE, f'PartUUID={bfd.uuid(3)}', 'On=hotplug')
        stays_off(spare, 'waiting', 'boot')
        bfd.kill()
        print(f'# {stays_off(spare, "waiting", "boot").StateReason}')
        bf.sh(f'wipefs --quiet --all {bf.spare_disk(2)}')
        bf.settle()

    for name, changed, words in (('moved', table((2, 8, 1, 'data')), ('first sector', '2048', '4096')),
                                 ('resized', table((1, 9, 1, 'data')), ('size in sectors', '16384', '18432')),
                                 ('renamed', table((1, 8, 1, 'date')), ('PartLabel', 'data', 'date'))):
        with bf.case(f'daemon/settings/on-change-refuse-{name}'), bfp.only():
            bf.sfdisk(sda, table((1, 8, 1, 'data')), '--no-reread')
            bfp.put(FILE, MATCH, 'OnChange=refuse')
            bfp.wait_on(FILE, sda1)
            bfd.quiet()
            with bfd.Watch(sda1) as watch:
                bf.sfdisk(sda, changed, '--no-reread')
                a = stays_off(sda1, 'refused', *words)
                if name == 'moved':
                    bfd.kill()
                    stays_off(sda1, 'refused', *words)
            watch.none_came(sda1)
            print(f'# {a.StateReason}')
            # an administrator says that it is right; from then on that is what it was
            attach(sda1)
            bfd.reread(sda)
            bfp.wait_on(FILE, sda1)

    with bf.case('daemon/settings/on-change-reattach'), bfp.only():
        bf.sfdisk(sda, table((1, 8, 1, 'data'), (16, 8, 2, 'other')), '--no-reread')
        bfp.put(FILE, MATCH)
        bfp.wait_on(FILE, sda1)
        bf.sfdisk(sda, table((3, 8, 1, 'more'), (16, 8, 2, 'other')), '--no-reread')
        bfd.quiet()
        a = bfp.wait_on(FILE, sda1)[sda1]
        bf.equal(a.Fingerprint['StartSectors']['data'], 3 * 2048, 'start')

    with bf.case('daemon/settings/on-conflict'), bfp.only():
        for part in (sda1, sda2):
            kfilter.attach(part, 'bfcount')
        try:
            bfp.put(FILE, MATCH, 'OnConflict=wait RetrySec=500ms')
            bfp.put('30-ignore.conf', f'PartUUID={bfd.uuid(2)}', 'OnConflict=ignore RetrySec=100ms')
            print(f'# {bfp.wait(FILE, "conflict", "bfcount").StateReason}')
            print(f'# {bfp.wait("30-ignore.conf", "conflict", "bfcount", "OnConflict=ignore").StateReason}')
        finally:
            for part in (sda1, sda2):
                kfilter.detach(part, 'bfcount')
        bfp.wait_on(FILE, sda1)
        # and the other one would have been tried more than once meanwhile
        bfp.wait('30-ignore.conf', 'conflict')
        bf.equal(bf.filter_of(sda2), '', 'filter where a conflict is not waited for')
        bfd.reread(sda)
        bfp.wait_on('30-ignore.conf', sda2)

    with bf.case('daemon/settings/retry-sec'), bfp.only():
        with kfilter.fault(attach_errno=5):
            bfp.put(FILE, MATCH, 'RetrySec=200ms', name='bffault')
            bfp.put('30-slow.conf', f'PartUUID={bfd.uuid(2)}', 'RetrySec=10min', name='bffault')
            for file in (FILE, '30-slow.conf'):
                a = bfp.wait(file, 'failed', 'Input/output error')
            print(f'# {a.StateReason}')
        bfp.wait_on(FILE, sda1)
        bfp.wait('30-slow.conf', 'failed')
        # a policy that is put in force again is a new beginning
        bfp.put('30-slow.conf', f'PartUUID={bfd.uuid(2)}', 'RetrySec=5min', name='bffault')
        bfp.wait_on('30-slow.conf', sda2)

    with bf.case('daemon/settings/timeout-sec'), bfp.only():
        bf.sfdisk(sdb, table((1, 8, 4, 'slow')))
        bfd.quiet()
        with kfilter.fault(attach_hang=1):
            began = time.time()
            bfp.put(FILE, MATCH, 'TimeoutSec=2', name='bffault')
            bfp.put('30-slow.conf', f'PartUUID={bfd.uuid(4)}', 'TimeoutSec=10min', name='bffault')
            a = bfp.wait(FILE, 'stuck', 'does not answer', device=sda1)
            took = time.time() - began
            print(f'# stuck after {took:.1f} s: {a.StateReason}')
            bf.check(2 <= took < 25, f'TimeoutSec=2 counts ({took:.1f} s)')
            bfp.wait('30-slow.conf', 'attaching', device=sdb1)
        # answered late, and all the same
        bfp.wait_on(FILE, sda1)
        bfp.wait_on('30-slow.conf', sdb1)

    with bf.case('daemon/settings/module'), bfp.only():
        bf.wait_for(lambda: kfilter.refcount('bftrack') == 0, what='bftrack to be unused')
        bf.sh('rmmod bftrack')
        since = time.time()
        bfp.put(FILE, MATCH, 'RetrySec=10min', Module='bftrack')
        bfp.wait_on(FILE, sda1)
        bf.check('Finished' in bf.sh(f'journalctl --sync; journalctl --since=@{since} --unit=modprobe@bftrack.service'),
                 'systemd has loaded it')

    with bf.case('daemon/settings/module-that-comes-by-itself'), bfp.only():
        bf.sh('rmmod bftrack')
        bfp.put(FILE, MATCH, 'RetrySec=10min')
        bfp.put('30-none.conf', f'PartUUID={bfd.uuid(2)}', 'RetrySec=10min', Module='no_such_module', name='nosuch')
        print(f'# {bfp.wait(FILE, "failed", "modprobe bftrack").StateReason}')
        bfp.wait('30-none.conf', 'failed', 'no filter nosuch')
        bf.sh('modprobe bftrack')
        bfp.wait_on(FILE, sda1)

    # where it takes them: daemon-interfaces
    if not interface.TAKES_OPTIONS:
        with bf.case('daemon/settings/options-that-this-kernel-does-not-take'), bfp.only():
            bfp.put(FILE, MATCH, Options='hex:00ff')
            a = stays_off(sda1, 'unsupported', interface.TOLD, 'Options=')
            print(f'# {a.StateReason}')
            bfp.put(FILE, MATCH)
            bfp.wait_on(FILE, sda1)

    with bf.case('daemon/settings/attach-persistent'), bfp.only():
        path = attach(sda1, persistent=True)
        file, = bfp.ETC.glob('50-*.conf')
        print('# ' + file.name + ': ' + ' | '.join(file.read_text().split('\n')))
        a = bfp.wait_on(file.name, sda1)[sda1]
        bf.equal((a.path, a.Source, a.Policy), (path, 'policy', str(file)), 'attachment')
        bf.equal(bf.busctl_get('ConfigErrors'), [], 'errors')
        generation = bfd.generation(sda1)
        for change in (bfd.kill, lambda: attach(sda1, persistent=True)):
            change()
            bfd.quiet()
            bfp.still(a, sda1, generation)
        bf.equal(len(list(bfp.ETC.glob('*.conf'))), 1, 'policies')
        # all that an earlier daemon knew of it is gone, as after a boot: the file is enough
        bf.busctl_call('Detach', 'ssa{sv}', sda1, 'bftrack', 0)
        bfd.stop()
        bf.sh('rm -r /run/blkfilterd/attachments')
        bfd.start()
        bfp.wait_on(file.name, sda1)

    with bf.case('daemon/settings/choose-one-of-two'), bfp.only():
        bf.sfdisk(sdb, table((1, 8, 1, 'data')))
        bfp.put(FILE, MATCH)
        stays_off(sda1, 'ambiguous', sda1, sdb1)
        try:
            attach(sdb1)
            raise bf.Failure('an attach by hand without "choose" was answered')
        except bf.BusError as error:
            bf.equal(error.name, bfd.ERROR + 'Ambiguous', 'error')
        attach(sdb1, choose=True)
        bfp.wait(FILE, 'attached', 'clone', sda1, device=sdb1)
        generation = bfd.generation(sdb1)
        # the clone's re-read costs it nothing; after its own it cannot be told any more which one was meant
        bfd.reread(sda)
        bfd.quiet()
        bf.equal((bf.filter_of(sda1), bfd.generation(sdb1)), ('', generation), 'filters')
        bfd.reread(sdb)
        stays_off(sda1, 'ambiguous', sda1, sdb1)
        bf.equal(bf.filter_of(sdb1), '', 'filter of the one that was chosen')
        attach(sda1, choose=True)
        bfp.wait(FILE, 'attached', sdb1, device=sda1)
        # when one of them goes the other is the only one
        scsi.remove(sda)
        bfp.wait_on(FILE, sdb1)

bfd.end('daemon/settings')
