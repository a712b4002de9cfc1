# SPDX-License-Identifier: LGPL-2.1-or-later
# vm: limit=420
"""blkfilterctl on a terminal of 80 columns: no line is wider, colour is there and only there, a pager comes when it is
needed. What each verb shows is printed: to be looked at."""

import os
import re
import signal
import sys
import time
from pathlib import Path

sys.path.insert(0, os.path.join(os.path.dirname(__file__), '..', 'guest'))
# pylint: disable=wrong-import-position
import bf
import bfd
import bfp
from terminal import COLOUR, Terminal, in_pipe, on_terminal, plain, width

COLUMNS = 80
MARK = Path('/run/pager-was-here')
# moves on between one call and the next
MOVING = re.compile(r'[\d.]+(?:s|min|h|d)(?: \d+(?:s|min|h))? ago')


def ctl(words, *more):
    return ['blkfilterctl', *words.split(), *more]


def words_of(text):
    """The words alone, without what is another at each call."""
    return MOVING.sub('ago', ' '.join(plain(text).split()))


def fits(what, text):
    """No line is wider than the terminal, unless it is one word, which nobody could break."""
    for line in plain(text).split('\n'):
        bf.check(width(line) <= COLUMNS or len(line.split()) == 1, f'{what}: a line has {width(line)} columns: {line}')


def show(what, text):
    print(f'# $ blkfilterctl {what}')
    for line in plain(text).splitlines():
        print(f'# {line}')


def look(words, status=0, coloured=None, whole=True):
    """A verb that changes nothing, in each of the ways. `coloured`: whether it has colours (None: it may); `whole`: in a
    pipe it says the same words."""
    # a pager has its own way to break lines, and may wait for a key
    shown, got = on_terminal(ctl(words, '--no-pager'))
    show(words, shown)
    bf.equal(got, status, f'exit status of {words}: {plain(shown)}')
    fits(words, shown)
    if coloured is not None:
        bf.equal(bool(COLOUR.search(shown)), coloured, f'{words} has colours on a terminal')

    for how in ({'NO_COLOR': '1'}, {'SYSTEMD_COLORS': '0'}, {'TERM': 'dumb'}):
        dull, _ = on_terminal(ctl(words, '--no-pager'), **how)
        bf.check(not COLOUR.search(dull), f'{words} has no colours with {how}: {dull!r}')
        bf.equal(words_of(dull), words_of(shown), f'{words} with {how}')

    piped, got = in_pipe(ctl(words))
    bf.equal(got, status, f'exit status of {words} in a pipe')
    bf.check('\033' not in piped, f'{words} has no colours in a pipe')
    if whole:
        bf.equal(words_of(piped), words_of(shown), f'{words} in a pipe')
    wished, _ = in_pipe(ctl(words), SYSTEMD_COLORS='1')
    if coloured:
        bf.check(COLOUR.search(wished), f'{words} has colours in a pipe where they are wished')
    return plain(shown), piped


def act(words, status=0):
    """A verb that changes something, once, on a terminal."""
    shown, got = on_terminal(ctl(words))
    show(words, shown)
    bf.equal(got, status, f'exit status of {words}: {plain(shown)}')
    fits(words, shown)
    return plain(shown)


bfd.begin()

