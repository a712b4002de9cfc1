# SPDX-License-Identifier: LGPL-2.1-or-later
# vm: limit=600
"""Each example of the manual pages and of README.md is done as it stands there (guest/examples.py says what is one), and must
succeed. The device that they name, /dev/sda1, is made for them, and brought before each into the state that it is about."""

import os
import re
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

sys.path.insert(0, os.path.join(os.path.dirname(__file__), '..', 'guest'))
# pylint: disable=wrong-import-position
import bf
import bfd
import bfp
import examples
from blkctl import ctl

MANUALS = Path('/usr/share/man')
README = Path(__file__).resolve().parent.parent / 'README.md'
# What is for the host, on which the checkout or the build is.
NOT_HERE = {'Three commands', 'Installing on a host'}

DEVICE = '/dev/sda1'
UUID = '0fc63daf-8483-4772-8e79-3d69d8477de4'
OBJECT = f'/org/blkfilter1/attachment/bftrack_{UUID.replace("-", "_")}'
FILE = '20-data.conf'
TOOLS = Path('/run/examples')

# What a command is about, the first that fits: the device before it (ON: with bftrack; OFF: with nothing that anybody
# wants; HELD: off, though a policy wants it), and after it. Any other leaves a device that is ON as it is.
ON, OFF, HELD = 'on', 'off', 'held'
CHANGES = (
    (r'\bmonitor\b', ON, OFF),
    (r'\bAttach\b|blkfilterctl attach\b', OFF, ON),
    (r'\bDetach\b|blkfilterctl detach\b', ON, OFF),
    (r'\bForget\b|blkfilterctl forget\b', HELD, ON),
)

# What it prints.
SAYS = (
    (r'\bAttach ', f'o "{OBJECT}"'),
    (r'\bGetAttachment ', f'o "{OBJECT}"'),
    (r'\bListAttachments ', OBJECT),
    (r'\bExplain ', f'"{DEVICE}"'),
    (r'\bCtl ', 'iayaay 0 48 '),
    (r'\bintrospect ', r'\.IntactSince +property'),
    (r'\bKernelInterface$', 's "blkfilter-1"'),
    (r'\bIntactSince$', 't [1-9]'),
    (r'\bGaps$', r'a\(ttts\) '),
    (r'\bFingerprint$', f'"PartUUID" s "{UUID}"'),
    (r'\bjq ', 'PARTUUID='),
    (r'^blkfilterctl( #.*)?$', DEVICE),
    (r'^blkfilterctl (status|explain|attach|wait|forget|detach) ', DEVICE),
    (r'^blkfilterctl intact ', 'Intact: '),
    (r'^blkfilterctl track map ', '[0-9]+'),
    (r'^blkfilterctl verify', r'polic\S+ (is|are) right'),
)


def prepare(state):
    """One attachment that waits, for what is not there; and the device in that state."""
    bf.sh(f'systemctl service-log-level {bf.UNIT} info')
    bfd.forget_all()
    bfp.put('30-away.conf', f'PartUUID={bfd.uuid(99)}')
    if state != OFF:
        ctl(f'attach {DEVICE} bftrack')
        bf.sh(f'dd if=/dev/zero of={DEVICE} bs=4K count=1 oflag=direct status=none')
    if state == HELD:
        bfp.put(FILE, f'PartUUID={UUID}')
        ctl(f'detach {DEVICE}')
    bfd.quiet()


def is_in(state):
    return bf.filter_of(DEVICE) == ('bftrack' if state == ON else '')


def watch(command, environment):
    """A command that goes on until it is interrupted: it tells of a detach."""
    seen = TOOLS / 'seen'
    with seen.open('w', encoding='utf-8') as out:
        process = subprocess.Popen(['bash', '-c', command.replace('blkfilterctl', 'exec blkfilterctl')
                                    .replace('busctl', 'exec busctl')], env=environment, stdout=out, stderr=out)
    try:
        # busctl says that it begins, blkfilterctl how things are
        bf.wait_for(lambda: re.search(f'Monitoring bus|{DEVICE}', seen.read_text(encoding='utf-8')), what='the first line')
        ctl(f'detach {DEVICE}')
        bf.wait_for(lambda: re.search('PropertiesChanged|forgotten', seen.read_text(encoding='utf-8')), what='the detach')
        bf.equal(process.poll(), None, 'it goes on')
    finally:
        process.terminate()
        process.wait()


