# SPDX-License-Identifier: LGPL-2.1-or-later
# vm: suite=interfaces interface=none limit=300
"""A kernel without filters, to which they come while the daemon runs: with the module that offers /dev/bdevfilter. The
policies come into force by themselves, without a restart or a reload; and the module goes again."""

import os
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(__file__), '..', 'guest'))
# pylint: disable=wrong-import-position
import bf
import bfd
import blkctl
import interface
import kfilter
import nofilters

GROUP = 'daemon/later-module'
WHAT = nofilters.WHAT


def module_comes(size):
    bf.sh(f'modprobe bdevfilter attach_size={size}')
    interface.become(f'bdevfilter-{size}')


def module_goes():
    bf.settle()
    bf.sh('modprobe --remove bdevfilter')
    interface.become('none')


def came_since(since):
    return [m['MESSAGE'] for m in bfd.messages(since) if 'bdevfilter' in m['MESSAGE']]


bfd.begin(filters=())

with bf.scsi_debug() as scsi, bfd.policies():
    sda, = scsi.disks()
    bf.sfdisk(sda, f'label: gpt\nsize=16MiB, uuid={bfd.uuid(1)}, name=data\nsize=8MiB, uuid={bfd.uuid(2)}\n')
    sda1, sda2 = bf.partition(sda, 1), bf.partition(sda, 2)
    nofilters.run(GROUP, sda)
    pid = bf.main_pid()

    with bf.case(f'{GROUP}/the-interface-comes-and-the-filter-does-not'):
        since = time.time()
        module_comes(56)
        bf.wait_for(lambda: bf.busctl_get('KernelInterface') == 'bdevfilter', what='KernelInterface to be bdevfilter')
        a = bfd.wait_state('failed', **WHAT)
        bf.check('modprobe bftrack' in a.reason, f'what to do: {a.reason}')
        print(f'# {a.reason}')
        bf.equal(len(came_since(since)), 1, f'sentences about it in the journal: {came_since(since)}')

    with bf.case(f'{GROUP}/the-filter-comes-and-the-policy-is-in-force'):
        bf.sh('modprobe bftrack')
        generation = bfd.wait_attached(sda1)
        bfd.wait_state('attached', **WHAT)
        bfd.reread(sda)
        bfd.wait_attached(sda1, other_than=generation)
        bfd.quiet()
        bf.check('bdevfilter' in bfd.unit_property('StatusText'), f'StatusText: {bfd.unit_property("StatusText")}')
        bf.check(blkctl.ctl('probe').startswith('bdevfilter'), 'probe names it')

    with bf.case(f'{GROUP}/the-module-goes-and-that-is-told'):
        # as far as it can: what is attached keeps the filter's module, not the one of the node
        since = time.time()
        bf.busctl_call('Detach', 'ssa{sv}', sda1, 'bftrack', 0)
        bf.equal(kfilter.refcount('bftrack'), 0, 'devices with bftrack on them')
        module_goes()
        nofilters.wait_none()
        said = [m['MESSAGE'] for m in bfd.messages(since) if 'no block device filters' in m['MESSAGE']]
        bf.equal(len(said), 1, f'sentences about it in the journal: {said}')
        bf.check('no block device filters' in blkctl.ctl('probe', status=1), 'probe says it')
        bf.check('no block device filters' in blkctl.ctl(f'attach {sda2} bftrack', status=3), 'and so does attach')

    with bf.case(f'{GROUP}/the-earlier-form-comes'):
        blkctl.ctl(f'forget {sda1}')
        module_comes(40)
        bfd.wait_attached(sda1)
        bfd.wait_state('attached', **WHAT)
        blkctl.ctl(f'attach {sda2} bftrack')
        bfd.wait_attached(sda2)
        blkctl.ctl(f'detach {sda2}')

    with bf.case(f'{GROUP}/one-daemon-all-the-while'):
        nofilters.is_well()
        bf.equal(bf.main_pid(), pid, 'its process')
        bf.equal([m['MESSAGE'] for m in bfd.messages(priority='err')], [], 'errors in the journal')

with bf.case(f'{GROUP}/and-gone-again'):
    module_goes()
    nofilters.wait_none()

bf.done()
