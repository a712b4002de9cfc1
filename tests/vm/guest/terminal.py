# SPDX-License-Identifier: LGPL-2.1-or-later
"""A terminal for a command, as a person sits at one: what it shows, what is typed, how wide the lines are."""

import codecs
import fcntl
import os
import pty
import pwd
import re
import select
import struct
import subprocess
import termios
import time
import unicodedata

import bf

# a pager ends each line by "no colour", whether there was one or not
COLOUR = re.compile(r'\033\[[0-9][0-9;]*m')
# what a terminal obeys and does not show
_CONTROL = re.compile(r'\033\[[0-9;?]*[A-Za-z]|\033[=>]')


def plain(text):
    """What a terminal would show of it."""
    return _CONTROL.sub('', text).replace('\r', '')


def width(line):
    """How many columns of a terminal a line takes."""
    return sum(0 if unicodedata.combining(c) else 2 if unicodedata.east_asian_width(c) in 'WF' else 1 for c in plain(line))


def _is_silent(process):
    """Whether the terminal of the process has no echo."""
    names = bf.sh(f'ps -o tty= -C {process}', ok=(0, 1)).split()
    if not names or names[0] == '?':
        return False
    fd = os.open(f'/dev/{names[0]}', os.O_RDONLY | os.O_NOCTTY | os.O_NONBLOCK)
    try:
        return not termios.tcgetattr(fd)[3] & termios.ECHO
    finally:
        os.close(fd)


class Terminal:
    """A command (words) with a terminal of its own around it, run as root or as another user. To be used in a with
    statement: its end is the end of the command."""

    def __init__(self, command, *, user=None, columns=80, lines=24, **environ):
        self.command = command
        self.output = ''
        # what is read may end anywhere, in a character, too
        self._decoder = codecs.getincrementaldecoder('utf-8')(errors='replace')
        self._status = None
        # an environment as a login makes it
        known = {'PATH': os.environ['PATH'], 'TERM': 'xterm', 'LANG': 'C.UTF-8', 'HOME': '/', **environ}
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            try:
                fcntl.ioctl(0, termios.TIOCSWINSZ, struct.pack('HHHH', lines, columns, 0, 0))
                if user:
                    entry = pwd.getpwnam(user)
                    os.fchown(0, entry.pw_uid, entry.pw_gid)
                    command = ['setpriv', f'--reuid={user}', f'--regid={user}', '--init-groups', '--', *command]
                os.execvpe(command[0], command, known)
            finally:
                os._exit(127)       # pylint: disable=protected-access

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self._status is None:
            os.kill(self.pid, 9)
            os.waitpid(self.pid, 0)
        os.close(self.fd)

    def _read(self, deadline):
        """Adds what comes next to .output. Returns False at its end."""
        if not select.select([self.fd], [], [], max(0, deadline - time.monotonic()))[0]:
            raise bf.Failure(f'{self.command}: it is not done; it showed: {self.output!r}')
        try:
            data = os.read(self.fd, 65536)
        except OSError:
            # nobody has the terminal any more
            data = b''
        self.output += self._decoder.decode(data, final=not data)
        return data != b''

    def wait_for(self, pattern, limit=60):
        """Waits until it shows what fits the expression, by what a terminal shows. Returns the match."""
        deadline = time.monotonic() + limit
        while True:
            match = re.search(pattern, plain(self.output))
            if match:
                return match
            if not self._read(deadline):
                raise bf.Failure(f'{self.command}: it ended without {pattern!r}; it showed: {self.output!r}')

    def type(self, text):
        os.write(self.fd, text.encode())

    def type_secret(self, text, process):
        """Types what is not shown: once the process that asks for it has switched its terminal's echo off. What came
        before is thrown away then, and shown."""
        bf.wait_for(lambda: _is_silent(process), what=f'{process} to ask without an echo')
        self.type(text)

    def end(self, limit=60):
        """Waits for the end. Returns the exit status, or minus a signal's number."""
        deadline = time.monotonic() + limit
        while self._read(deadline):
            pass
        self._status = os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])
        return self._status

    def shown(self):
        return plain(self.output)


def on_terminal(command, **how):
    """Runs a command (words) on a terminal (arguments of Terminal). Returns its output as it came, and its status."""
    with Terminal(command, **how) as t:
        status = t.end()
        return t.output, status


def in_pipe(command, **environ):
    """The same without a terminal: standard output and error are one pipe."""
    run = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                         errors='replace', check=False, env={**os.environ, 'TERM': 'xterm', **environ})
    return run.stdout, run.returncode
