# SPDX-License-Identifier: LGPL-2.1-or-later
# vm: interfaces limit=300
"""Which of the kernel's interfaces the daemon has found, and where it says so; and the main job over that interface: a
filter by a policy, back after a re-read, off, its commands, its options where the interface takes them."""

import os
import re
import sys

sys.path.insert(0, os.path.join(os.path.dirname(__file__), '..', 'guest'))
# pylint: disable=wrong-import-position
import bf
import bfd
import bfp
import interface
import kfilter
from blkctl import ctl, ctl_json

FILE = '20-data.conf'
MATCH = f'PartUUID={bfd.uuid(1)}'


def block_option(size):
    """bftrack's option: the bytes of a block, little-endian."""
    return 'hex:' + size.to_bytes(4, 'little').hex()


bfd.begin()

with bf.scsi_debug() as scsi:
    sda = '/dev/' + scsi.disks()[0]
    sda1, sda2 = bf.partition(sda, 1), bf.partition(sda, 2)
    bf.sfdisk(sda, f'label: gpt\nsize=16MiB, uuid={bfd.uuid(1)}, name=data\nsize=8MiB, uuid={bfd.uuid(2)}\n')
    bfd.quiet()

    with bf.case('daemon/interfaces/the-machine-has-it'):
        # by the tests' own hands, before the daemon is believed
        kfilter.attach(sda2, 'bfcount')
        bf.equal((bf.filter_of(sda2), kfilter.error_of(kfilter.attach, sda2, 'bfcount')), ('bfcount', 'EALREADY'),
                 'filter, and what a second attach is answered')
        kfilter.detach(sda2, 'bfcount')
        bf.equal((bf.filter_of(sda2), kfilter.error_of(kfilter.detach, sda2, 'bfcount')), ('', 'ENOENT'),
                 'filter, and what a second detach is answered')
        bf.equal((os.path.exists(f'/sys/class/block/{bf.name_of(sda2)}/filter'), os.path.exists(interface.NODE)),
                 (interface.HAS_ATTRIBUTE, interface.IS_BDEVFILTER), 'whether there are the attribute and the node')

    with bf.case('daemon/interfaces/it-is-told'):
        bf.equal(bf.busctl_get('KernelInterface'), interface.TOLD, 'KernelInterface')
        status = bfd.unit_property('StatusText')
        bf.check(interface.TOLD in status, f'StatusText: {status}')
        output = ctl('probe')
        bf.check(output.startswith(interface.TOLD), f'probe: {output}')
        bf.equal(ctl_json('probe')['KernelInterface'], interface.TOLD, 'probe as JSON')
        pid = bf.main_pid()
        said = [m['MESSAGE'] for m in bfd.messages() if m['_PID'] == str(pid) and 'interface' in m['MESSAGE']]
        bf.check(len(said) == 1 and interface.TOLD in said[0], f'one sentence of the daemon in the journal: {said}')
        print('# ' + '\n# '.join([status, *said, *output.splitlines()]))

    with bf.case('daemon/interfaces/a-filter-that-is-not-registered'), bfp.only():
        bfp.put(FILE, MATCH, name='nosuch')
        a = bfp.wait(FILE, 'failed', 'nosuch', 'modprobe')
        print(f'# {a.StateReason}')
        output = ctl('probe')
        print('# ' + '\n# '.join(output.splitlines()))
        bf.check('nosuch' in output and 'modprobe nosuch' in output, f'probe says what to do: {output}')
        bf.equal(kfilter.error_of(kfilter.attach, sda1, 'nosuch'), 'ENOENT', 'what the kernel answers')

    with bf.case('daemon/interfaces/on-and-back-and-off'), bfp.only():
        bfp.put(FILE, MATCH)
        a = bfp.wait_on(FILE, sda1)[sda1]
        generation = bfd.generation(sda1)
        bf.equal(a.Fingerprint['Generation']['data'], generation.replace('-', ''), 'generation')
        for n in range(1, 6):
            bfd.reread(sda)
            generation = bfd.wait_attached(sda1, other_than=generation)
            bfd.quiet()
            a = bfp.wait_on(FILE, sda1)[sda1]
            bf.equal((a.GapCount, a.Gaps[-1][3], a.IntactSince), (n, 'rescan', a.Gaps[-1][2]), 'gaps, and IntactSince')
        bfd.kill()
        bfd.quiet()
        bfp.still(a, sda1, generation)
        ctl(f'detach {sda1}')
        bf.equal((bf.filter_of(sda1), bfp.one(FILE).State), ('', 'detached'), 'filter and state')
        ctl(f'detach {sda1}', status=0)
        bfd.reread(sda)
        bfd.quiet()
        bf.equal(bf.filter_of(sda1), '', 'filter of what is held')
        ctl(f'attach {sda1} bftrack')
        bf.equal(bf.filter_of(sda1), 'bftrack', 'filter')

    with bf.case('daemon/interfaces/an-answer-for-each-error'), bfp.only():
        bf.check('modprobe nosuch' in ctl(f'attach {sda1} nosuch', status=3), 'what is not registered')
        bf.check('bftrack' in ctl(f'detach {sda1} bftrack', status=3), 'what is not on')
        bf.check('bftrack' in ctl(f'track info {sda1}', status=3), 'a command to what is not on')
        ctl(f'attach {sda1} bfcount')
        for words in ('attach {} bftrack', 'detach {} bftrack', 'track info {}', 'detach {} nosuch'):
            output = ctl(words.format(sda1), status=3)
            bf.check('bfcount' in output or 'is not on' in output, f'what is wrong is said: {output}')
            print(f'# {output}')
        bf.equal(bf.filter_of(sda1), 'bfcount', 'filter')

    with bf.case('daemon/interfaces/commands'), bfp.only():
        ctl(f'attach {sda1} bfcount')
        kfilter.write_direct(sda1, 0, b'x' * 4096)
        bf.equal(ctl_json(f'count read {sda1}')['write_bytes'], 4096, 'bytes written')
        ctl(f'count reset {sda1}')
        bf.equal(ctl_json(f'count read {sda1}')['writes'], 0, 'writes after the reset')
        ctl(f'detach {sda1}')
        ctl(f'attach {sda1} bftrack')
        kfilter.write_direct(sda1, 1 << 20, b'x' * 8192)
        bf.equal(ctl_json(f'track map {sda1}')['written'], [[1 << 20, 8192]], 'what was written')
        bf.equal(kfilter.track_map(sda1), {256, 257}, 'blocks by the ioctl')
        ctl(f'track clear {sda1}')
        bf.equal((ctl_json(f'track map {sda1}')['written'], kfilter.track_map(sda1)), ([], set()), 'after clear')

    if interface.TAKES_OPTIONS:
        with bf.case('daemon/interfaces/options-reach-the-filter'), bfp.only():
            for size in (8192, 512):
                bfp.put(FILE, MATCH, Options=block_option(size))
                if bf.filter_of(sda1):
                    ctl(f'detach {sda1}')
                    ctl(f'forget {sda1}')
                bfp.wait_on(FILE, sda1)
                bf.equal(kfilter.TrackInfo(sda1).block, size, 'bytes of a block')
                generation = bfd.generation(sda1)
                bfd.reread(sda)
                bfd.wait_attached(sda1, other_than=generation)
                bf.equal(kfilter.TrackInfo(sda1).block, size, 'bytes of a block after the re-read')
                bfd.quiet()

        with bf.case('daemon/interfaces/options-that-the-filter-refuses'), bfp.only():
            bfp.put(FILE, MATCH, Options='hex:00ff')
            a = bfp.wait(FILE, 'failed', 'Invalid argument')
            bf.check('Options=' in a.StateReason, f'where to look: {a.StateReason}')
            print(f'# {a.StateReason}')
            bf.equal(bf.filter_of(sda1), '', 'filter')
            bfp.put(FILE, MATCH, Options=block_option(4096))
            bfp.wait_on(FILE, sda1)
    else:
        with bf.case('daemon/interfaces/options-are-refused'), bfp.only():
            bfp.put(FILE, MATCH, Options=block_option(8192))
            bfd.quiet()
            a = bfp.wait(FILE, 'unsupported', interface.TOLD, 'Options=')
            bf.equal(bf.filter_of(sda1), '', 'filter')
            print(f'# {a.StateReason}')
            bfp.put(FILE, MATCH)
            bfp.wait_on(FILE, sda1)

    if interface.IS_BDEVFILTER:
        with bf.case('daemon/interfaces/no-filter-is-left-when-the-module-goes'), bfp.only():
            bfp.put(FILE, MATCH)
            bfp.wait_on(FILE, sda1)
            bfd.quiet()
            # it is in use: by what it has attached
            bf.sh('rmmod bdevfilter', ok=(1,))
            bf.equal(bf.busctl_get('KernelInterface'), interface.TOLD, 'KernelInterface')
            bfp.wait(FILE, 'attached')

    with bf.case('daemon/interfaces/nothing-went-wrong'):
        errors = [m['MESSAGE'] for m in bfd.messages(priority='err')]
        bf.equal(errors, [], 'errors in the daemon\'s journal')
        unknown = [line for line in bf.sh('journalctl --boot --quiet --no-pager --output=cat --dmesg').splitlines()
                   if re.search(r'seccomp.*blkfilter', line)]
        bf.equal(unknown, [], 'denials that the kernel tells of')

bfd.end('daemon/interfaces')
