# SPDX-License-Identifier: LGPL-2.1-or-later
"""The examples of the manual pages and of README.md, taken from their sources.

What an example is: in a manual page what stands between .EX and .EE, in README.md what is indented by four blanks, with
an empty line before it. One whose first line is "# /" and a path is that file. Any other is commands for a shell, one
after the other; a line that is not whole (of an "if", behind "|" or a backslash) goes on in the next, and one that is a
comment is none. What is anything else is a Failure: an example that is not understood is not passed over."""

import re
import subprocess
from collections import namedtuple
from pathlib import Path

import bf

Example = namedtuple('Example', 'section path text')      # path: of the file that it is, None: commands


def _unescape(line):
    """A line of roff as a reader sees it. Only what the pages' examples need is known."""
    if re.search(r'\\(?![-e&])', line):
        raise bf.Failure(f'an escape in an example that is not known: {line}')
    return line.replace(r'\-', '-').replace(r'\&', '').replace(r'\e', '\\')


def of_manual(source):
    """The examples of a manual page, in their order."""
    found, section, lines = [], '', None
    for line in source.splitlines():
        if line == '.EX' and lines is None:
            lines = []
        elif line == '.EE' and lines is not None:
            found.append(_example(section, lines))
            lines = None
        elif lines is None:
            section = line.removeprefix('.SH ') if line.startswith('.SH ') else section
        elif line.startswith(('.', "'")):
            raise bf.Failure(f'a request of roff in an example: {line}')
        else:
            lines.append(_unescape(line))
    bf.check(lines is None, '.EX has its .EE')
    return found


def of_readme(source):
    """The examples of README.md, in their order."""
    bf.check('\n```' not in source, 'README.md indents its examples')
    found, section, lines, was_empty = [], '', None, True
    for line in [*source.splitlines(), 'end']:
        if line.startswith('    ') and (lines is not None or was_empty):
            lines = [*(lines or []), line[4:]]
        elif not line and lines is not None:
            lines.append('')
        else:
            if lines is not None:
                found.append(_example(section, lines))
                lines = None
            section = line.removeprefix('## ') if line.startswith('## ') else section
        was_empty = not line
    return found


def _example(section, lines):
    """Takes the lines of one example for what they are."""
    bf.check(lines and lines[0], f'an example in "{section}" begins with its first line')
    path = re.fullmatch(r'# (/\S+)', lines[0])
    return Example(section, path.group(1) if path else None, '\n'.join(lines).rstrip() + '\n')


def _is_whole(command):
    """Whether bash has read a command to its end; a Failure if it cannot read it at all."""
    if command.endswith('\\'):
        return False
    run = subprocess.run(['bash', '-n', '-c', command], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                         stderr=subprocess.STDOUT, text=True, check=False)
    if run.returncode and 'unexpected end of file' not in run.stdout and 'unexpected EOF' not in run.stdout:
        raise bf.Failure(f'bash does not understand an example: {command}: {run.stdout}')
    return run.returncode == 0


def commands_of(text):
    """The commands of an example, each as it is to be given to bash, which may be several lines."""
    found, command = [], ''
    for line in text.splitlines():
        if not command and (not line or line.startswith('#')):
            continue
        command += line
        if _is_whole(command):
            found.append(command)
            command = ''
        else:
            command += '\n'
    bf.equal(command, '', 'what is left of an example that is not whole')
    return found


def read(path):
    """The examples of a file: README.md, or a manual page."""
    source = Path(path).read_text(encoding='utf-8')
    return of_readme(source) if Path(path).suffix == '.md' else of_manual(source)
