# SPDX-License-Identifier: LGPL-2.1-or-later
# vm: interfaces-long limit=300
"""Who may do what on the bus: an unprivileged user reads all and changes nothing, unless polkit says so; root is served;
without polkit it is root only. The methods are those of the introspection: one that is not known here to only read
must be refused."""

import os
import sys
import xml.etree.ElementTree as ElementTree
from contextlib import contextmanager
from pathlib import Path

sys.path.insert(0, os.path.join(os.path.dirname(__file__), '..', 'guest'))
# pylint: disable=wrong-import-position
import bf
import bfd
import kfilter

USER = bf.UNPRIVILEGED
REFUSALS = ('org.freedesktop.DBus.Error.AccessDenied', 'org.freedesktop.DBus.Error.InteractiveAuthorizationRequired')
RULES = Path('/etc/polkit-1/rules.d/10-blkfilter-test.rules')

# What only reads. Properties.Set has a case of its own.
READING = {
    'org.freedesktop.DBus.Peer.Ping', 'org.freedesktop.DBus.Peer.GetMachineId',
    'org.freedesktop.DBus.Introspectable.Introspect',
    'org.freedesktop.DBus.Properties.Get', 'org.freedesktop.DBus.Properties.GetAll',
    'org.freedesktop.DBus.ObjectManager.GetManagedObjects',
    'org.blkfilter1.Manager.GetAttachment', 'org.blkfilter1.Manager.ListAttachments',
    'org.blkfilter1.Manager.Explain',
}
SET = 'org.freedesktop.DBus.Properties.Set'


def interfaces(path):
    """The introspection of an object: a list of its interfaces' elements."""
    text = bf.busctl_call('Introspect', path=path, interface='org.freedesktop.DBus.Introspectable')[0]
    return ElementTree.fromstring(text).findall('interface')


def methods(path):
    """The methods of an object: interface, name, signature, names of the arguments."""
    for interface in interfaces(path):
        for method in interface.findall('method'):
            arguments = [a for a in method.findall('arg') if a.get('direction', 'in') == 'in']
            yield (interface.get('name'), method.get('name'), ''.join(a.get('type') for a in arguments),
                   [a.get('name') for a in arguments])


def arguments_of(names, interface, method, part):
    """Arguments that make sense, so that nothing but the authorization can refuse the call."""
    values = {'device': [part], 'filter': ['bftrack'], 'options': [0], 'command': [0], 'payload': [0], 'buffers': [0]}
    if method == 'CtlMemfd':
        # the map of 8 blocks
        values |= {'command': [1], 'payload': [16, *bytes(4), 8, *bytes(11)], 'buffers': [1, 8, 8]}
    if interface == 'org.freedesktop.DBus.Properties':
        # sd-bus gives them no names
        return [bf.MANAGER, 'Version'][:len(names)]
    return [word for name in names for word in values[name]]


def refused(user, part, path, interface, name, signature, names):
    """Calls as the user. Fails unless the call is refused."""
    try:
        bf.busctl_call(name, signature, *arguments_of(names, interface, name, part), user=user, path=path, interface=interface)
    except bf.BusError as error:
        bf.check(error.name in REFUSALS, f'{interface}.{name} of {path} is refused for lack of authority: {error}')
        return str(error)
    raise bf.Failure(f'{interface}.{name} of {path} was done for an unprivileged user')


@contextmanager
def no_polkit():
    bf.sh('systemctl mask --runtime --quiet polkit.service && systemctl stop polkit.service')
    try:
        yield
    finally:
        bf.sh('systemctl unmask --runtime --quiet polkit.service && systemctl start polkit.service')


bfd.begin()

