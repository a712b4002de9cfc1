# SPDX-License-Identifier: LGPL-2.1-or-later
"""The daemon on a kernel that has no filters (none yet): it says so, everywhere, once, and is in nobody's way. Shared
by the test on Debian's own kernel and the one where filters come with a module."""

import time
from collections import Counter

import bf
import bfd
import blkctl

WHAT = {'part_uuid': bfd.uuid(1)}
FILE = '20-data.conf'
UNSUPPORTED = bfd.ERROR + 'Unsupported'

# What an administrator types at a device there, the exit status, and whether what is printed has to be the one sentence
# that says why not. The others work all the same.
VERBS = (
    ('attach {part} bftrack', 3, True),
    ('attach {part} bftrack --persistent', 3, True),
    ('detach {part}', 3, True),
    ('detach {part} bftrack', 3, True),
    ('ctl {part} bftrack 0', 3, True),
    ('count read {part}', 3, True),
    ('count reset {part}', 3, True),
    ('track info {part}', 3, True),
    ('track map {part}', 3, True),
    ('track clear {part}', 3, True),
    ('blksnap info {part}', 3, True),
    ('probe', 1, True),
    ('intact {part}', 1, True),
    ('wait {part} --timeout=1', 1, True),
    ('list', 0, False),
    ('status', 0, False),
    ('status {part}', 0, False),
    ('explain {part}', 0, False),
    ('reload', 0, False),
    ('verify', 0, False),
    ('cat-config', 0, False),
)


def wait_none():
    bf.wait_for(lambda: bf.busctl_get('KernelInterface') == 'none', what='KernelInterface to be none')


def sentences():
    """What the journal has of a kernel without filters."""
    return [line for line in bf.journal().splitlines() if 'no block device filters' in line]


def is_well(n_restarts='0'):
    """The unit is up, not failed, and has not been started again by itself."""
    bf.equal((bfd.unit_property('ActiveState'), bfd.unit_property('Result'), bfd.unit_property('NRestarts')),
             ('active', 'success', n_restarts), 'state, result and restarts of the unit')


def said_twice(since):
    """Warnings and errors that one process has logged more than once."""
    told = Counter((m['_PID'], m['MESSAGE']) for m in bfd.messages(since, priority='warning'))
    return {message: n for (_, message), n in told.items() if n > 1}


def run(group, disk):
    """The cases, on a disk that is made for it; with a policy in place at the end."""
    began = time.time()
    part = bf.partition(disk, 1)

    with bf.case(f'{group}/kernel-has-no-filters'):
        bf.equal(bf.filter_of('vda'), None, 'the filter of the root disk')

    with bf.case(f'{group}/daemon-says-so'):
        wait_none()
        is_well()
        status = bfd.unit_property('StatusText')
        bf.check('none' in status, f'StatusText: {status}')
        bf.equal(len(sentences()), 1, f'sentences about it in the journal: {sentences()}')
        print(f'# {status}\n# {sentences()[0]}')

    with bf.case(f'{group}/policies-wait'):
        bfd.put_policy(FILE, **WHAT)
        a = bfd.wait_state('unsupported', **WHAT)
        bf.check('kernel' in a.reason and 'boot' in a.reason, f'what to do: {a.reason}')
        bf.equal((a.device, a.intact_since), ('', 0), 'device and IntactSince')
        bf.equal(bf.busctl_get('Counts')['unsupported'], 1, 'Counts')
        print(f'# {a.reason}')

    with bf.case(f'{group}/calls-are-refused-by-name'):
        for method, signature, more in (('Attach', 'ssa{sv}', (0,)), ('Detach', 'ssa{sv}', (0,)),
                                        ('Ctl', 'ssuaya(uay)a{sv}', (0, 0, 0, 0))):
            try:
                bf.busctl_call(method, signature, part, 'bftrack', *more)
            except bf.BusError as error:
                bf.equal(error.name, UNSUPPORTED, f'error of {method}')
                bf.check('kernel' in error.message, f'the sentence of {method}: {error.message}')
            else:
                raise bf.Failure(f'{method} was done')
        bf.equal([a.state for a in bfd.attachments()], ['unsupported'], 'attachments')

    for words, status, is_sentence in VERBS:
        verb = words.partition(' {')[0].replace(' ', '-') + ('-persistent' if 'persistent' in words else '') + (
            '-device' if words == 'status {part}' else '-filter' if words == 'detach {part} bftrack' else '')
        with bf.case(f'{group}/blkfilterctl-{verb}'):
            output = blkctl.ctl(words.format(part=part), status)
            print('# ' + '\n# '.join(output.splitlines()))
            if is_sentence:
                # below it, probe has a line for each filter that is wanted
                first, *rest = output.splitlines()
                bf.equal(rest if words != 'probe' else [], [], f'what comes after {first}')
                bf.check('no block device filters' in first, f'it says why: {first}')
                bf.check('boot' in first or 'modprobe' in first, f'and what to do: {first}')
            bf.equal([a.state for a in bfd.attachments()], ['unsupported'], 'attachments')
            bf.equal(len(list(bfd.POLICY_FOLDER.glob('*.conf'))), 1, 'policies')

    with bf.case(f'{group}/re-reads-go-on'):
        for _ in range(10):
            bf.settle()
            bfd.reread(disk)
        bfd.quiet()
        bfd.wait_state('unsupported', **WHAT)

    with bf.case(f'{group}/nothing-is-said-twice'):
        bf.equal(said_twice(began), {}, 'what was logged more than once')
        bf.equal([m['MESSAGE'] for m in bfd.messages(priority='err')], [], 'errors in the journal')

    with bf.case(f'{group}/restart'):
        bfd.restart()
        wait_none()
        bfd.wait_state('unsupported', **WHAT)
        bf.equal(said_twice(began), {}, 'what was logged more than once')
        is_well()
