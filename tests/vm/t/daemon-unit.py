# SPDX-License-Identifier: LGPL-2.1-or-later
# vm: interfaces-long limit=420
"""The daemon as a service: how systemd has it, what it may do and what it holds, and that what is installed beside it
is liked by udev, D-Bus and polkit."""

import os
import re
import sys
import time
from pathlib import Path

sys.path.insert(0, os.path.join(os.path.dirname(__file__), '..', 'guest'))
# pylint: disable=wrong-import-position
import bf
import bfd

DROP_IN = Path(f'/run/systemd/system/{bf.UNIT}.d/50-test.conf')


def processes():
    """The daemon and its workers: process ids."""
    group = Path('/sys/fs/cgroup') / bfd.unit_property('ControlGroup').lstrip('/')
    return [int(pid) for pid in (group / 'cgroup.procs').read_text().split()]


def status_of(pid):
    """The lines of /proc/PID/status, by name."""
    text = Path(f'/proc/{pid}/status').read_text()
    return dict(line.split(':\t', 1) for line in text.splitlines() if ':\t' in line)


def open_files(pid):
    """What the descriptors of a process lead to, by number."""
    found = {}
    for link in Path(f'/proc/{pid}/fd').iterdir():
        try:
            found[link.name] = os.readlink(link)
        except FileNotFoundError:
            pass
    return found


bfd.begin()

with bf.case('daemon/unit/active-and-watched'):
    for name, wanted in (('ActiveState', 'active'), ('SubState', 'running'), ('Type', 'notify'), ('Result', 'success'),
                         ('UnitFileState', 'enabled'), ('NotifyAccess', 'main')):
        bf.equal(bfd.unit_property(name), wanted, name)
    bf.equal(bfd.unit_property('WatchdogUSec'), '30s', 'WatchdogUSec')
    bf.check(re.search(r'attached of', bfd.unit_property('StatusText')), f'StatusText: {bfd.unit_property("StatusText")}')
    # begun before the first answer to the watchdog is due; the time of the last one moves on
    first = int(bfd.unit_property('WatchdogTimestampMonotonic'))
    bf.wait_for(lambda: int(bfd.unit_property('WatchdogTimestampMonotonic')) > first, what='a sign of life')

with bf.case('daemon/unit/exposure'):
    text = bf.sh(f'systemd-analyze security --no-pager {bf.UNIT}')
    exposure = float(re.search(r'Overall exposure level for \S+: ([\d.]+)', text).group(1))
    print(f'# exposure {exposure}')
    bf.check(exposure <= 2.0, f'the exposure is at most 2.0: {exposure}')
    bf.equal(bf.sh(f'systemd-analyze verify {bf.UNIT} 2>&1').strip(), '', 'what systemd-analyze verify says')

with bf.scsi_debug() as scsi, bfd.policies():
    sda, = scsi.disks()
    bf.sfdisk(sda, f'label: gpt\nsize=16MiB, uuid={bfd.uuid(1)}, name=data\nsize=8MiB, name=other\n')
    sda1 = bf.partition(sda, 1)
    bfd.put_policy('20-data.conf', part_uuid=bfd.uuid(1))
    bfd.wait_attached(sda1)
    bfd.quiet()

    with bf.case('daemon/unit/no-capability-left'):
        pids = processes()
        bf.check(bf.main_pid() in pids and len(pids) > 1, f'the daemon and its workers: {pids}')
        for pid in pids:
            status = status_of(pid)
            for kind in ('CapInh', 'CapPrm', 'CapEff', 'CapAmb'):
                bf.equal(int(status[kind], 16), 0, f'{kind} of {pid} ({status["Name"]})')
            bf.equal(int(status['CapBnd'], 16) & ~(1 << 12), 0, f'CapBnd of {pid} but for CAP_NET_ADMIN')
            bf.equal((status['NoNewPrivs'], status['Seccomp']), ('1', '2'), f'NoNewPrivs and Seccomp of {pid}')

    with bf.case('daemon/unit/holds-no-block-device'):
        bfd.reread(sda)
        bfd.wait_attached(sda1)
        bfd.quiet()

        def idle():
            # between the reply and the close of the descriptors a worker has them still
            for pid in processes():
                for number, target in open_files(pid).items():
                    path = Path(f'/proc/{pid}/fd/{number}')
                    if target.startswith('/dev/') and path.is_block_device():
                        raise bf.Failure(f'process {pid} has {target} open')
            return True
        bf.wait_for(idle, what='all descriptors of block devices to be closed')

    with bf.case('daemon/unit/descriptors-do-not-pile-up'):
        n_before = len(open_files(bf.main_pid()))
        for _ in range(10):
            generation = bfd.generation(sda1)
            bfd.reread(sda)
            bfd.wait_attached(sda1, other_than=generation)
        bfd.quiet()
        n_after = len(open_files(bf.main_pid()))
        bf.check(n_after <= n_before + 2, f'descriptors before and after: {n_before}, {n_after}')
        bf.check(len(processes()) <= 8, f'processes: {len(processes())}')

    with bf.case('daemon/unit/rule-tags-devices'):
        for name in (sda, bf.name_of(sda1)):
            tags = bf.sh(f'udevadm info --query=property --property=CURRENT_TAGS --value /dev/{name}').strip()
            bf.check(':blkfilter:' in tags, f'the tags of {name}: {tags}')
        rules = [p for p in Path('/usr/lib/udev/rules.d').glob('*blkfilter*')]
        bf.equal(len(rules), 1, 'files of rules')
        said = bf.sh(f'udevadm test --action=change /sys/class/block/{sda} 2>&1')
        bad = [line for line in said.splitlines() if 'blkfilter.rules' in line and
               re.search(r'invalid|unknown|ignor|error|fail', line, re.IGNORECASE)]
        bf.equal(bad, [], 'what udev says about the rules')

