# SPDX-License-Identifier: LGPL-2.1-or-later
# vm: interfaces-long limit=300
"""Clients that others wrote drive the daemon: GLib's gdbus, the Python bindings of dbus, busctl monitor. (busctl's calls are
daemon-bus.)"""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

sys.path.insert(0, os.path.join(os.path.dirname(__file__), '..', 'guest'))
# pylint: disable=wrong-import-position
import bf
import bfd

ROOT = '/org/blkfilter1'

# What a script of somebody else would do, by the system's own Python and its bindings.
PYTHON = '''
import mmap
import os
import struct
import sys
import dbus

device, filter_name = sys.argv[1:]
bus = dbus.SystemBus()
manager = dbus.Interface(bus.get_object('org.blkfilter1', '/org/blkfilter1'), 'org.blkfilter1.Manager')
path = manager.Attach(device, filter_name, dbus.Dictionary({}, signature='sv'))
assert manager.GetAttachment(device) == path
attachment = bus.get_object('org.blkfilter1', path)
values = dbus.Interface(attachment, 'org.freedesktop.DBus.Properties').GetAll('org.blkfilter1.Attachment')
assert values['State'] == 'attached' and values['Device'] == device and values['IntactSince'] > 0, values
assert [row[0] for row in manager.ListAttachments({})] == [path]
result, payload, buffers = manager.Ctl(device, filter_name, dbus.UInt32(0), dbus.Array([], signature='y'),
                                       dbus.Array([], signature='(uay)'), dbus.Dictionary({}, signature='sv'))
assert result == 0 and len(payload) == 48 and not buffers
assert manager.Explain(device)[3] == path

written = os.open(device, os.O_WRONLY | os.O_SYNC)
os.pwrite(written, bytes(4096), 1 << 20)
os.close(written)
blocks = struct.unpack_from('QII', bytes(payload))[2]
call = (dbus.UInt32(1), dbus.Array(struct.pack('IIQ', 0, blocks, 0), signature='y'))
result, _, buffers = manager.Ctl(device, filter_name, *call, dbus.Array([(dbus.UInt32(8), bytes(blocks // 8))], signature='(uay)'),
                                 dbus.Dictionary({}, signature='sv'))
assert result == 0 and any(buffers[0]), buffers
# more room than a message has
result, payload, memfd, offsets = manager.CtlMemfd(device, filter_name, *call,
                                                   dbus.Array([(dbus.UInt32(8), dbus.UInt32(48 << 20))], signature='(uu)'),
                                                   dbus.Dictionary({}, signature='sv'))
memfd = memfd.take()
assert result == 0 and not any(payload[8:16]) and len(offsets) == 1
assert os.pread(memfd, blocks // 8, offsets[0]) == bytes(buffers[0])
assert not any(os.pread(memfd, 48 << 20, offsets[0] + blocks // 8)) and os.fstat(memfd).st_size >= offsets[0] + (48 << 20)
for change in lambda: os.pwrite(memfd, b'x', 0), lambda: os.ftruncate(memfd, 0), lambda: mmap.mmap(memfd, 4096):
    try:
        change()
    except PermissionError:
        pass
    else:
        raise AssertionError('what was given can be changed')
try:
    manager.Attach(device, filter_name, {'nonsense': True})
except dbus.exceptions.DBusException as error:
    assert error.get_dbus_name() == 'org.freedesktop.DBus.Error.InvalidArgs', error
else:
    raise AssertionError('an unknown option was taken')
try:
    manager.GetAttachment('/dev/nonesuch')
except dbus.exceptions.DBusException as error:
    assert error.get_dbus_name() == 'org.blkfilter1.Error.NoSuchDevice', error
else:
    raise AssertionError('there is no such device')
manager.Detach(device, filter_name, dbus.Dictionary({}, signature='sv'))
assert not manager.ListAttachments({})
print('done')
'''


def gdbus(method, *arguments, path=ROOT, status=0):
    words = ' '.join(f"'{a}'" for a in arguments)
    output = bf.sh(f'gdbus call --system --dest org.blkfilter1 --object-path {path} --method {method} {words} 2>&1; '
                   'echo status=$?')
    output, _, got = output.rstrip().rpartition('status=')
    bf.equal(int(got), status, f'exit status of gdbus call {method} {words}, which printed: {output}')
    return output.strip()


