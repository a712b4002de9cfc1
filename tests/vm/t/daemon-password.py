# SPDX-License-Identifier: LGPL-2.1-or-later
# vm: limit=300
"""blkfilterctl asks for an administrator's password on a terminal where polkit wants one: by a rule, and by what is installed,
for who sits at the machine. The real polkit, pkttyagent and PAM."""

import contextlib
import os
import re
import sys
from pathlib import Path

sys.path.insert(0, os.path.join(os.path.dirname(__file__), '..', 'guest'))
# pylint: disable=wrong-import-position
import bf
import bfd
from terminal import Terminal

USER = bf.UNPRIVILEGED
PASSWORD, WRONG = 'correct horse', 'battery staple'
RULES = Path('/etc/polkit-1/rules.d/10-blkfilter-test.rules')
RULE = f'''polkit.addRule(function(action, subject) {{
    if (subject.user == "{USER}" && action.id.indexOf("org.blkfilter1.") == 0)
        return polkit.Result.AUTH_ADMIN;
}});'''


@contextlib.contextmanager
def password_of_root():
    """For the time of the with statement root has a password."""
    bf.sh('chpasswd', stdin=f'root:{PASSWORD}\n')
    try:
        yield
    finally:
        bf.sh('passwd --quiet --delete root')


def restart_polkit():
    """Has it read its rules."""
    bf.sh('systemctl reset-failed polkit.service; systemctl restart polkit.service')


@contextlib.contextmanager
def rule(text):
    RULES.write_text(text, encoding='utf-8')
    RULES.chmod(0o644)
    restart_polkit()
    try:
        yield
    finally:
        RULES.unlink()
        restart_polkit()


@contextlib.contextmanager
def ctl(*words, **how):
    with Terminal(['blkfilterctl', *words], **how) as t:
        try:
            yield t
        finally:
            print(f'# $ blkfilterctl {" ".join(words)}')
            for line in t.shown().splitlines():
                print(f'# {line}')


bfd.begin()

with bf.scsi_debug() as scsi, bfd.policies(), password_of_root():
    sda, = scsi.disks()
    bf.sfdisk(sda, f'label: gpt\nsize=16MiB, uuid={bfd.uuid(1)}, name=data\n')
    sda1 = bf.partition(sda, 1)
    bfd.quiet()

    with bf.case('daemon/password/right'), rule(RULE):
        with ctl('attach', sda1, 'bftrack', user=USER) as t:
            t.wait_for(r'Password: ?$')
            bf.equal(bf.filter_of(sda1), '', 'filter before the password')
            bf.check(re.search(rf'filter\s+bftrack\b.*{sda1}', t.shown(), re.S), 'the question says what it is about')
            t.type_secret(PASSWORD + '\n', 'pkttyagent')
            bf.equal(t.end(), 0, 'exit status')
            bf.check(f'bftrack is on {sda1}' in t.shown(), 'it says that it is done')
            bf.check(PASSWORD not in t.output, 'the password is not shown')
        bf.equal(bf.filter_of(sda1), 'bftrack', 'filter')

    with bf.case('daemon/password/wrong'), rule(RULE):
        with ctl('detach', sda1, user=USER) as t:
            t.wait_for(r'Password: ?$')
            t.type_secret(WRONG + '\n', 'pkttyagent')
            bf.equal(t.end(), 3, 'exit status')
            last = ' '.join(t.shown().split('blkfilterctl: ')[-1].split())
            bf.check('org.blkfilter1.detach' in last and 'sudo' in last, f'it says what was refused, and who may: {last}')
        bf.equal(bf.filter_of(sda1), 'bftrack', 'filter')

    with bf.case('daemon/password/not-asked'), rule(RULE):
        with ctl('detach', sda1, '--no-ask-password', user=USER) as t:
            bf.equal(t.end(), 3, 'exit status')
            bf.check('Password:' not in t.shown() and '--no-ask-password' in t.shown() and 'sudo' in t.shown(),
                     'it does not ask, and says why, and who may')
        # nor is anybody asked in a script
        output = bf.sh(f'blkfilterctl detach {sda1} 2>&1 </dev/null', user=USER, ok=(3,))
        print(f'# {output.strip()}')
        bf.check('assword:' not in output and 'sudo' in output, 'a script is not asked')
        bf.equal(bf.filter_of(sda1), 'bftrack', 'filter')

    with bf.case('daemon/password/interrupted'), rule(RULE):
        with ctl('detach', sda1, user=USER) as t:
            t.wait_for(r'Password: ?$')
            t.type('\x03')
            t.end()
        # it has let go of the terminal, and may not be buried yet
        bf.wait_for(lambda: bf.sh('pgrep pkttyagent', ok=(0, 1)) == '', what='the agent to be gone')
        bf.equal(bf.filter_of(sda1), 'bftrack', 'filter')

    with bf.case('daemon/password/what-only-reads'), rule(RULE):
        with ctl('list', user=USER) as t:
            bf.equal(t.end(), 0, 'exit status')
            bf.check('AUTHENTICATING' not in t.shown(), 'nobody is asked')

    with bf.case('daemon/password/root-is-not-asked'), rule(RULE):
        with ctl('detach', sda1) as t:
            bf.equal(t.end(), 0, 'exit status')
            bf.check('AUTHENTICATING' not in t.shown(), 'nobody is asked')

    # no rule: what is installed. Who comes over a network may not at all, who sits at the machine with a password.
    with bf.case('daemon/password/not-at-the-machine'):
        with ctl('attach', sda1, 'bftrack', user=USER) as t:
            bf.equal(t.end(), 3, 'exit status')
            bf.check('assword:' not in t.shown() and 'sudo' in t.shown(), 'it does not ask, and says who may')
        bf.equal(bf.filter_of(sda1), '', 'filter')

    with bf.case('daemon/password/at-the-machine'):
        # a login as at a console, through PAM and logind; on this terminal, so that it can be typed at
        words = ['systemd-run', '--quiet', '--pty', '--wait', '--collect', '--unit=console-login', '--property=PAMName=login',
                 f'--property=User={USER}', '--setenv=XDG_SEAT=seat0', '--setenv=XDG_VTNR=1', '--setenv=TERM=xterm',
                 '--setenv=LANG=C.UTF-8', 'bash', '--norc', '-i']
        with Terminal(words) as t:
            try:
                t.wait_for(r'\$ $')
                session, = [line.split()[0] for line in bf.sh('loginctl --no-legend list-sessions').splitlines() if 'seat0' in line]
                bf.sh(f'loginctl activate {session}')
                print('# ' + bf.sh(f'loginctl show-session -p Seat -p VTNr -p Active -p Remote {session}').replace('\n', ' '))
                t.type(f'blkfilterctl attach {sda1} bftrack; echo status=$?\n')
                t.wait_for(r'Password: ?$')
                t.type_secret(PASSWORD + '\n', 'pkttyagent')
                t.wait_for(r'\nstatus=0')
                bf.equal(bf.filter_of(sda1), 'bftrack', 'filter')
            finally:
                for line in t.shown().splitlines():
                    print(f'# {line}')
                bf.sh('systemctl kill --signal=KILL console-login.service', ok=(0, 1, 5))
        bf.sh(f'blkfilterctl detach {sda1}')

bfd.end('daemon/password')
