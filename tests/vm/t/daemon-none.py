# SPDX-License-Identifier: LGPL-2.1-or-later
# vm: suite=no-filters limit=180
"""The daemon on a kernel that has no filters: it says so, everywhere, and is in nobody's way."""

import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(__file__), '..', 'guest'))
# pylint: disable=wrong-import-position
import bf
import bfd

WHAT = {'part_uuid': bfd.uuid(1)}
UNSUPPORTED = bfd.ERROR + 'Unsupported'

bfd.begin(filters=())

with bf.case('daemon/none/kernel-has-no-filters'):
    bf.equal(bf.filter_of('vda'), None, 'the attribute of the root disk')

with bf.case('daemon/none/daemon-says-so'):
    bf.wait_for(lambda: bf.busctl_get('KernelInterface') == 'none', what='KernelInterface to be none')
    bf.equal(bfd.unit_property('ActiveState'), 'active', bf.UNIT)
    bf.check('interface none' in bfd.unit_property('StatusText'), f'StatusText: {bfd.unit_property("StatusText")}')
    said = [line for line in bf.journal().splitlines() if 'no block device filters' in line]
    bf.equal(len(said), 1, f'sentences about it in the journal: {said}')

with bf.scsi_debug() as scsi, bfd.policies():
    sda, = scsi.disks()
    bf.sfdisk(sda, f'label: gpt\nsize=16MiB, uuid={bfd.uuid(1)}, name=data\nsize=8MiB, name=other\n')
    sda1 = bf.partition(sda, 1)

    with bf.case('daemon/none/policies-wait'):
        bfd.put_policy('20-data.conf', **WHAT)
        a = bfd.wait_state('unsupported', **WHAT)
        bf.check('kernel' in a.reason and 'boot' in a.reason, f'what to do: {a.reason}')
        bf.equal((a.device, a.intact_since), ('', 0), 'device and IntactSince')
        bf.equal(bf.busctl_get('Counts')['unsupported'], 1, 'Counts')
        print(f'# {a.reason}')

    with bf.case('daemon/none/calls-are-refused-by-name'):
        for method, signature, more in (('Attach', 'ssa{sv}', (0,)), ('Detach', 'ssa{sv}', (0,)),
                                        ('Ctl', 'ssuaya(uay)a{sv}', (0, 0, 0, 0))):
            try:
                bf.busctl_call(method, signature, sda1, 'bftrack', *more)
            except bf.BusError as error:
                bf.equal(error.name, UNSUPPORTED, f'error of {method}')
                bf.check('kernel' in error.message, f'the sentence of {method}: {error.message}')
            else:
                raise bf.Failure(f'{method} was done')
        bf.equal([a.state for a in bfd.attachments()], ['unsupported'], 'attachments')

    with bf.case('daemon/none/re-reads-go-on'):
        for _ in range(10):
            bf.settle()
            bf.sh(f'blockdev --rereadpt /dev/{sda}')
        bfd.quiet()
        bfd.wait_state('unsupported', **WHAT)

    with bf.case('daemon/none/restart'):
        bfd.restart()
        bf.wait_for(lambda: bf.busctl_get('KernelInterface') == 'none', what='KernelInterface to be none')
        bfd.wait_state('unsupported', **WHAT)

with bf.case('daemon/none/no-crash-and-no-error'):
    bf.equal((bfd.unit_property('ActiveState'), bfd.unit_property('NRestarts')), ('active', '0'), 'state and restarts')
    bf.equal([m['MESSAGE'] for m in bfd.messages(priority='err')], [], 'errors in the journal')

bf.done()