with bf.scsi_debug() as scsi, bfd.policies():
    sda, = scsi.disks()
    bf.sfdisk(sda, f'label: gpt\nsize=16MiB, uuid={bfd.uuid(1)}, name=data\nsize=8MiB, uuid={bfd.uuid(2)}, name=other\n')
    sda1, sda2 = bf.partition(sda, 1), bf.partition(sda, 2)
    bfd.put_policy('20-data.conf', part_uuid=bfd.uuid(1))
    generation = bfd.wait_attached(sda1)
    bfd.quiet()
    attachment = bfd.wait_state('attached', part_uuid=bfd.uuid(1))
    objects = (bf.MANAGER_PATH, attachment.path)

    def as_before():
        bf.equal((bfd.generation(sda1), bf.filter_of(sda2)), (generation, ''), 'filters')
        bf.equal([(a.path, a.state) for a in bfd.attachments()], [(attachment.path, 'attached')], 'attachments')

    with bf.case('daemon/bus-access/user-is-refused-what-changes'):
        changing = [(path, *method) for path in objects for method in methods(path)
                    if f'{method[0]}.{method[1]}' not in READING | {SET}]
        bf.equal(sorted(f'{m[1].rpartition(".")[2]}.{m[2]}' for m in changing),
                 ['Attachment.Ctl', 'Attachment.CtlMemfd', 'Attachment.Detach', 'Attachment.Forget', 'Manager.Attach',
                  'Manager.Ctl', 'Manager.CtlMemfd', 'Manager.Detach', 'Manager.Reload'], 'methods that change something, by the introspection')
        for method in changing:
            refused(USER, sda1, *method)
        # a command that is not known, too
        try:
            with bfd.configured(RawCommands='yes'):
                bf.busctl_call('Ctl', 'ssuaya(uay)a{sv}', sda1, 'bftrack', 77, 0, 0, 0, user=USER)
            raise bf.Failure('a raw command was done for an unprivileged user')
        except bf.BusError as error:
            bf.check(error.name in REFUSALS, f'a raw command is refused: {error}')
        # nor how much is logged
        try:
            bf.busctl_call('Set', 'ssv', 'org.freedesktop.LogControl1', 'LogLevel', 's', 'debug', user=USER,
                           path='/org/freedesktop/LogControl1', interface='org.freedesktop.DBus.Properties')
            raise bf.Failure('an unprivileged user turned the log up')
        except bf.BusError as error:
            bf.check(error.name in REFUSALS, f'the log level is not for users: {error}')
        as_before()

    with bf.case('daemon/bus-access/no-property-can-be-written'):
        n = 0
        for path in objects:
            for interface in interfaces(path):
                for prop in interface.findall('property'):
                    n += 1
                    bf.equal(prop.get('access'), 'read', f'access of {interface.get("name")}.{prop.get("name")}')
        bf.check(n >= 15, f'there are properties ({n})')
        for user in (USER, None):
            try:
                bf.busctl_call('Set', 'ssv', bf.MANAGER, 'Version', 's', 'mine', user=user,
                               interface='org.freedesktop.DBus.Properties')
            except bf.BusError:
                continue
            raise bf.Failure(f'{user or "root"} could set Version')

    with bf.case('daemon/bus-access/user-is-served-what-reads'):
        served = 0
        for path in objects:
            for interface, name, signature, names in methods(path):
                if f'{interface}.{name}' not in READING:
                    continue
                values = arguments_of(names, interface, name, sda1)
                if name in ('Get', 'GetAll'):
                    kind, prop = (bf.MANAGER, 'Version') if path == bf.MANAGER_PATH else (bfd.ATTACHMENT, 'State')
                    values = [kind, prop][:len(names)]
                as_user = bf.busctl_call(name, signature, *values, user=USER, path=path, interface=interface)
                as_root = bf.busctl_call(name, signature, *values, path=path, interface=interface)
                bf.equal(as_user, as_root, f'answers of {interface}.{name} to user and root')
                served += 1
        bf.check(served >= 9, f'many methods were called ({served})')
        for name in ('Version', 'KernelInterface', 'ConfigErrors', 'Counts'):
            bf.equal(bf.busctl_get(name, user=USER), bf.busctl_get(name), f'{name} for user and root')

    with bf.case('daemon/bus-access/nobody-else-is-the-daemon'):
        try:
            bf.busctl_call('RequestName', 'su', bf.BUS_NAME, 2, user=USER, service='org.freedesktop.DBus',
                           path='/org/freedesktop/DBus', interface='org.freedesktop.DBus')
        except bf.BusError as error:
            bf.equal(error.name, REFUSALS[0], 'error')
        else:
            raise bf.Failure('the user could own the name of the daemon')

    with bf.case('daemon/bus-access/root-is-served'):
        bf.busctl_call('Reload', 'a{sv}', 0)
        bf.busctl_call('Attach', 'ssa{sv}', sda2, 'bftrack', 0)
        bf.equal(bf.filter_of(sda2), 'bftrack', f'filter of {sda2}')
        bf.equal(bf.busctl_call('Ctl', 'ssuaya(uay)a{sv}', sda2, 'bftrack', 2, 0, 0, 0)[0], 0, 'result of a command')
        bf.busctl_call('Detach', 'ssa{sv}', sda2, 'bftrack', 0)
        as_before()

    with bf.case('daemon/bus-access/polkit-rule-lets-the-user'):
        # the rule sees which device and which filter are meant
        RULES.write_text(f'''polkit.addRule(function(action, subject) {{
            if (subject.user == "{USER}" && action.id == "org.blkfilter1.attach" &&
                action.lookup("device") == "{sda2}" && action.lookup("filter") == "bfcount" &&
                action.lookup("identity").indexOf("{bfd.uuid(2)}") >= 0)
                return polkit.Result.YES;
        }});''', encoding='utf-8')
        RULES.chmod(0o644)
        try:
            bf.sh('systemctl restart polkit.service')
            bf.busctl_call('Attach', 'ssa{sv}', sda2, 'bfcount', 0, user=USER)
            bf.equal(bf.filter_of(sda2), 'bfcount', f'filter of {sda2}')
            refused(USER, sda2, bf.MANAGER_PATH, bf.MANAGER, 'Attach', 'ssa{sv}', ['device', 'filter', 'options'])
            refused(USER, sda1, bf.MANAGER_PATH, bf.MANAGER, 'Detach', 'ssa{sv}', ['device', 'filter', 'options'])
            bf.busctl_call('Detach', 'ssa{sv}', sda2, 'bfcount', 0)
        finally:
            RULES.unlink()
            bf.sh('systemctl restart polkit.service')
        try:
            bf.busctl_call('Attach', 'ssa{sv}', sda2, 'bfcount', 0, user=USER)
            raise bf.Failure('an earlier yes was remembered')
        except bf.BusError as error:
            bf.check(error.name in REFUSALS, f'without the rule it is refused: {error}')
        as_before()

    with bf.case('daemon/bus-access/without-polkit-root-only'):
        with no_polkit():
            for path in objects:
                for method in methods(path):
                    if f'{method[0]}.{method[1]}' not in READING | {SET}:
                        text = refused(USER, sda1, path, *method)
                        bf.check('polkit' in text, f'the sentence names polkit: {text}')
            print(f'# {text}')
            as_before()
            bf.equal(bf.busctl_call('GetAttachment', 's', sda1, user=USER)[0], attachment.path, 'what a user reads')
            bf.busctl_call('Attach', 'ssa{sv}', sda2, 'bftrack', 0)
            bf.busctl_call('Detach', 'ssa{sv}', sda2, 'bftrack', 0)
            as_before()

    with bf.case('daemon/bus-access/nothing-left-behind'):
        bf.equal(kfilter.refcount('bftrack'), 1, 'devices with bftrack on them')

bfd.end('daemon/bus-access')
