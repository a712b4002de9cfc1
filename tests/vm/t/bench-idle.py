# SPDX-License-Identifier: LGPL-2.1-or-later
# vm: suite=bench limit=3600
"""What the daemon and its workers need when nothing happens, with 0, 100 and 1,000 filters on partitions that are there, and
with 1,000 partitions that nobody wants a filter on; and beside it, in the same machine with the same disks, udisksd, polkitd
and systemd-udevd."""

import contextlib
import os
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(__file__), '..', 'guest'))
# pylint: disable=wrong-import-position
import bench
import bf
import bfd
import proc

# the subject of the measurement: so long nothing happens. The watchdog's are two in 30 s
IDLE_SEC = bench.setting('BENCH_IDLE_SEC', 90)
# disks, partitions on each, and attachments on them in all
CROWDS = ((0, 0, 0), (1, 100, 100), (8, 125, 0), (8, 125, 1000))
UNITS = {'blkfilterd': bf.UNIT, 'udisksd': 'udisks2.service', 'polkitd': 'polkit.service',
         'systemd-udevd': 'systemd-udevd.service'}
QUIET_SEC = 10


def wait_idle():
    """Until none of the services does anything: udevd keeps workers for a while, and others have timers for what was."""
    bfd.quiet()
    deadline = time.monotonic() + 300
    while True:
        before = {name: proc.switches(unit) for name, unit in UNITS.items()}
        time.sleep(QUIET_SEC)
        after = {name: proc.switches(unit) for name, unit in UNITS.items()}
        busy = [name for name in UNITS if before[name].keys() != after[name].keys() or
                sum(after[name].values()) - sum(before[name].values()) > QUIET_SEC]
        if not busy:
            return
        bf.check(time.monotonic() < deadline, f'after 300 s these are idle: {busy}')


def measure(n_attachments, n_partitions):
    wait_idle()
    before = {name: proc.switches(unit) for name, unit in UNITS.items()}
    began = time.monotonic()
    time.sleep(IDLE_SEC)
    seconds = time.monotonic() - began
    after = {name: proc.switches(unit) for name, unit in UNITS.items()}
    for name, unit in UNITS.items():
        m = proc.memory(unit)
        # a process that has come or gone meanwhile counts with what is known of it
        woken = sum(n - before[name].get(thread, 0) for thread, n in after[name].items())
        bench.figure('idle', name, attachments=n_attachments, partitions=n_partitions, processes=m.processes, rss_kb=m.rss_kb,
                     pss_kb=m.pss_kb, private_kb=m.private_kb, wakeups_per_s=round(woken / seconds, 4), seconds=round(seconds))


bfd.begin()
bf.sh('systemctl start udisks2.service polkit.service')

for n_disks, n_parts, n_attachments in CROWDS:
    n_all = n_disks * n_parts
    with bf.case(f'bench/idle/{n_attachments}-on-{n_all}-partitions'), bfd.policies():
        with bf.scsi_debug(n_disks, dev_size_mb=n_parts + 3) if n_disks else contextlib.nullcontext() as scsi:
            uuids = list(bench.write_tables(scsi.disks(), n_parts).values()) if n_disks else []
            # what it needed for what was before is not to be counted
            bfd.restart()
            bench.write_policies(uuids[:n_attachments])
            bench.wait_count('attached', n_attachments)
            bf.settle()
            measure(n_attachments, n_all)

bf.sh('systemctl stop udisks2.service')
bfd.end('bench/idle')
