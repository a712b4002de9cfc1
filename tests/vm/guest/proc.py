# SPDX-License-Identifier: LGPL-2.1-or-later
"""Memory and wakeups of a service, as /proc tells them: of all processes in its control group."""

import contextlib
import re
from collections import namedtuple
from pathlib import Path

import bf

Memory = namedtuple('Memory', 'processes rss_kb pss_kb private_kb')


def pids(unit):
    group = bf.sh(f'systemctl show --value --property=ControlGroup {unit}').strip()
    bf.check(group, f'{unit} runs')
    # some services make groups of their own in theirs
    files = Path(f'/sys/fs/cgroup{group}').rglob('cgroup.procs')
    found = sorted(int(pid) for file in files for pid in file.read_text().split())
    bf.check(found, f'{unit} has processes')
    return found


def _rollup(pid):
    text = Path(f'/proc/{pid}/smaps_rollup').read_text()
    return {key: int(kb) for key, kb in re.findall(r'^(\w+): +(\d+) kB', text, re.MULTILINE)}


def memory(unit):
    """Resident: the sum of what each process has mapped and is in memory, a page that several have counted for each of
    them; proportional (pss): such a page is divided among them; private: what would be free without it."""
    found = [_rollup(pid) for pid in pids(unit)]
    return Memory(len(found), sum(r['Rss'] for r in found), sum(r['Pss'] for r in found),
                  sum(r['Private_Clean'] + r['Private_Dirty'] for r in found))


def switches(unit):
    """How often a thread of the service has gone to sleep so far, by thread: each time it was woken."""
    found = {}
    for pid in pids(unit):
        with contextlib.suppress(FileNotFoundError):
            for task in Path(f'/proc/{pid}/task').iterdir():
                text = (task / 'status').read_text()
                found[task.name] = int(re.search(r'^voluntary_ctxt_switches:\s*(\d+)', text, re.MULTILINE).group(1))
    return found
