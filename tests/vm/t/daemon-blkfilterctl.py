# SPDX-License-Identifier: LGPL-2.1-or-later
# vm: interfaces limit=420
"""blkfilterctl in the machine, as an administrator types it: each verb, its exit status, and what the other tools say."""

import json
import os
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

sys.path.insert(0, os.path.join(os.path.dirname(__file__), '..', 'guest'))
# pylint: disable=wrong-import-position
import bf
import bfd
import bfp
import interface
from blkctl import ctl, ctl_json

FILE = '20-data.conf'


class Monitor:
    """blkfilterctl monitor --json=short, from the with statement's begin on."""

    def __enter__(self):
        self.path = Path('/run/monitor.out')
        with self.path.open('w', encoding='utf-8') as out:
            self.process = subprocess.Popen(['blkfilterctl', 'monitor', '--json=short'], stdout=out, stderr=out)
        return self

    def events(self):
        return [json.loads(line) for line in self.path.read_text(encoding='utf-8').splitlines()]

    def wait(self, what, **fields):
        return bf.wait_for(lambda: any(e['event'] == what and all(e[k] == v for k, v in fields.items()) for e in self.events()),
                           60, f'{what} {fields}')

    def __exit__(self, *_):
        self.process.terminate()
        self.process.wait()


bfd.begin()

