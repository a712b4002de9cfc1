# SPDX-License-Identifier: LGPL-2.1-or-later
# vm: limit=600
"""What ./try shows, in the machine. Each step prints what it is about, the commands with their output, and whether
that was as expected."""

import contextlib
import os
import sys
import textwrap
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), 'guest'))
# pylint: disable=wrong-import-position
import bf
import bfd

COLUMNS = 80
BUS = 'org.blkfilter1 /org/blkfilter1'
CALL = f'busctl call {BUS} org.blkfilter1.Manager'
PROPERTY = f'busctl get-property {BUS} org.blkfilter1.Manager'
DATA, OTHER = '0fc63daf-8483-4772-8e79-3d69d8477de4', 'c12a7328-f81f-11d2-ba4b-00a0c93ec93b'

state = {'steps': 0, 'unexpected': 0}


@contextlib.contextmanager
def step(text):
    """One step: what it is about first, whether it went as it should last. A step that fails does not end the
    demonstration."""
    state['steps'] += 1
    say(f'step {state["steps"]}: {text}', '')
    try:
        yield
    except Exception as error:      # pylint: disable=broad-exception-caught
        state['unexpected'] += 1
        say(f'NOT as expected: {" ".join(str(error).split())}\n')
    else:
        print('  as expected\n', flush=True)


def say(text, indent='  '):
    """A line of text, broken where the terminal ends."""
    end = '\n' if text.endswith('\n') else ''
    lines = textwrap.wrap(text, COLUMNS, initial_indent=indent, subsequent_indent=indent + '        '[:8 - len(indent)],
                          break_on_hyphens=False)
    print('\n'.join(lines) + end, flush=True)


def show(command, user=None, ok=(0,)):
    """Runs a command in view. Returns its output."""
    first, *rest = command.splitlines()
    print(f'  {user + " " if user else ""}$ {first}', flush=True)
    for line in rest:
        print(f'    {line}'.rstrip(), flush=True)
    output = bf.sh(f'{{ {command}\n}} 2>&1', user=user, ok=ok)
    for line in output.splitlines():
        if line.strip():
            say(line, '    ')
    return output


class Stopwatch:
    """Measures, while the with statement runs, how long the filter of a device was away: .away, in seconds, None
    if it was not, or is not back."""

    def __init__(self, device):
        self.device = device
        self.gone = self.away = None
        self.stop = threading.Event()
        self.thread = threading.Thread(target=self.run, daemon=True)

    def run(self):
        while not self.stop.is_set() and self.away is None:
            on, now = bf.filter_of(self.device) == 'bftrack', time.monotonic()
            if not on and self.gone is None:
                self.gone = now
            elif on and self.gone is not None:
                self.away = now - self.gone
            time.sleep(0.002)

    def __enter__(self):
        self.thread.start()
        return self

    def back(self):
        return bf.wait_for(lambda: self.away, limit=30, what=f'the filter of {self.device} to go and come back')

    def __exit__(self, *_):
        self.stop.set()
        self.thread.join()


def reason():
    """The state of the attachment, in the daemon's words."""
    bfd.quiet()
    a = bfd.attachment(part_uuid=DATA)
    say(f'the daemon says: {a.state}: {a.reason}')
    return a


def table(disk, script):
    """Writes a partition table in view, and waits until udev has seen it."""
    show(f'sfdisk --quiet --no-reread /dev/{disk} <<END\n{script}END')
    bf.settle()


def reread():
    """Has the table read again, in view, when udev has the disk no longer in use."""
    bf.settle()
    show(f'blockdev --rereadpt /dev/{disk}')


with step('a Debian 12 on a kernel with block device filters; the daemon runs'):
    show('uname -sr')
    show('systemctl is-active blkfilterd.service')
    bf.check('blkfilter-1' in show(f'{PROPERTY} \\\n  KernelInterface'), 'the kernel has filters')

with step('a disk with a partition table; no filter is on any partition'):
    show('modprobe --all scsi_debug bftrack bfcount')
    scsi = bf.ScsiDebug()
    disk = bf.wait_for(scsi.disks, what='the disk')[0]
    part = bf.partition(disk, 1)
    table(disk, f'label: gpt\nsize=4MiB, uuid={DATA}, name=data\nsize=1MiB, name=other\n')
    show(f'lsblk --output NAME,SIZE,PARTLABEL,PARTUUID /dev/{disk}')
    show(f'grep -H "" /sys/class/block/{disk}?/filter')
    bf.equal((bf.partitions(disk), bf.filter_of(part)), ([f'{disk}1', f'{disk}2'], ''), 'partitions and filter')

with step('a policy: the partition with that UUID and name gets bftrack, which '
          'remembers the blocks that are written'):
    show('cat >/etc/blkfilter.d/20-data.conf <<END\n'
         f'[Match]\nPartUUID={DATA}\n\n[Filter]\nName=bftrack\nEND')
    show(f'{CALL} \\\n  Reload a{{sv}} 0')
    bf.wait_for(lambda: bf.filter_of(part) == 'bftrack', what=f'bftrack on {part}')
    bf.equal(show(f'cat /sys/class/block/{disk}1/filter').strip(), 'bftrack', 'filter')
    bf.equal(reason().state, 'attached', 'state')

with step('a command to the filter on the bus: how many blocks were written?'):
    show(f'dd if=/dev/zero of={part} bs=64K seek=1 count=1 oflag=direct status=none')
    show(f"{CALL} \\\n  Ctl 'ssuaya(uay)a{{sv}}' {part} bftrack 0 0 0 0")
    payload = bytes(bf.busctl_call('Ctl', 'ssuaya(uay)a{sv}', part, 'bftrack', 0, 0, 0, 0)[1])
    written = int.from_bytes(payload[32:40], sys.byteorder)
    say(f'byte 32 of the 48 begins the number of written blocks: {written}')
    bf.equal(written, 16, 'blocks')

