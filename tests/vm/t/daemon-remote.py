# SPDX-License-Identifier: LGPL-2.1-or-later
# vm: limit=300
"""blkfilterctl -H over a real ssh, and -M through the machine's own ways into a machine and a user's session."""

import contextlib
import json
import os
import subprocess
import sys
from pathlib import Path

sys.path.insert(0, os.path.join(os.path.dirname(__file__), '..', 'guest'))
# pylint: disable=wrong-import-position
import bf
import bfd

SSH = Path('/root/.ssh')


def ctl(words, status=0, user=None):
    """What it prints, both outputs together; a Failure if it ends with another status."""
    output, _, got = bf.sh(f'blkfilterctl {words} 2>&1; echo status=$?', user=user).rstrip().rpartition('status=')
    bf.equal(int(got), status, f'exit status of blkfilterctl {words}, which printed: {output}')
    return output


@contextlib.contextmanager
def ssh_server():
    """sshd with the system's settings, and a key with which root may log in."""
    Path('/run/sshd').mkdir(exist_ok=True)
    SSH.mkdir(mode=0o700, exist_ok=True)
    bf.sh(f'ssh-keygen -A; rm -f {SSH}/id_ed25519; ssh-keygen -q -t ed25519 -N "" -f {SSH}/id_ed25519 && '
          f'cp {SSH}/id_ed25519.pub {SSH}/authorized_keys')
    server = subprocess.Popen(['/usr/sbin/sshd', '-D', '-o', 'ListenAddress=127.0.0.1'])
    try:
        bf.wait_for(lambda: bf.sh(f'ssh-keyscan -t ed25519 localhost 2>/dev/null >{SSH}/known_hosts; cat {SSH}/known_hosts'),
                    what='sshd')
        yield
    finally:
        server.terminate()
        server.wait()


bfd.begin()

with bf.scsi_debug() as scsi, bfd.policies():
    sda, = scsi.disks()
    bf.sfdisk(sda, f'label: gpt\nsize=16MiB, uuid={bfd.uuid(1)}, name=data\nsize=8MiB, uuid={bfd.uuid(2)}\n')
    sda1, sda2 = bf.partition(sda, 1), bf.partition(sda, 2)
    bfd.put_policy('20-data.conf', part_uuid=bfd.uuid(1))
    bfd.wait_attached(sda1)
    bfd.quiet()
    here = ctl('list')
    bf.check(sda1 in here, 'it is in the list')

    def all_of_it(where):
        """Questions and a change: as here."""
        bf.equal(ctl(f'{where} list'), here, f'list {where}')
        bf.equal(json.loads(ctl(f'{where} status {sda1} --json=short'))['attachments'][0]['Device'], sda1, 'Device')
        ctl(f'{where} intact {sda1}')
        ctl(f'{where} attach {sda2} bfcount')
        bf.equal(bf.filter_of(sda2), 'bfcount', 'filter')
        ctl(f'{where} detach {sda2} bfcount')

    with bf.case('daemon/remote/host'), ssh_server():
        all_of_it('-H root@localhost')
        output = ctl('-H root@localhost status /dev/nonesuch', status=3)
        bf.check('answers to /dev/nonesuch' in output, f'the daemon\'s own sentence: {output}')

    with bf.case('daemon/remote/host-that-is-not-there'):
        output = ctl('-H root@localhost list', status=4)
        print(f'# {output}')
        bf.check('root@localhost' in output and 'ssh' in output, f'it says whom it did not reach, and how: {output}')

    with bf.case('daemon/remote/machine'):
        all_of_it('-M .host')
        all_of_it('--machine=root@.host')

    with bf.case('daemon/remote/machine-as-a-user'):
        bf.equal(ctl(f'-M {bf.UNPRIVILEGED}@.host list'), here, 'list as a user')
        output = ctl(f'-M {bf.UNPRIVILEGED}@.host attach {sda2} bfcount', status=3)
        print(f'# {output}')
        bf.equal(bf.filter_of(sda2), '', 'filter')

    with bf.case('daemon/remote/machine-that-is-not-there'):
        output = ctl('-M nonesuch list', status=4)
        print(f'# {output}')
        bf.check('nonesuch' in output, f'it says whom it did not reach: {output}')

    with bf.case('daemon/remote/a-user-may-not-enter-machines'):
        output = ctl('-M .host list', status=4, user=bf.UNPRIVILEGED)
        print(f'# {output}')
        bf.check('root' in output, f'it says who may: {output}')

bfd.end('daemon/remote')
