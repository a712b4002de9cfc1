# SPDX-License-Identifier: LGPL-2.1-or-later
"""Many clients at once (tests/clients/many-clients.c), and re-reads beside them: what the short and the long test file
share."""

import contextlib
import fcntl
import os
import re
import subprocess
import time
from pathlib import Path

import bf
import bfd
import kfilter

PROGRAM = Path(__file__).resolve().parent.parent / 'clients/many-clients'
N_CLIENTS = 64
OUTPUT = Path('/run/many-clients.out')
BACK_LIMIT_SEC = 60
LOOK_SEC = 0.0005


@contextlib.contextmanager
def looking_first():
    """Whoever measures is not kept waiting for the processor by what is measured."""
    os.setpriority(os.PRIO_PROCESS, 0, -20)
    try:
        yield
    finally:
        os.setpriority(os.PRIO_PROCESS, 0, 0)


def time_of_return(disk, part):
    """One re-read, tried again while udev has the partition open. How long after its end the filter was on again: seconds."""
    def reread():
        with kfilter.opened(disk) as fd:
            fcntl.ioctl(fd, kfilter.BLKRRPART)
            return time.monotonic()

    bf.settle()
    with looking_first():
        began = bf.wait_for(reread, BACK_LIMIT_SEC, f'a re-read of {disk}')
        while True:
            if bf.filter_of(part) == 'bftrack':
                return time.monotonic() - began
            if time.monotonic() > began + BACK_LIMIT_SEC:
                raise bf.Failure(f'bftrack is not on {part} again after {BACK_LIMIT_SEC} s')
            time.sleep(LOOK_SEC)


def rereads(disk, part, n=None, process=None):
    """n re-reads; or as many as there is time for while a process lives. Returns how long each return took."""
    times, seen = [], {bfd.generation(part)}
    while len(times) < n if n else process.poll() is None:
        times.append(time_of_return(disk, part))
        seen.add(bfd.wait_attached(part))
    bf.equal(len(seen), len(times) + 1, 'different attaches')
    return times


def median(times):
    return sorted(times)[len(times) // 2]


def told(times):
    return f'{len(times)} re-reads, back after {min(times) * 1000:.0f} to {max(times) * 1000:.0f} ms, median ' \
           f'{median(times) * 1000:.0f} ms'


def run(group, n_calls, n_idle):
    """64 clients with n_calls each, re-reads beside them, and n_idle re-reads before and after them."""
    with bf.scsi_debug() as scsi, bfd.policies():
        sda, = scsi.disks()
        bf.sfdisk(sda, f'label: gpt\nsize=16MiB, uuid={bfd.uuid(1)}, name=data\nsize=8MiB, uuid={bfd.uuid(2)}\n')
        sda1 = bf.partition(sda, 1)
        bfd.put_policy('20-data.conf', part_uuid=bfd.uuid(1))
        bfd.wait_attached(sda1)
        bfd.quiet()

        with bf.case(f'{group}/every-call-answered-once'):
            since = time.time()
            before = rereads(sda, sda1, n_idle)
            command = ['setpriv', f'--reuid={bf.UNPRIVILEGED}', f'--regid={bf.UNPRIVILEGED}', '--init-groups', '--',
                       str(PROGRAM), str(N_CLIENTS), str(n_calls), sda1, f'PARTUUID={bfd.uuid(1)}']
            with OUTPUT.open('w', encoding='utf-8') as out:
                clients = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=out, stderr=out)
            try:
                beside = rereads(sda, sda1, process=clients)
                status = clients.wait()
            finally:
                clients.kill()
                clients.wait()
            after = rereads(sda, sda1, n_idle)

            output = OUTPUT.read_text(encoding='utf-8')
            for line in output.splitlines():
                print(f'# {line}')
            print(f'# before the clients: {told(before)}')
            print(f'# beside them: {told(beside)}')
            print(f'# after them: {told(after)}')
            print(f'# ratio of the medians, beside the clients to without: {median(beside) / median(before + after):.2f}')

            bf.equal(status, 0, 'exit status of many-clients')
            n = N_CLIENTS * n_calls
            bf.check(re.search(rf'^{N_CLIENTS} clients: {n} calls, {n} answered,', output, re.M), 'all of them are counted')
            for what in ('GetAttachment of a device', 'GetAttachment of an identity', 'ListAttachments', 'GetAll',
                         'GetManagedObjects', 'Explain'):
                bf.check(re.search(rf'^{what}: [1-9]\d* answered', output, re.M), f'{what} has been answered with what it asks')
            for what in ('Detach', 'Ctl', 'Reload'):
                bf.check(re.search(rf'^{what}: 0 answered, .*(AccessDenied|InteractiveAuthorizationRequired)', output, re.M),
                         f'{what} has been refused for lack of authority')
            # a second reply does not get past the bus, which complains of it
            complaints = [line for line in bf.journal('dbus.service', since).splitlines()
                          if re.search(r'type="(method_return|error)".* requested_reply="0"', line)]
            bf.equal(complaints, [], 'replies that nobody waited for')

        with bf.case(f'{group}/as-before'):
            bfd.quiet()
            a = bfd.wait_state('attached', part_uuid=bfd.uuid(1))
            bf.equal((a.device, bf.filter_of(sda1)), (sda1, 'bftrack'), 'what is where')
            last = bfd.gaps(a)[-1]
            bf.check(last.end > last.begin, 'the last gap has an end')