device = {'left': None}        # the state that the last command left it in, if that is known


def run(command, assignments):
    """Does what a command of an example says, and demands that it succeeds and does what it is for."""
    before, after = next(((b, a) for pattern, b, a in CHANGES if re.search(pattern, command)), (ON, ON))
    # what only looks leaves the device for the next as it is
    if device['left'] != before:
        prepare(before)
    device['left'] = None
    bf.check(is_in(before), f'the device is {before}')

    # a day of the example's own is long ago, or not come yet: a moment ago
    now = time.strftime('%Y-%m-%d %H:%M:%S') + f'{time.time() % 1:.6f}'[1:]
    command = re.sub(r"'\d{4}-\d\d-\d\d \d\d:\d\d'", f"'{now}'", command)
    environment = {**os.environ, 'PATH': f'{TOOLS}:{os.environ["PATH"]}', 'LAST': f'{time.time():.6f}'}
    script = '\n'.join(['set -o pipefail', *assignments, command])
    if re.search(r'\bmonitor\b', command):
        watch(script, environment)
    else:
        done = subprocess.run(['bash', '-c', f'{script}\nstatus=$?\n[ -z "$full" ] || echo full backup\nexit $status'],
                              env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                              text=True, check=False)
        bf.equal(done.returncode, 0, f'exit status of {command}, which printed: {done.stdout}')
        bf.check('full backup' not in done.stdout, f'an increment is possible: {command}')
        for pattern, words in SAYS:
            if re.search(pattern, command):
                bf.check(re.search(words, done.stdout), f'{command} prints {words}: {done.stdout}')
    bf.wait_for(lambda: is_in(after), 30, f'the device to be {after} after {command}')
    device['left'] = ON if before == after == ON else None


def put_tool(name, text):
    (TOOLS / name).write_text('#!/bin/sh\n' + text, encoding='utf-8')
    (TOOLS / name).chmod(0o755)


def name_of_case(page, number, command):
    words = re.findall(r'[A-Za-z]+', re.sub(r'\$M|\borg\S*|\ba?\{sv\}', '', command))
    return f'daemon/examples/{page.stem.lower()}/{number}-' + '-'.join(words[:4]).lower()


def refuses(function, text):
    try:
        function(text)
    except bf.Failure:
        return
    raise bf.Failure(f'{text!r} was taken')


pages = sorted(MANUALS.glob('man?/*blkfilter*')) + [README]
bfd.begin()
TOOLS.mkdir(exist_ok=True)
# what a backup program would be
put_tool('copy-ranges', f'cat >{TOOLS}/ranges\n')
put_tool('copy-all', f'touch {TOOLS}/all\n')

with bf.case('daemon/examples/what-is-no-example-is-refused'):
    for text in ('.EX\na', '.EX\n.EX\n.EE', '.EX\n.BR a\n.EE', '.EX\n\\fBa\\fR\n.EE', '.EX\n.EE', '.EX\n\na\n.EE'):
        refuses(examples.of_manual, text)
    refuses(examples.of_readme, 'a\n```\nb\n```\n')
    for text in ('if true; then\na\n', 'a |\n', 'a \\\n', 'a "b\n', 'a )\n'):
        refuses(examples.commands_of, text)
    bf.equal(examples.of_readme('## S\na\n    b\n\n    # c\n    d \\\n      e\n\n    f # g\nh\n'),
             [('S', None, '# c\nd \\\n  e\n\nf # g\n')], 'what is one')
    bf.equal(examples.commands_of('# c\nd \\\n  e\n\nf # g\n'), ['d \\\n  e', 'f # g'], 'its commands')
    bf.equal(examples.of_manual('.SH S\n.EX\n# /etc/a\\-b\n[C]\n.EE'), [('S', '/etc/a-b', '# /etc/a-b\n[C]\n')], 'a file')