bfd.begin()

with bf.scsi_debug(1) as scsi, bfd.policies():
    sda, = scsi.disks()
    bf.sfdisk(sda, f'label: gpt\nsize=16MiB, uuid={bfd.uuid(1)}, name=data\n')
    sda1 = bf.partition(sda, 1)
    bfd.quiet()

    with bf.case('daemon/clients/gdbus'):
        text = bf.sh(f'gdbus introspect --system --dest org.blkfilter1 --object-path {ROOT}')
        bf.check('Explain(in  s device,' in text and 'FilterLost(o attachment,' in text, f'the introspection: {text}')
        path = re.fullmatch(r"\(objectpath '(.*)',\)", gdbus('org.blkfilter1.Manager.Attach', sda1, 'bftrack', '{}')).group(1)
        bf.equal(bf.filter_of(sda1), 'bftrack', 'filter')
        bf.equal(gdbus('org.freedesktop.DBus.Properties.Get', 'org.blkfilter1.Attachment', 'State', path=path),
                 "(<'attached'>,)", 'State')
        bf.check(path in gdbus('org.blkfilter1.Manager.ListAttachments', '{}'), 'it is in the list')
        bf.check(path in gdbus('org.freedesktop.DBus.ObjectManager.GetManagedObjects'), 'and in the object manager')
        bf.check(gdbus('org.blkfilter1.Manager.Ctl', sda1, 'bftrack', '0', '[]', '[]', '{}').startswith('(0, [byte '), 'info')
        bf.equal(gdbus('org.blkfilter1.Manager.Reload', '{}'), '(@a(sus) [],)', 'errors in the policies')
        gdbus('org.blkfilter1.Attachment.Detach', '{}', path=path)
        bf.equal(bf.filter_of(sda1), '', 'filter')
        bf.check('org.blkfilter1.Error.NotAttached' in
                 gdbus('org.blkfilter1.Manager.Detach', sda1, 'bftrack', '{}', status=1), 'the error has its name')

    with bf.case('daemon/clients/python-dbus'):
        script = Path('/run/client.py')
        script.write_text(PYTHON, encoding='utf-8')
        bf.equal(bf.sh(f'/usr/bin/python3 {script} {sda1} bftrack'), 'done\n', 'what the script says')

    with bf.case('daemon/clients/busctl-monitor'):
        seen = Path('/run/monitor.json')
        with seen.open('w', encoding='utf-8') as out:
            monitor = subprocess.Popen(['busctl', 'monitor', '--json=short', bf.BUS_NAME], stdout=out, stderr=out)
        try:
            bf.wait_for(lambda: 'Monitoring' in seen.read_text(encoding='utf-8'), what='busctl monitor')
            bf.sh(f'blkfilterctl attach {sda1} bftrack')
            generation = bfd.generation(sda1)
            bfd.reread(sda)
            bfd.wait_attached(sda1, other_than=generation)

            def members():
                return [json.loads(line).get('member') for line in seen.read_text(encoding='utf-8').splitlines()
                        if line.startswith('{') and line.endswith('}')]
            bf.wait_for(lambda: {'InterfacesAdded', 'PropertiesChanged', 'FilterLost', 'FilterRestored'} <= set(members()),
                        what='each signal')
            names = members()
            bf.check(names.index('FilterLost') < names.index('FilterRestored'), 'lost before restored')
        finally:
            monitor.terminate()
            monitor.wait()
        bf.sh(f'blkfilterctl detach {sda1}')

    with bf.case('daemon/clients/systemctl-log-level'):
        bf.equal(bf.sh(f'systemctl service-log-level {bf.UNIT}').strip(), 'info', 'log level')
        bf.sh(f'systemctl service-log-level {bf.UNIT} debug')
        bf.equal(bf.sh(f'systemctl service-log-level {bf.UNIT}').strip(), 'debug', 'log level')
        bf.sh(f'blkfilterctl attach {sda1} bftrack && blkfilterctl detach {sda1}')
        bf.wait_for(lambda: 'attach, /dev/' in bf.journal(), what='a worker\'s job in the journal')
        bf.sh(f'systemctl service-log-level {bf.UNIT} info')

bfd.end('daemon/clients')