with bf.scsi_debug(1) as scsi, bfp.only():
    sda, = scsi.disks()
    bf.sfdisk(sda, f'label: gpt\nsize=16MiB, uuid={bfd.uuid(1)}, name=data\nsize=8MiB, uuid={bfd.uuid(2)}, name=other\n'
                   f'size=4MiB, uuid={bfd.uuid(3)}, name="twin"\nsize=4MiB, uuid={bfd.uuid(4)}, name=twin\n'
                   f'size=4MiB, uuid={bfd.uuid(5)}, name="a name of thirty-six characters here"\n')
    sda1, sda2, sda3, sda4, sda5 = (bf.partition(sda, n) for n in range(1, 6))
    bfd.quiet()

    with bf.case('daemon/terminal/nothing-yet'):
        look('list', coloured=False)
        look('status', coloured=True)
        look('probe', coloured=False)
        look('--help', coloured=False)
        look('cat-config', coloured=False)
        look('verify', coloured=False)

    bfp.put('20-data.conf', f'PartUUID={bfd.uuid(1)} PartLabel=data')
    bfp.put('30-twins.conf', 'PartLabel=twin')
    bfp.put('40-away.conf', f'PartUUID={bfd.uuid(99)} PartLabel=archive', name='bfcount')
    bfp.put('50-long.conf', f'PartUUID={bfd.uuid(5)} PartLabel="a name of thirty-six characters here"')
    bfd.wait_attached(sda1)
    bfd.quiet()

    with bf.case('daemon/terminal/acts'):
        act(f'attach {sda2} bfcount')
        act(f'detach {sda2}')
        act(f'forget {sda2}', status=3)
        act(f'attach {sda2} bfcount')
        act(f'attach {sda2} nonesuch', status=3)
        act('attach /dev/nonesuch bftrack', status=3)
        act(f'forget {sda1}', status=3)
        act('reload')
        act(f'wait {sda1}')
        act(f'wait {sda3} --timeout=0.1', status=1)

    with bf.case('daemon/terminal/list'):
        bf.sh(f'blkfilterctl detach {sda5}')
        shown, piped = look('list', coloured=True, whole=False)
        bf.check(f'PARTUUID={bfd.uuid(1)}' in piped and f'PARTUUID={bfd.uuid(1)}' not in shown, 'an identity is cut on a terminal')
        bf.equal(len(re.findall(r' PARTUUID=\S+…$', shown, re.M)), 4, f'cut identities: {shown}')
        bf.equal([line.split()[:3] for line in shown.splitlines()], [line.split()[:3] for line in piped.splitlines()],
                 'what comes before them')
        look('list --no-legend', coloured=True, whole=False)
        output, _ = on_terminal(ctl('list'), columns=200)
        bf.equal(words_of(output), words_of(piped), 'on a wide terminal')
        output, _ = on_terminal(ctl('list --json=pretty'))
        bf.check(not COLOUR.search(output), 'JSON has no colours')

    with bf.case('daemon/terminal/status'):
        generation = bfd.generation(sda1)
        for _ in range(7):
            bfd.reread(sda)
            generation = bfd.wait_attached(sda1, other_than=generation)
        bfd.quiet()
        look('status', coloured=True)
        for device in (sda1, sda2, sda3, sda5):
            look(f'status {device}', coloured=True)
        look('status /dev/nonesuch', status=3, coloured=False)

    with bf.case('daemon/terminal/explain'):
        for device in (sda1, sda2, sda3, sda5):
            look(f'explain {device}', coloured=True)
        look('explain PARTLABEL=twin', status=3, coloured=False)

    with bf.case('daemon/terminal/intact'):
        look(f'intact {sda1}', coloured=False)
        look(f'intact {sda1} --since=@{int(time.time()) - 3600}', status=1, coloured=False)
        look(f'intact {sda3}', status=1, coloured=False)
        look(f'intact {sda1} --since=yesterday', status=2, coloured=False)

    with bf.case('daemon/terminal/commands'):
        bf.sh(f'blkfilterctl track clear {sda1}; dd if=/dev/zero of={sda1} bs=64K seek=3 count=2 oflag=direct status=none')
        look(f'track info {sda1}', coloured=False)
        look(f'track map {sda1}', coloured=False)
        look(f'count read {sda2}', coloured=False)
        look(f'ctl {sda2} bfcount 0', coloured=False)
        look(f'ctl {sda2} bfcount 99', status=3, coloured=False)
        look(f'blksnap info {sda2}', status=3, coloured=False)

    with bf.case('daemon/terminal/files'):
        look('cat-config 20-data.conf', coloured=True)
        path = bfd.write_policy('60-wrong.conf', f'[Match]\nPartUUID={bfd.uuid(6)}\n[Filter]\nNmae=bftrack\n[Attach]\nOn=never\n')
        look('verify', status=1, coloured=False)
        look(f'verify {path}', status=1, coloured=False)
        act('reload', status=1)
        look('status', coloured=True)
        path.unlink()
        bfd.reload()

    with bf.case('daemon/terminal/monitor'):
        with Terminal(ctl('monitor')) as t:
            t.wait_for(r'attached\s+/dev/')
            t.wait_for('ambiguous')
            bfd.reread(sda)
            t.wait_for('lost')
            t.wait_for('restored')
            os.kill(t.pid, signal.SIGINT)
            bf.equal(t.end(), -signal.SIGINT, 'end')
            show('monitor', t.output)
            fits('monitor', t.output)
            bf.check(COLOUR.search(t.output), 'it has colours')

    with bf.case('daemon/terminal/forget'):
        act(f'forget {sda5}')
        bfd.wait_attached(sda5)

    with bf.case('daemon/terminal/usage'):
        for words in ('frobnicate', 'list x', 'attach', '--nonsense', '--json=xml', f'ctl {sda1} bftrack x', 'count raed x',
                      f'wait {sda1} --timeout=soon'):
            act(words, status=2)

    with bf.case('daemon/terminal/pager'):
        def children(pid):
            return bf.sh(f'ps --no-headers -o comm --ppid {pid}', ok=(0, 1)).split()

        def paged(words):
            """Whether a pager is asked to show it: one that leaves a mark."""
            MARK.unlink(missing_ok=True)
            _, status = on_terminal(ctl(words), SYSTEMD_PAGER=f'tee {MARK}')
            bf.equal(status, 0, f'exit status of {words}')
            return MARK.exists()

        for words in ('list', f'status {sda1}', f'explain {sda1}', 'cat-config'):
            bf.check(paged(words), f'{words} goes through a pager')
            bf.check(not paged(f'{words} --no-pager'), f'{words} --no-pager does not')
            MARK.unlink(missing_ok=True)
            in_pipe(ctl(words), SYSTEMD_PAGER=f'tee {MARK}')
            bf.check(not MARK.exists(), f'{words} in a pipe does not')
        for words in ('status', 'probe', f'intact {sda1}', 'verify'):
            bf.check(not paged(words), f'{words} is short')

        # more than the screen has: it waits for a key, and who leaves before the end has not failed
        with Terminal(ctl(f'explain {sda1}'), lines=8) as t:
            t.wait_for(r'lines 1-\d+')
            bf.equal(children(t.pid), ['less'], 'what shows it')
            t.type('q')
            bf.equal(t.end(), 0, 'exit status after "q"')
        # longer than a pipe holds
        for n in range(300):
            bfd.write_policy(f'70-{n:03}.conf', bfp.text(f'PartUUID={bfd.uuid(1000 + n)}') + '# to make it longer\n' * 20)
        with Terminal(ctl('cat-config')) as t:
            t.wait_for(r'lines 1-\d+')
            t.type('q')
            bf.equal(t.end(), 0, 'exit status of who has not written all of it')
        bf.sh('rm /etc/blkfilter.d/70-*')

        # fits: nothing waits
        shown, _ = on_terminal(ctl('list --no-pager'))
        for pager in ({}, {'SYSTEMD_PAGER': ''}, {'PAGER': 'cat'}, {'SYSTEMD_PAGER': 'nonesuch --option'}, {'TERM': 'dumb'}):
            output, status = on_terminal(ctl('list'), **pager)
            bf.equal(bool(COLOUR.search(output)), pager != {'TERM': 'dumb'}, f'colours with {pager}')
            bf.equal((words_of(output), status), (words_of(shown), 0), f'list with {pager}')
        # a small system has no pager at all
        os.symlink('/usr/bin/blkfilterctl', '/run/blkfilterctl')
        output, status = on_terminal(['/run/blkfilterctl', 'list'], PATH='/nonexistent')
        bf.equal((words_of(output), status), (words_of(shown), 0), 'list without a pager')

    with bf.case('daemon/terminal/other-widths'):
        for columns in (40, 60, 100):
            for words in ('list', f'status {sda3}', f'explain {sda1}', '--help'):
                if words == '--help' and columns < COLUMNS:
                    continue
                output, _ = on_terminal(ctl(words, '--no-pager'), columns=columns)
                for line in plain(output).split('\n'):
                    # a narrow list is what its columns need
                    bf.check(width(line) <= max(columns, 61 if words == 'list' else 0) or len(line.split()) == 1,
                             f'{words} on {columns} columns: {line}')

    with bf.case('daemon/terminal/in-the-c-locale'):
        output, status = on_terminal(ctl(f'status {sda1} --no-pager'), LANG='C')
        bf.equal(status, 0, 'exit status')
        fits('status in the C locale', output)

bfd.end('daemon/terminal')
