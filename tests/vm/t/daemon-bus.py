# SPDX-License-Identifier: LGPL-2.1-or-later
# vm: interfaces-long limit=420
"""The daemon on the bus, by busctl: each method, each named error, commands to the filters, what an administrator's
word is worth, signals, activation."""

import fcntl
import os
import struct
import subprocess
import sys
import time
import uuid
from contextlib import contextmanager

sys.path.insert(0, os.path.join(os.path.dirname(__file__), '..', 'guest'))
# pylint: disable=wrong-import-position
import bf
import bfd
import interface
import kfilter
import stall

INVALID = 'org.freedesktop.DBus.Error.InvalidArgs'


def attach(device, filter_name='bftrack'):
    return bf.busctl_call('Attach', 'ssa{sv}', device, filter_name, 0)[0]


def detach(device, filter_name='bftrack'):
    bf.busctl_call('Detach', 'ssa{sv}', device, filter_name, 0)


def array(data):
    """Bytes as busctl takes them."""
    return [len(data), *data]


def ctl(device, filter_name, command, payload=b'', buffers=()):
    """The result, the payload and the buffers that come back."""
    given = [len(buffers)]
    for offset, data in buffers:
        given += [offset, *array(data)]
    result, payload, buffers = bf.busctl_call('Ctl', 'ssuaya(uay)a{sv}', device, filter_name, command, *array(payload),
                                              *given, 0)
    return result, bytes(payload), [bytes(b) for b in buffers]


def fails(wanted, call, *arguments, saying=''):
    """Fails unless the call ends with that error, whose sentence has these words in it."""
    name = wanted if '.' in wanted else bfd.ERROR + wanted
    try:
        got = call(*arguments)
    except bf.BusError as error:
        bf.equal(error.name, name, f'error of {call.__name__}{arguments} ({error.message})')
        bf.check(saying in error.message, f'"{saying}" is in the sentence: {error.message}')
        bf.check(len(error.message.split()) > 4, f'the error has a sentence: {error.message}')
        print(f'# {wanted}: {error.message}')
        return
    raise bf.Failure(f'{call.__name__}{arguments} answered {got} instead of {wanted}')


@contextmanager
def locked(disk):
    """The lock that a partitioner holds while it works."""
    fd = os.open(f'/dev/{disk}', os.O_RDONLY | os.O_CLOEXEC)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX)
        yield
    finally:
        os.close(fd)


bfd.begin()