with bf.scsi_debug() as scsi, bfp.only():
    sda, = scsi.disks()
    bf.sfdisk(sda, f'label: gpt\nsize=16MiB, uuid={UUID}, name=data\n')
    bfd.quiet()
    files, ran = [], Counter()

    for page in pages:
        shell, n = [], 0
        with bf.case(f'daemon/examples/{page.stem.lower()}/understood'):
            bf.equal(bf.partition(sda, 1), DEVICE, 'the device that the examples are about')
            for example in examples.read(page):
                if page == README and example.section in NOT_HERE:
                    ran[example.section] += 1
                elif example.path:
                    files.append((page, example))
                else:
                    shell += examples.commands_of(example.text)
        assignments = []
        for command in shell:
            if re.fullmatch(r'[A-Z]=\S+|[A-Z]=\'[^\']*\'', command):
                assignments.append(command)
                continue
            n += 1
            with bf.case(name_of_case(page, n, command)):
                ran[page.name] += 1
                run(command, assignments)

    with bf.case('daemon/examples/none-is-left-out'):
        for page in pages:
            # counted without what takes examples apart
            blanks = 4 if page == README else 0
            lines = re.findall(rf'^ {{{blanks}}}(?:busctl|(?:if )?blkfilterctl)\b(?! \\- )', page.read_text(encoding='utf-8'), re.M)
            bf.check(ran[page.name] >= len(lines), f'{page.name}: {ran[page.name]} commands, and {len(lines)} lines')
        bf.check(ran['README.md'] >= 20 and ran['org.blkfilter1.5'] >= 4 and ran['blkfilterctl.1'] >= 2, f'{ran}')
        bf.equal({s for s in NOT_HERE if ran[s]}, NOT_HERE, 'sections that are for the host')

    with bf.case('daemon/examples/what-the-backup-program-does'):
        # as the example has it, the ranges were copied, and not all
        bf.check(re.fullmatch(r'(\d+ \d+\n)+', (TOOLS / 'ranges').read_text(encoding='utf-8')), 'the ranges were copied')
        bf.check(not (TOOLS / 'all').exists(), 'and nothing more')
        script, = [c for e in examples.read(MANUALS / 'man1/blkfilterctl.1') for c in examples.commands_of(e.text) if 'copy' in c]
        (TOOLS / 'ranges').unlink()
        prepare(ON)
        # since a time before it was attached
        bf.sh(f'PATH={TOOLS}:$PATH LAST=1000000000; {script}')
        bf.equal((sorted(p.name for p in TOOLS.glob('[ra]*'))), ['all'], 'what was copied without an increment')

    for page, example in files:
        with bf.case(f'daemon/examples/{page.stem.lower()}/file-{Path(example.path).stem}'):
            bfd.forget_all()
            since, path = time.time(), Path(example.path)
            if path == bfd.CONFIG:
                path.write_text(example.text, encoding='utf-8')
                try:
                    ctl('reload')
                    bf.check(str(path) not in bf.journal(since=since), 'the daemon has nothing to say of it')
                    path.write_text(example.text.replace('CheckSec', 'ChekSec'), encoding='utf-8')
                    ctl('reload')
                    bf.wait_for(lambda: f'{path}:3: ' in bf.journal(since=since),
                                what='the daemon to say that this is wrong')
                finally:
                    path.unlink()
                    ctl('reload')
            else:
                bf.equal(path.parent, bfd.POLICY_FOLDER, f'folder of {path}')
                bfd.write_policy(path.name, example.text)
                ctl(f'verify {path}')
                ctl('reload')
                if f'PartUUID={UUID}' in example.text:
                    bf.check('bftrack is on' in ctl(f'wait {DEVICE} --timeout=60'), 'it is on the device')
                bf.check(bfp.of(path.name) or 'FSType' in example.text, 'the daemon has taken it')

    with bf.case('daemon/examples/files-were-there'):
        bf.check(Counter(page.name for page, _ in files) ==
                 {'blkfilter.d.5': 3, 'blkfilterd.conf.5': 1, 'README.md': 1}, f'files: {[(p.name, e.path) for p, e in files]}')
    bf.sh(f'systemctl service-log-level {bf.UNIT} info')

bfd.end('daemon/examples')