with bf.case('daemon/unit/bus-and-polkit-like-what-is-installed'):
    for unit in ('dbus.service', 'polkit.service'):
        # what other files' users typed wrong is nothing of what is installed
        bad = [line for line in bf.journal(unit).splitlines() if 'blkfilter' in line and
               'FAILED to authenticate' not in line and
               re.search(r'error|warning|invalid|unknown|could not|fail|ignor', line, re.IGNORECASE)]
        bf.equal(bad, [], f'what {unit} says')
    actions = bf.sh('pkaction').split()
    bf.equal(sorted(a for a in actions if a.startswith('org.blkfilter1.')),
             [f'org.blkfilter1.{a}' for a in ('attach', 'ctl', 'ctl-raw', 'detach', 'reload')], 'actions')
    for action in ('attach', 'detach', 'ctl', 'ctl-raw', 'reload'):
        text = bf.sh(f'pkaction --verbose --action-id org.blkfilter1.{action}')
        allowed = dict(re.findall(r'implicit (\w+):\s+(\S+)', text))
        bf.equal(len(allowed), 3, f'defaults of {action}')
        bf.check('yes' not in allowed.values(), f'{action} is for nobody without a password: {allowed}')
    text = bf.sh('pkaction --verbose --action-id org.blkfilter1.ctl-raw')
    bf.check('keep' not in text, 'ctl-raw is never kept')

with bf.case('daemon/unit/starts-without-a-bus'):
    # early in boot there is none
    bf.sh(f'systemctl stop {bf.UNIT} dbus.socket dbus.service 2>&1', ok=(0, 1))
    try:
        bfd.start()
        bf.equal(bf.sh('systemctl is-active dbus.service', ok=(0, 3)).strip(), 'inactive', 'the bus')
        bf.check(bf.main_pid() > 0, 'the daemon runs')
    finally:
        bf.sh('systemctl start dbus.socket dbus.service')
    bf.wait_for(lambda: bf.busctl_get('Version'), what='the daemon on the bus that came later')

with bf.case('daemon/unit/journal-has-no-error'):
    errors = [m['MESSAGE'] for m in bfd.messages(priority='err')]
    bf.equal(errors, [], 'errors in the daemon\'s journal')
    kernel = bf.sh('journalctl --boot --quiet --no-pager --output=cat --dmesg')
    bf.equal([line for line in kernel.splitlines() if re.search(r'(seccomp|audit).*blkfilter|segfault', line)], [],
             'denials and crashes that the kernel tells of')

with bf.case('daemon/unit/one-failure-is-not-for-good'):
    # as newer versions of systemd start it at each failure
    since, pid = time.time(), bf.main_pid()
    bf.sh(f'kill -KILL {pid}')
    bf.sh('/usr/libexec/blkfilter-wait --give-up')
    bf.wait_for(lambda: bf.main_pid() not in (0, pid), what='the daemon to be started again')
    bf.sh('/usr/libexec/blkfilter-wait --settled --timeout=60')
    bf.sh('/usr/libexec/blkfilter-wait --give-up')
    bf.check(Path('/run/blkfilterd/wait').exists(), 'the socket is there')
    said = bf.sh('journalctl --sync; journalctl --boot --quiet --no-pager --output=cat'
                 f' --since=@{since:.6f} SYSLOG_IDENTIFIER=blkfilter-wait')
    bf.check('reset-failed' not in said, f'and nothing is said of a daemon that is not started: {said}')

with bf.case('daemon/unit/a-crash-loop-holds-nothing-back'):
    # the socket of one that was killed is left behind, so that udev waits for the next
    bf.equal(bf.sh('systemd-analyze verify blkfilterd-failed.service 2>&1').strip(), '', 'what systemd-analyze says')
    since = time.time()
    socket = Path('/run/blkfilterd/wait')
    # so many starts in a minute are too many; on a slow machine they take longer
    DROP_IN.parent.mkdir(parents=True, exist_ok=True)
    DROP_IN.write_text('[Unit]\nStartLimitIntervalSec=10min\n')
    bf.sh('systemctl daemon-reload')
    try:
        def crash():
            if bfd.unit_property('ActiveState') == 'failed':
                return True
            if pid := bf.main_pid():
                bf.sh(f'kill -KILL {pid}', ok=(0, 1))
            return False
        bf.wait_for(crash, limit=240, what='systemd to start the daemon no more')
        bf.wait_for(lambda: not socket.exists(), what='the socket to go')
        said = [line for line in bf.journal('blkfilterd-failed.service', since).splitlines()
                if 'systemctl reset-failed blkfilterd' in line]
        bf.equal(len(said), 1, f'sentences of the journal with the next step: {said}')
        bf.sh('env DEVPATH=/devices/virtual/block/none SEQNUM=1 /usr/libexec/blkfilter-wait')
        # who has waited says so
        said = bf.sh('journalctl --sync; journalctl --boot --quiet --no-pager --output=cat BLKFILTER_DEVICE=none')
        bf.equal(said, '', 'what who asks, and is let go at once, says')
    finally:
        DROP_IN.unlink()
        bf.sh('systemctl daemon-reload')
        bf.sh(f'systemctl reset-failed {bf.UNIT}')
        bfd.start()
    bf.check(socket.exists(), 'the socket is there again')

bfd.end('daemon/unit')