with bf.scsi_debug(1) as scsi, bfp.only():
    sda, = scsi.disks()
    bf.sfdisk(sda, f'label: gpt\nsize=16MiB, uuid={bfd.uuid(1)}, name=data\nsize=8MiB, uuid={bfd.uuid(2)}\n')
    sda1, sda2 = bf.partition(sda, 1), bf.partition(sda, 2)
    bfd.quiet()

    with bf.case('daemon/blkfilterctl/nothing-yet'):
        bf.check('0 attachments' in ctl('list'), 'it says that there are none')
        bf.check(ctl('probe').startswith(interface.TOLD), 'probe names the interface')
        bf.check('blkfilterd' in ctl('status', user=bf.UNPRIVILEGED), 'status is for everybody')
        bf.check('no attachment knows' in ctl(f'status /dev/{bf.name_of(sda1)}', status=3), 'status of what has none')

    with bf.case('daemon/blkfilterctl/policies'):
        path = bfd.write_policy(FILE, f'[Match]\nPartUUID={bfd.uuid(1)}\n[Filter]\nNmae=bftrack\n')
        output = ctl('verify', status=1)
        bf.check(f'{path}:4:' in output and 'Name=' in output, f'file, line and the nearest key: {output}')
        bf.equal(ctl('reload', status=1), output, 'what reload says, as verify')
        bf.equal(json.loads(ctl('verify --json=short', status=1))['errors'][0]['line'], 4, 'line')
        bfd.write_policy(FILE, bfd.policy_text(bfd.uuid(1)))
        bf.check('1 policy is right' in ctl('verify'), 'it is right now')
        bf.check('Name=bftrack' in ctl('cat-config') and str(path) in ctl('cat-config'), 'cat-config has it')
        bf.check('no policy no-such.conf' in ctl('cat-config no-such.conf', status=1), 'a name that is not there')
        ours, theirs = Path(f'{path}.d'), Path(f'/usr/lib/blkfilter.d/{FILE}.d')
        try:
            for folder, name, seconds in ((ours, '10-a', 60), (theirs, '10-a', 5), (theirs, '05-b', 7)):
                folder.mkdir(parents=True, exist_ok=True)
                (folder / f'{name}.conf').write_text(f'[Attach]\nTimeoutSec={seconds}s\n', encoding='utf-8')
            bf.equal(re.findall(r'TimeoutSec=(\d+)s', ctl(f'cat-config {FILE}')), ['7', '60'], 'drop-ins that count')
        finally:
            shutil.rmtree(ours)
            shutil.rmtree(theirs)
        ctl('reload')
        bf.check('bftrack is on' in ctl(f'wait {sda1} --timeout=60'), 'wait ends when it is on')

    with bf.case('daemon/blkfilterctl/what-it-shows'):
        one, = ctl_json('list')['attachments']
        a, = bfp.every()
        bf.equal((one['Path'], one['State'], one['Device'], one['IntactSince'], one['Policy']),
                 (a.path, a.State, a.Device, a.IntactSince, a.Policy), 'as the bus has it')
        bf.equal(ctl_json(f'status PARTUUID={bfd.uuid(1)}')['attachments'], [one], 'status, by its UUID')
        for line in ctl('list').splitlines() + ctl(f'status {sda1}').splitlines():
            print(f'# {line}')
        explained = ctl_json(f'explain {sda1}')
        bf.equal((explained['device'], explained['facts']['PartUUID'], explained['attachment']), (sda1, bfd.uuid(1), a.path),
                 'what explain says')
        verdict, = explained['policies']
        bf.equal((verdict['policy'], verdict['verdict'], [(k['key'], k['line'], k['matches']) for k in verdict['keys']]),
                 (str(path), 'match', [('PartUUID', 2, True)]), 'what it says of the policy')
        output = ctl(f'explain {sda2}')
        bf.check('no  PartUUID=' in output and f'{path}:2' in output, f'what does not fit, and where that is said: {output}')
        for line in output.splitlines():
            print(f'# {line}')
        ctl(f'intact {sda1}')
        ctl(f'intact {sda1} --since=@{time.time():.6f}')
        ctl(f'intact {sda1} --since="1h ago"', status=1)

    with bf.case('daemon/blkfilterctl/a-re-read-is-a-gap'), Monitor() as monitor:
        monitor.wait('attached', Device=sda1)
        before = time.time()
        generation = bfd.generation(sda1)
        bfd.reread(sda)
        bfd.wait_attached(sda1, other_than=generation)
        monitor.wait('lost', Device=sda1, Filter='bftrack', detail='removed')
        monitor.wait('restored', Device=sda1)
        output = ctl(f'intact {sda1} --since=@{before:.6f}', status=1)
        bf.check('rescan' in output, f'the gap is named: {output}')
        ctl(f'intact {sda1}')

    with bf.case('daemon/blkfilterctl/commands'):
        size = int(bf.sh(f'blockdev --getsize64 {sda1}'))
        ctl(f'track clear {sda1}')
        bf.sh(f'dd if=/dev/zero of={sda1} bs=64K seek=3 count=2 oflag=direct status=none')
        info = ctl_json(f'track info {sda1}')
        bf.equal((info['device_size_bytes'], info['generation']), (size, bfd.generation(sda1).replace('-', '')),
                 'size and generation')
        start, length = (int(word) for word in ctl(f'track map {sda1}').split())
        bf.check(start <= 3 << 16 and start + length >= 5 << 16, f'what was written is in {start}+{length}')
        bf.equal(ctl_json(f'track map {sda1}')['written'], [[start, length]], 'the same as JSON')
        ctl(f'attach {sda2} bfcount')
        bf.sh(f'dd if=/dev/zero of={sda2} bs=4K count=1 oflag=direct status=none')
        counters = ctl_json(f'count read {sda2}')
        bf.equal((counters['writes'], counters['write_bytes']), (1, 4096), 'writes and their bytes')
        ctl(f'count reset {sda2}')
        bf.equal(ctl_json(f'count read {sda2}')['writes'], 0, 'writes after the reset')
        bf.check(re.fullmatch('(00){48}\n', ctl(f'ctl {sda2} bfcount 0')), 'the same by its number')
        bf.check('no filter' in ctl(f'attach {sda2} nonesuch', status=3) or 'another filter' in
                 ctl(f'attach {sda2} nonesuch', status=3), 'a sentence')

    with bf.case('daemon/blkfilterctl/off-and-on'):
        ctl(f'detach {sda1}')
        bf.equal(bf.filter_of(sda1), '', 'filter')
        bf.check('detached' in ctl(f'intact {sda1}', status=1), 'it says why')
        ctl(f'attach {sda1} bftrack')
        bf.equal(bf.filter_of(sda1), 'bftrack', 'filter')
        ctl(f'detach {sda2} bfcount')

    with bf.case('daemon/blkfilterctl/forgotten'):
        ctl(f'detach {sda1}')
        ctl(f'forget {sda1}')
        bf.check('bftrack is on' in ctl(f'wait {sda1} --timeout=60'), 'the policy is in force again')
        ctl(f'attach {sda2} bfcount')
        bf.sh(f'sfdisk --quiet --delete /dev/{sda} 2')
        bfd.quiet()
        ctl(f'forget PARTUUID={bfd.uuid(2)}')
        bf.equal([one['Filter'] for one in ctl_json('list')['attachments']], ['bftrack'], 'attachments')
        bf.check('detach it first' in ctl(f'forget {sda1}', status=3), 'it says that it is on')

    with bf.case('daemon/blkfilterctl/an-unprivileged-user'):
        bf.check('sudo' in ctl(f'detach {sda1}', status=3, user=bf.UNPRIVILEGED), 'it says who may')
        bf.equal(bf.filter_of(sda1), 'bftrack', 'filter')
        ctl(f'intact {sda1}', user=bf.UNPRIVILEGED)
        ctl('verify', user=bf.UNPRIVILEGED)

    with bf.case('daemon/blkfilterctl/without-a-bus'):
        os.environ['DBUS_SYSTEM_BUS_ADDRESS'] = 'unix:path=/nonexistent'
        try:
            bf.check('dbus.service' in ctl('list', status=4), 'it says where to look')
            ctl('verify')
            bf.check(f'PartUUID={bfd.uuid(1)}' in ctl('cat-config'), 'cat-config needs none')
        finally:
            del os.environ['DBUS_SYSTEM_BUS_ADDRESS']

bfd.end('daemon/blkfilterctl')
