# SPDX-License-Identifier: LGPL-2.1-or-later
# vm: limit=900
"""What ./try shows, in the machine. Each step prints what it is about, the commands with their output, and whether
that was as expected."""

import contextlib
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), 'guest'))
import bf   # pylint: disable=wrong-import-position

state = {'steps': 0, 'unexpected': 0}


@contextlib.contextmanager
def step(text):
    """One step: what it is about first, whether it went as it should last. A step that fails does not end the
    demonstration."""
    state['steps'] += 1
    print(f'step {state["steps"]}: {text}', flush=True)
    try:
        yield
    except Exception as error:      # pylint: disable=broad-exception-caught
        state['unexpected'] += 1
        print(f'  NOT as expected: {" ".join(str(error).split())}\n', flush=True)
    else:
        print('  as expected\n', flush=True)


def show(command, user=None, ok=(0,)):
    """Runs a command in view. Returns its output."""
    print(f'  {user or ""}$ {command}', flush=True)
    output = bf.sh(f'{{ {command}\n}} 2>&1', user=user, ok=ok)
    for line in output.splitlines():
        print(f'    {line}', flush=True)
    return output


with step('a whole system runs on a kernel that has block device filters'):
    show('uname -sr')
    bf.equal(show('systemctl is-system-running').strip(), 'running', 'the system')
    bf.check(bf.filter_of('vda') == '', 'each block device has an attribute "filter"')

with step('filters are modules of the kernel; nothing is attached yet'):
    show('modprobe -a bfcount bftrack')
    show('grep -H . /sys/class/block/*/filter', ok=(0, 1))

with step('a disk with a partition table'):
    show('modprobe scsi_debug dev_size_mb=64')
    disk = bf.wait_for(bf.ScsiDebug().disks, what='the disk')[0]
    show(f"printf 'label: gpt\\nsize=32MiB, name=data\\nname=other\\n' | sfdisk --quiet /dev/{disk}")
    bf.settle()
    show(f'lsblk --output NAME,SIZE,PARTLABEL,PARTUUID /dev/{disk}')
    bf.equal(bf.partitions(disk), [f'{disk}1', f'{disk}2'], 'partitions')

sys.exit(1 if state['unexpected'] else 0)
