# SPDX-License-Identifier: LGPL-2.1-or-later
"""blkfilterctl as an administrator types it."""

import json

import bf


def ctl(words, status=0, user=None):
    """What it prints, both outputs together; a Failure if it ends with another status."""
    command = f'blkfilterctl {words} 2>&1; echo status=$?'
    output, _, got = bf.sh(command, user=user).rstrip().rpartition('status=')
    bf.equal(int(got), status, f'exit status of blkfilterctl {words}, which printed: {output}')
    return output


def ctl_json(words):
    """What it prints with --json=short, parsed."""
    value = json.loads(ctl(f'{words} --json=short'))
    bf.equal(value['version'], 1, 'version')
    return value