with step('THE MAIN JOB: the table is re-read, the kernel drops the filter, the daemon puts it back'):
    old = bfd.generation(part)
    with Stopwatch(part) as watch:
        reread()
        away = watch.back()
    say(f'/sys/class/block/{disk}1/filter was empty or missing for {away * 1000:.0f} ms')
    bf.settle()
    say('the journal says: ' + [line for line in bf.journal().splitlines() if 'is back on' in line][-1])
    bf.check(bfd.wait_attached(part) != old, 'it is another attach')

with step('20 times in a row, each when udev is done with the one before'):
    print(f'  $ for i in {{1..20}}; do\n        udevadm settle; blockdev --rereadpt /dev/{disk}\n    done', flush=True)
    times = []
    for _ in range(20):
        bf.settle()
        with Stopwatch(part) as watch:
            bf.sh(f'blockdev --rereadpt /dev/{disk}')
            times.append(watch.back())
    bfd.quiet()
    times.sort()
    say(f'back after {times[0] * 1000:.0f} to {times[-1] * 1000:.0f} ms, in the middle {times[10] * 1000:.0f} ms')
    bf.equal(bfd.properties(bfd.attachment(part_uuid=DATA))['GapCount'], 21, 'gaps that were told')

with step('another partition at the same number, start and size: its UUID is another one, so it gets no filter'):
    with bfd.Watch(part) as watch:
        table(disk, f'label: gpt\nsize=4MiB, uuid={OTHER}, name=data\nsize=1MiB, name=other\n')
        bf.equal(show(f'lsblk --noheadings --output NAME,PARTUUID,SIZE {part}').split()[1], OTHER, 'UUID')
        bf.equal(reason().state, 'waiting', 'state')
    watch.none_came(part)
    show(f'grep -H "" /sys/class/block/{disk}1/filter')
    bf.equal(bf.filter_of(part), '', 'filter')

with step('the right one comes back as number 3, elsewhere on the disk: it is followed'):
    table(disk, f'label: gpt\n3: start=4096, size=4M, uuid={DATA}, name=data\n')
    part = bf.partition(disk, 3)
    bfd.wait_attached(part)
    show(f'grep -H "" /sys/class/block/{disk}3/filter')
    bf.equal(reason().device, part, 'device')

with step('a clone of the disk, with the same UUID, gets no filter; after a re-read '
          'nobody knows which one is meant, and neither does'):
    show(f'dd if=/dev/{disk} of=/tmp/clone bs=1M status=none')
    clone = os.path.basename(show('losetup --find --show --partscan /tmp/clone').strip())
    bf.settle()
    bf.equal(reason().device, part, 'device')
    reread()
    a = reason()
    bf.equal((a.state, bf.filter_of(part), bf.filter_of(bf.partition(clone, 3))), ('ambiguous', '', ''), 'what is where')
    show(f'losetup --detach /dev/{clone}')
    bfd.wait_attached(part)
    bf.equal(reason().state, 'attached', 'state')

with step('the disk is unplugged and comes back; so does the filter'):
    show(f'echo 1 >/sys/block/{disk}/device/delete')
    bf.wait_for(lambda: scsi.disks() == [], what='the disk to go')
    bf.equal(reason().state, 'waiting', 'state')
    show(f'echo "- - -" >/sys/class/scsi_host/host{scsi.hosts()[0]}/scan')
    disk = bf.wait_for(scsi.disks, what='the disk')[0]
    part = bf.partition(disk, 3)
    bfd.wait_attached(part)
    bf.equal(reason().device, part, 'device')

with step('the daemon is ended by SIGKILL: nothing is detached, nothing attached anew'):
    old, pid, since = bfd.generation(part), bf.main_pid(), bfd.attachment(part_uuid=DATA).intact_since
    show('systemctl kill --signal=KILL blkfilterd.service')
    bf.wait_for(lambda: bf.main_pid() not in (0, pid) and bfd.unit_property('ActiveState') == 'active',
                what='another daemon')
    bfd.settled()
    show('systemctl show --property=NRestarts,ActiveState,StatusText \\\n  blkfilterd.service')
    bf.equal((bfd.generation(part), reason().intact_since), (old, since), 'attach and IntactSince')

with step('an unprivileged user may read all, and change nothing'):
    show(f"{CALL} \\\n  GetAttachment s {part}", user='user')
    for call in (f"Detach 'ssa{{sv}}' {part} bftrack 0", f"Attach 'ssa{{sv}}' {part} bfcount 0", "Reload 'a{sv}' 0"):
        show(f'{CALL} \\\n  {call}', user='user', ok=(1,))
    bf.equal(bfd.generation(part), old, 'attach')

with step('an administrator takes the filter off: it stays off until he puts it on again'):
    show(f"{CALL} \\\n  Detach 'ssa{{sv}}' {part} bftrack 0")
    reread()
    bf.equal(reason().state, 'detached', 'state')
    bf.equal(bf.filter_of(part), '', 'filter')
    show(f"{CALL} \\\n  Attach 'ssa{{sv}}' {part} bftrack 0")
    bf.equal(bf.filter_of(part), 'bftrack', 'filter')

with step('a policy with a slip of the finger: it is told where and what, and the last good version stays in force'):
    show("sed -i s/PartUUID/PartUID/ /etc/blkfilter.d/20-data.conf")
    bf.check('PartUUID=' in show(f"{CALL} \\\n  Reload 'a{{sv}}' 0"), 'the right key is told')
    reread()
    bfd.wait_attached(part)
    bf.equal(reason().state, 'attached', 'state')

sys.exit(1 if state['unexpected'] else 0)
