# SPDX-License-Identifier: LGPL-2.1-or-later
# vm: suite=bench limit=1800
"""Events from the kernel through the whole daemon, as fast as they can be made, for 32 partitions that have their filters.
udev does not run meanwhile: it would need far longer for each. And what comes of it when the daemon does not read them,
until the kernel throws events away: among those that are lost are those of a re-read."""

import os
import re
import signal
import sys
import time
from pathlib import Path

sys.path.insert(0, os.path.join(os.path.dirname(__file__), '..', 'guest'))
# pylint: disable=wrong-import-position
import bench
import bf
import bfd
import stamps

N_PARTS = 32
N_EVENTS = bench.setting('BENCH_EVENTS', 20000)
CHUNK = 10000
UDEV = 'systemd-udevd.service systemd-udevd-kernel.socket systemd-udevd-control.socket'


def cpu_seconds(pid):
    fields = Path(f'/proc/{pid}/stat').read_text().rpartition(')')[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf('SC_CLK_TCK')


def drops(pid):
    """How many events the kernel has thrown away because a socket of the process was full."""
    sockets = set()
    for fd in Path(f'/proc/{pid}/fd').iterdir():
        sockets.update(re.findall(r'^socket:\[(\d+)\]$', os.readlink(fd)))
    lines = [line.split() for line in Path('/proc/net/netlink').read_text().splitlines()[1:]]
    return sum(int(line[8]) for line in lines if line[9] in sockets)


def end_to_end(parts):
    pid = bf.main_pid()
    before = cpu_seconds(pid)
    told, answered = (float(ms) for ms in
                      bf.sh(f'{bench.program("events")} --answer {N_EVENTS} {" ".join(parts)}').split())
    used = cpu_seconds(pid) - before
    bf.equal(drops(pid), 0, 'events thrown away')
    bench.figure('events', 'end-to-end', attachments=len(parts), events=N_EVENTS,
                 events_per_s=round(N_EVENTS / answered * 1e3), made_per_s=round(N_EVENTS / told * 1e3),
                 cpu_us_per_event=round(used / N_EVENTS * 1e6, 1), lost=False)


def overflow(disk, parts):
    pid = bf.main_pid()
    n_events = 0
    # the watchdog would end it
    bf.sh('systemctl service-watchdogs no')
    since = time.time()
    os.kill(pid, signal.SIGSTOP)
    try:
        deadline = time.monotonic() + 300
        while drops(pid) == 0:
            bf.sh(f'{bench.program("events")} {CHUNK} {" ".join(parts)}')
            n_events += CHUNK
            bf.check(time.monotonic() < deadline, 'the buffer is full within 300 s')
        stamps.clear()
        stamps.reread(disk)
        n_drops = drops(pid)
    finally:
        bf.sh(f'systemctl start {UDEV}')
        began = time.monotonic() * 1000
        os.kill(pid, signal.SIGCONT)
    bf.sh('udevadm trigger --action=change --subsystem-match=block')
    found = stamps.wait(len(parts), began)
    recovered = (max(w.attached for w in found.values()) - began) / 1e3
    bf.settle()
    bfd.quiet()
    bf.equal(bench.count('attached'), len(parts), 'attachments that are attached')
    bf.equal(bf.main_pid(), pid, 'the daemon\'s process')
    bf.check('events of devices were lost' in bf.journal(since=since), 'the daemon says that events were lost')
    bench.figure('events', 'overflow', attachments=len(parts), events=n_events, drops=n_drops, lost=True,
                 recovered_s=round(recovered, 3))
    bf.sh('systemctl service-watchdogs yes')


bfd.begin(filters=())
stamps.begin()

with bf.scsi_debug(1) as scsi, bfd.policies():
    sda, = scsi.disks()
    uuids = bench.write_tables([sda], N_PARTS)
    bench.write_policies(uuids.values(), stamps.FILTER)
    bench.wait_count('attached', N_PARTS)
    bfd.quiet()
    parts = bf.partitions(sda)

    with bf.case('bench/events/end-to-end'):
        bf.sh(f'systemctl stop {UDEV}')
        try:
            end_to_end(parts)
        finally:
            bf.sh(f'systemctl start {UDEV}')
        bf.sh('udevadm trigger --action=change --subsystem-match=block --settle')
        bfd.quiet()

    with bf.case('bench/events/overflow'):
        bf.sh(f'systemctl stop {UDEV}')
        overflow(sda, parts)

bfd.forget_all()
bf.done()