with bf.scsi_debug(2) as scsi, bfd.policies():
    sda, sdb = scsi.disks()
    for disk, first in ((sda, 1), (sdb, 3)):
        bf.sfdisk(disk, f'label: gpt\nsize=16MiB, uuid={bfd.uuid(first)}, name=data{first}\n'
                  f'size=8MiB, uuid={bfd.uuid(first + 1)}, name=twin\n')
    sda1, sda2, sdb1 = bf.partition(sda, 1), bf.partition(sda, 2), bf.partition(sdb, 1)
    bfd.quiet()

    with bf.case('daemon/bus/properties'):
        bf.check(bf.busctl_get('Version'), 'there is a version')
        bf.equal(bf.busctl_get('KernelInterface'), interface.TOLD, 'KernelInterface')
        bf.equal(bf.busctl_get('ConfigErrors'), [], 'ConfigErrors')
        bf.equal(sum(bf.busctl_get('Counts').values()), 0, 'attachments')

    with bf.case('daemon/bus/attach-and-detach'):
        path = attach(sda1)
        bf.equal(bf.filter_of(sda1), 'bftrack', 'filter when the call is answered')
        a = bfd.attachment(part_uuid=bfd.uuid(1))
        bf.equal((a.path, a.filter, a.identity, a.device, a.state),
                 (path, 'bftrack', f'PARTUUID={bfd.uuid(1)}', sda1, 'attached'), 'the attachment')
        values = bfd.properties(a)
        bf.equal({k: values[k] for k in ('Filter', 'Identity', 'Source', 'Policy', 'Device', 'State', 'GapCount',
                                         'AttachCount', 'Gaps', 'StateReason', 'IntactSince')},
                 {'Filter': a.filter, 'Identity': a.identity, 'Source': 'runtime', 'Policy': '', 'Device': sda1,
                  'State': 'attached', 'GapCount': 0, 'AttachCount': 1, 'Gaps': [], 'StateReason': a.reason,
                  'IntactSince': a.intact_since}, 'properties')
        print_ = {k: v['data'] for k, v in values['Fingerprint'].items()}
        bf.equal((print_['PartUUID'], print_['PartLabel'], print_['PartNumber'], print_['SizeSectors'], print_['Disk']),
                 (bfd.uuid(1), 'data1', 1, 32768, sda), 'fingerprint')
        bf.equal(bf.busctl_get('Counts')['attached'], 1, 'Counts')
        generation = bfd.generation(sda1)
        bf.equal(attach(sda1), path, 'the attachment when it is asked for again')
        bf.equal(bfd.generation(sda1), generation, 'attach after being asked for it again')
        for name in (sda1, f'PARTUUID={bfd.uuid(1)}', 'PARTLABEL=data1', f'/dev/disk/by-partuuid/{bfd.uuid(1)}'):
            bf.equal(bf.busctl_call('GetAttachment', 's', name)[0], path, f'attachment of {name}')
        managed = bf.busctl_call('GetManagedObjects', interface='org.freedesktop.DBus.ObjectManager')[0]
        bf.check(path in managed, 'the object manager knows it')
        detach(sda1)
        bf.equal((bf.filter_of(sda1), bfd.attachments()), ('', []), 'filter and attachments when the call is answered')

    with bf.case('daemon/bus/named-errors'):
        fails('NoSuchDevice', attach, '/dev/none', saying='/dev/none')
        fails('NoSuchDevice', detach, f'PARTUUID={bfd.uuid(77)}')
        # an empty file has nothing to be recognised by
        with kfilter.loop_disk(1 << 20) as loop:
            fails('NoIdentity', attach, f'/dev/{loop}', saying='recognise')
        fails('Ambiguous', attach, 'PARTLABEL=twin', saying=sda2)
        fails(INVALID, attach, sda)
        fails(INVALID, attach, 'PARTUUID=12345')
        fails(INVALID, attach, sda1, 'no/filter')
        fails('NotRegistered', attach, sda1, 'nosuch', saying='modprobe')
        bf.equal(bfd.attachments(), [], 'attachments after an attach that failed')
        fails('NotAttached', detach, sda1)
        fails('NotAttached', ctl, sda1, 'bftrack', 0)
        fails('NoAttachment', lambda: bf.busctl_call('GetAttachment', 's', sda1))
        attach(sda1, 'bfcount')
        fails('Conflict', attach, sda1, saying='bfcount')
        fails('Conflict', detach, sda1, saying='bfcount')
        bf.equal(bf.filter_of(sda1), 'bfcount', 'filter after the conflicts')
        detach(sda1, 'bfcount')
        with kfilter.fault(attach_errno=5):
            fails('Failed', attach, sda1, 'bffault')
        attach(sda1, 'bffault')
        with kfilter.fault(ctl_errno=25):
            fails('NoCommand', ctl, sda1, 'bffault', 0)
        with locked(sda):
            fails('Locked', ctl, sda1, 'bffault', 0)
            fails('Locked', detach, sda1, 'bffault')
        bf.equal(bf.filter_of(sda1), 'bffault', 'filter after the errors')
        detach(sda1, 'bffault')

    with bf.case('daemon/bus/unknown-options'):
        for method, signature, given in (('Attach', 'ss', (sda1, 'bftrack')), ('Detach', 'ss', (sda1, 'bftrack')),
                                         ('Ctl', 'ssuaya(uay)', (sda1, 'bftrack', 0, 0, 0)), ('Reload', '', ()),
                                         ('ListAttachments', '', ())):
            fails(INVALID, lambda m=method, s=signature, g=given:
                  bf.busctl_call(m, f'{s}a{{sv}}', *g, 1, 'force', 'b', 'true'), saying='force')
        bf.equal((bf.filter_of(sda1), bfd.attachments()), ('', []), 'filter and attachments')

    with bf.case('daemon/bus/commands-of-bftrack'):
        attach(sda1)
        kfilter.write_direct(sda1, 0, b'x' * 4096)
        kfilter.write_direct(sda1, 1 << 20, b'x' * 65536)
        result, payload, _ = ctl(sda1, 'bftrack', 0)
        size, block, count, generation, written, clears, _ = struct.unpack('QII16sQII', payload)
        bf.equal((result, size, str(uuid.UUID(bytes=generation)), written, clears),
                 (0, 16 << 20, bfd.generation(sda1), 17, 0), 'info')
        bits = bytes((count + 7) // 8)
        result, payload, buffers = ctl(sda1, 'bftrack', 1, struct.pack('IIQ', 0, count, 0), [(8, bits)])
        found = {n for n in range(count) if buffers[0][n // 8] >> (n % 8) & 1}
        bf.equal((result, found), (0, {0} | set(range((1 << 20) // block, ((1 << 20) + 65536) // block))), 'the map')
        bf.equal(found, kfilter.track_map(sda1), 'the map by the ioctl')
        bf.equal(struct.unpack('IIQ', payload), (0, count, 0), 'the payload comes back without the address')
        # the attachment's own methods
        a = bfd.attachment(part_uuid=bfd.uuid(1))
        bf.equal(bf.busctl_call('Ctl', 'uaya(uay)a{sv}', 2, 0, 0, 0, path=a.path, interface=bfd.ATTACHMENT)[0], 0, 'clear')
        bf.equal(kfilter.track_map(sda1), set(), 'the map after clear')
        for payload, buffers, words in ((bytes(16), [], 'buffer'), (bytes(15), [(7, bits)], 'payload'),
                                        (struct.pack('IIQ', 0, count, 0), [(8, bits[:-1])], 'n_blocks'),
                                        (struct.pack('IIQ', 4, 8, 0), [(8, bits)], 'first_block'),
                                        (struct.pack('IIQ', 0, count, 0), [(0, bits)], 'offset')):
            fails(INVALID, ctl, sda1, 'bftrack', 1, payload, buffers, saying=words)
        fails('RawCommand', ctl, sda1, 'bftrack', 77, saying='RawCommands=yes')
        with bfd.configured(RawCommands='yes'):
            bf.equal(bf.busctl_get('RawCommands'), True, 'RawCommands')
            bf.equal(ctl(sda1, 'bftrack', 77)[0], -22, 'what the filter answers to a command it does not know')
        bf.equal(ctl(sda1, 'bftrack', 1, struct.pack('IIQ', count + 8, 8, 0), [(8, bits)])[0], -22, 'out of range')
        bf.busctl_call('Detach', 'a{sv}', 0, path=a.path, interface=bfd.ATTACHMENT)
        bf.equal(bf.filter_of(sda1), '', 'filter')

    with bf.case('daemon/bus/commands-of-bfcount'):
        attach(sda1, 'bfcount')
        ctl(sda1, 'bfcount', 1)
        kfilter.write_direct(sda1, 0, b'x' * 8192)
        kfilter.read_direct(sda1, 0, 4096)
        result, payload, _ = ctl(sda1, 'bfcount', 0)
        told = dict(zip(kfilter.COUNTERS, struct.unpack('6Q', payload)))
        bf.equal((result, told['writes'], told['write_bytes']), (0, 1, 8192), 'writes')
        # the daemon's own look at the identity reads the disk, not the partition
        bf.check(told['reads'] >= 1 and told['read_bytes'] >= 4096, f'reads: {told}')
        ctl(sda1, 'bfcount', 1)
        bf.equal(kfilter.counters(sda1)['writes'], 0, 'writes after the reset')
        detach(sda1, 'bfcount')

    with bf.case('daemon/bus/detached-by-hand-stays-so'):
        what = {'part_uuid': bfd.uuid(1)}
        bfd.put_policy('20-data.conf', **what)
        generation = bfd.wait_attached(sda1)
        bfd.quiet()
        detach(sda1)
        bf.equal(bf.filter_of(sda1), '', 'filter when the call is answered')
        a = bfd.wait_state('detached', **what)
        print(f'# {a.reason}')
        for change in (lambda: bfd.reread(sda), bfd.restart, bfd.kill, bfd.reload,
                       lambda: (scsi.remove(sda), scsi.rescan(2))):
            change()
            bfd.quiet()
            bfd.wait_state('detached', **what)
            bf.equal(bf.filter_of(sda1), '', 'filter of what is held')
        attach(sda1)
        bfd.wait_state('attached', **what)
        bf.equal([g.reason for g in bfd.gaps(a)], ['detached'], 'reasons of the gaps')
        bf.equal(bfd.properties(a)['Source'], 'policy', 'source')
        generation = bfd.generation(sda1)
        bfd.reread(sda)
        bfd.wait_attached(sda1, other_than=generation)
        bfd.quiet()

    with bf.case('daemon/bus/policy-goes-filter-stays'):
        generation = bfd.generation(sda1)
        (bfd.POLICY_FOLDER / '20-data.conf').unlink()
        bfd.reload()
        a = bfd.wait_state('orphaned', part_uuid=bfd.uuid(1))
        bf.equal(bfd.generation(sda1), generation, 'attach')
        detach(sda1)
        bf.equal(bfd.attachments(), [], 'attachments')

    with bf.case('daemon/bus/run-time-attachment-survives'):
        attach(sda1)
        for change in (lambda: bfd.reread(sda), bfd.restart, lambda: bfd.reread(sda)):
            change()
            bfd.wait_attached(sda1)
            bfd.quiet()
            a = bfd.wait_state('attached', part_uuid=bfd.uuid(1))
            bf.equal((a.device, bfd.properties(a)['Source']), (sda1, 'runtime'), 'device and source')
        bf.equal(bfd.properties(a)['GapCount'], 2, 'gaps')

    with bf.case('daemon/bus/signals'):
        a = bfd.attachment(part_uuid=bfd.uuid(1))
        with subprocess.Popen(['busctl', 'monitor', '--json=short', bf.BUS_NAME], stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, text=True) as monitor:
            try:
                seen = []

                def read_until(word):
                    for line in monitor.stdout:
                        seen.append(line)
                        if word in line:
                            return
                    raise bf.Failure(f'"{word}" was not seen on the bus')

                read_until('Monitoring bus')
                bfd.reread(sda)
                read_until('"member":"FilterLost"')
                bf.check(sda1 in seen[-1] and 'removed' in seen[-1] and a.path in seen[-1], f'all is told: {seen[-1]}')
                read_until('"member":"FilterRestored"')
                bf.check(sda1 in seen[-1] and a.path in seen[-1], f'all is told: {seen[-1]}')
                bf.check(any('PropertiesChanged' in line and a.path in line and 'IntactSince' in line for line in seen),
                         'the properties were told')
            finally:
                monitor.kill()
        bfd.wait_attached(sda1)
        bfd.quiet()
        detach(sda1)

    with bf.case('daemon/bus/a-device-that-hangs'):
        with kfilter.fault(attach_hang=1):
            # busctl and most others give up after 25 s, so the answer comes before
            began = time.monotonic()
            with stall.Watch() as watch:
                fails('TimedOut', attach, sda1, 'bffault', saying='not answered')
            took = time.monotonic() - began
            bf.check(took - watch.lost < 25,
                     f'the answer came in time ({took:.1f} s, {watch.lost:.1f} s of them the machine stood still)')
            # the others go on
            attach(sdb1)
            bf.equal(bf.filter_of(sdb1), 'bftrack', 'filter of another disk')
            a = bfd.wait_state('stuck', part_uuid=bfd.uuid(1), filter_name='bffault')
            print(f'# {a.reason}')
            detach(sdb1)
            bf.equal(bfd.unit_property('ActiveState'), 'active', 'the daemon')
        # it answers after all
        bfd.wait_state('attached', part_uuid=bfd.uuid(1), filter_name='bffault')
        bf.equal(bf.filter_of(sda1), 'bffault', 'filter')
        detach(sda1, 'bffault')

    with bf.case('daemon/bus/activation'):
        bfd.stop()
        bf.equal(bfd.unit_property('ActiveState'), 'inactive', 'the daemon')
        bf.check(bf.busctl_get('Version', user=bf.UNPRIVILEGED), 'it answers')
        bf.equal(bfd.unit_property('ActiveState'), 'active', 'the daemon')

bfd.end('daemon/bus')
