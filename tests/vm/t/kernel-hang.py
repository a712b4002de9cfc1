# SPDX-License-Identifier: LGPL-2.1-or-later
# vm: limit=180
"""A filter that hangs holds up its own device and nothing else, and the calls that must wait for it do."""

import os
import signal
import sys
import threading

sys.path.insert(0, os.path.join(os.path.dirname(__file__), '..', 'guest'))
# pylint: disable=wrong-import-position
import bf
import kfilter as kf


def prompt(call, *args):
    """Fails the case if the call hangs."""
    result = []
    thread = threading.Thread(target=lambda: result.append(call(*args)), daemon=True)
    thread.start()
    thread.join(30)
    bf.check(result, f'{call.__name__}{args} returns while another call hangs')
    return result[0]


def still_waits(child):
    """Whether the detach waits after others have been done, whole ones with all that they wait for."""
    for _ in range(4):
        kf.attach(f'{other}2', 'bfcount')
        kf.detach(f'{other}2', 'bfcount')
    return child.asleep_in_kernel()


def running():
    return int(open('/sys/module/bffault/parameters/io_running', encoding='ascii').read())


kf.begin()

with bf.scsi_debug(2) as scsi:
    disk, other = scsi.disks()
    for d in (disk, other):
        bf.sfdisk(d, 'label: gpt\nsize=16MiB\nsize=16MiB\n')
    one, two = f'{disk}1', f'{disk}2'

    with bf.case('kernel/hanging-attach-hangs-alone'):
        with kf.fault(attach_hang=1):
            hanging = kf.Child('attach', one, 'bffault')
            bf.wait_for(hanging.asleep_in_kernel, what='the attach to hang')
            for device in (one, two, disk, f'{other}1'):
                bf.equal(prompt(bf.filter_of, device), '', f'attribute of {device}')
            for device in (two, disk, other, f'{other}1'):
                bf.equal(prompt(kf.error_of, kf.attach, device, 'bftrack'), 'OK', f'attach to {device}')
                bf.equal(prompt(kf.error_of, kf.track_clear, device), 'OK', f'ctl on {device}')
                bf.equal(prompt(kf.error_of, kf.detach, device, 'bftrack'), 'OK', f'detach from {device}')
            # nothing is frozen meanwhile
            prompt(kf.error_of, kf.write_direct, one, 0, bytes(4096))
            bf.check(hanging.asleep_in_kernel(), 'the attach still hangs')
        bf.equal(hanging.answer(), 'OK', 'the attach, when it goes on')
        bf.equal(bf.filter_of(one), 'bffault', 'attribute')
        kf.detach(one, 'bffault')

    with bf.case('kernel/who-waits-for-a-hanging-attach-can-be-killed'):
        with kf.fault(attach_hang=1):
            hanging = kf.Child('attach', one, 'bffault')
            bf.wait_for(hanging.asleep_in_kernel, what='the attach to hang')
            waiting = [kf.Child('attach', one, 'bfcount'), kf.Child('detach', one, 'bffault')]
            for child in waiting:
                bf.wait_for(child.asleep_in_kernel, what='the second call to wait')
                child.process.send_signal(signal.SIGKILL)
                bf.equal(child.answer(), '', 'answer of the killed process')
        bf.equal(hanging.answer(), 'OK', 'the attach, when it goes on')
        kf.detach(one, 'bffault')

    with bf.case('kernel/failed-attach-after-a-hang'):
        with kf.fault(attach_hang=1, attach_errno=5):
            hanging = kf.Child('attach', one, 'bffault')
            bf.wait_for(hanging.asleep_in_kernel, what='the attach to hang')
            kf.parameter('bffault', 'attach_hang', 0)
            bf.equal(hanging.answer(), 'EIO', 'the attach')
        bf.equal((bf.filter_of(one), kf.refcount('bffault')), ('', 0), 'attribute, references')

    with bf.case('kernel/detach-waits-for-the-callback'):
        # the callback holds the queue's usage counter: were it not so, the detach would free what it uses
        for device in (one, disk):
            bf.settle()
            kf.attach(device, 'bffault')
            with kf.fault(io_hang=1):
                with kf.Background(lambda i, d=device: i or kf.write_direct(d, 40 << 20 if d == disk else 0,
                                                                            bytes(4096))) as writer:
                    bf.wait_for(lambda: running() == 1, what='a write in the filter')
                    leaving = kf.Child('detach', device, 'bffault')
                    # that it is taken away already tells that it waits for the callback, and not before
                    bf.wait_for(lambda d=device: bf.filter_of(d) == '', what='the filter to be taken away')
                    bf.check(still_waits(leaving), 'the detach waits for the callback')
                    bf.check(kf.refcount('bffault') > 0, 'the module is held')
                    bf.equal((running(), writer.n_done), (1, 0), 'writes in the filter, done')
                    kf.parameter('bffault', 'io_hang', 0)
                    bf.equal(leaving.answer(), 'OK', 'the detach')
                    writer.reach(1)
            bf.equal((kf.refcount('bffault'), running()), (0, 0), 'references, writes in the filter')

    with bf.case('kernel/detach-waits-for-the-callback-bio-based'):
        with kf.dm_table('kf', f'0 {kf.sectors(two)} linear /dev/{two} 0') as dm:
            kf.attach(dm, 'bffault')
            with kf.fault(io_hang=1):
                with kf.Background(lambda i: i or kf.write_direct(dm, 0, bytes(4096))) as writer:
                    bf.wait_for(lambda: running() == 1, what='a write in the filter')
                    leaving = kf.Child('detach', dm, 'bffault')
                    bf.wait_for(lambda: bf.filter_of(dm) == '', what='the filter to be taken away')
                    bf.check(still_waits(leaving), 'the detach waits for the callback')
                    bf.check(kf.refcount('bffault') > 0, 'the module is held')
                    bf.equal((running(), writer.n_done), (1, 0), 'writes in the filter, done')
                    kf.parameter('bffault', 'io_hang', 0)
                    bf.equal(leaving.answer(), 'OK', 'the detach')
                    writer.reach(1)

    with bf.case('kernel/attach-waits-for-what-is-under-way'):
        # a write that no filter has seen must not arrive after the attach has been answered
        bf.settle()
        # the queue is the disk's: what holds up a write to one partition does so for the other
        kf.attach(two, 'bffault')
        with kf.fault(io_hang=1):
            with kf.Background(lambda i: i or kf.write_direct(two, 0, bytes(4096))) as writer:
                bf.wait_for(lambda: running() == 1, what='a write in the filter')
                coming = kf.Child('attach', one, 'bftrack')
                bf.wait_for(coming.asleep_in_kernel, what='the attach to wait')
                bf.check(still_waits(coming), 'the attach waits for the write')
                bf.equal((bf.filter_of(one), writer.n_done), ('', 0), 'attribute, writes done')
                kf.parameter('bffault', 'io_hang', 0)
                bf.equal(coming.answer(), 'OK', 'the attach')
                writer.reach(1)
        kf.detach(two, 'bffault')
        kf.detach(one, 'bftrack')

    with bf.case('kernel/removal-does-not-wait-for-a-hanging-attach'):
        bf.settle()
        with kf.fault(attach_hang=1):
            hanging = kf.Child('attach', one, 'bffault')
            bf.wait_for(hanging.asleep_in_kernel, what='the attach to hang')
            bf.equal(prompt(lambda: scsi.remove(disk) or 'removed'), 'removed', 'the disk')
            bf.check(hanging.asleep_in_kernel(), 'the attach still hangs')
            bf.equal(prompt(kf.error_of, kf.attach, other, 'bfcount'), 'OK', 'attach to the other disk')
            kf.detach(other, 'bfcount')
        bf.equal(hanging.answer(), 'ENODEV', 'the attach to the removed disk, when it goes on')
        bf.wait_for(lambda: kf.refcount('bffault') == 0, what='the filter to be unused')
        scsi.rescan(2)

kf.end('kernel-hang')
