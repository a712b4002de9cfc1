# SPDX-License-Identifier: LGPL-2.1-or-later
"""One machine: a QEMU process, its console, and the agent in it."""

import ctypes
import json
import os
import select
import shutil
import signal
import socket
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

CACHE = Path(os.environ.get('XDG_CACHE_HOME') or Path.home() / '.cache') / 'blkfilterd'
N_SPARE_DISKS = 3
SPARE_DISK_BYTES = 64 << 20
PR_SET_PDEATHSIG = 1

# The interfaces for filters that the tests' kernel can have, and the words on its command line that make it so.
INTERFACES = {
    'blkfilter-1': '',
    'blkfilter-1-v4': 'blk_filter.attribute=no',     # of the series v3 and v4
    'blkfilter-2': 'blk_filter.interface=blkfilter-2',
    'bdevfilter-40': 'blk_filter.interface=none modules_load=bdevfilter bdevfilter.attach_size=40',
    'bdevfilter-56': 'blk_filter.interface=none modules_load=bdevfilter bdevfilter.attach_size=56',
    'none': 'blk_filter.interface=none',
}
DEFAULT_INTERFACE = 'blkfilter-1'


class MachineDied(Exception):
    """The machine ended, or does not answer any more. The text says which."""


def _die_with_parent():
    """Runs in the child before QEMU: it must not outlive the runner, not even one that was killed."""
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    os.setsid()


def _qemu(*arguments):
    return ['qemu-system-x86_64', '-nodefaults', '-no-user-config', '-no-reboot', '-display', 'none',
            *arguments]


def _kvm_boots(kernel):
    """Whether the kernel comes up under KVM: where machines are nested, /dev/kvm can be there and not work."""
    command = _qemu('-accel', 'kvm', '-cpu', 'max', '-m', '256M', '-serial', 'stdio',
                    '-kernel', str(kernel / 'bzImage'), '-append', 'console=ttyS0 panic=-1')
    try:
        run = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
                             timeout=20, check=False, preexec_fn=_die_with_parent)
    except subprocess.TimeoutExpired:
        return False
    return run.returncode == 0 and b'Unable to mount root fs' in run.stdout


def accelerators(kernel):
    """The -accel arguments: KVM where it works (asked once per boot of the host and remembered), else TCG."""
    tcg = ['-accel', 'tcg,thread=multi']
    if not os.access('/dev/kvm', os.R_OK | os.W_OK):
        return tcg
    boot_id = Path('/proc/sys/kernel/random/boot_id').read_text().strip()
    answer = CACHE / 'kvm'
    known = answer.read_text().split() if answer.exists() else []
    if len(known) != 2 or known[0] != boot_id:
        known = [boot_id, 'yes' if _kvm_boots(kernel) else 'no']
        answer.write_text(' '.join(known) + '\n')
    return ['-accel', 'kvm'] if known[1] == 'yes' else tcg


@dataclass
class Boot:
    """How a machine is booted, where it is not as all of them are."""
    root: str = '/dev/vda'      # for the kernel
    keep: bool = False          # what is written to its disks is there at the next boot
    initramfs: Path | None = None
    append: str = ''            # words for the kernel's command line


def _arguments(kernel, image, spare, append, boot):
    """QEMU's arguments that every machine has. Nothing that it writes to a disk is kept, if `boot` does not say so."""
    snapshot = 'off' if boot.keep else 'on'
    arguments = [*accelerators(kernel), '-cpu', 'max', '-smp', '2', '-m', '2G',
                 '-kernel', str(kernel / 'bzImage'),
                 '-append', f'root={boot.root} rootfstype=ext4 rw console=ttyS0 loglevel=5 printk.time=1 '
                            f'panic=-1 oops=panic systemd.show_status=no fsck.mode=skip {append} {boot.append}',
                 '-device', 'virtio-rng-pci', '-device', 'virtio-serial-pci',
                 '-drive', f'file={image},format=raw,if=none,id=root,snapshot={snapshot}',
                 '-device', 'virtio-blk-pci,drive=root,serial=root']
    if boot.initramfs:
        arguments += ['-initrd', str(boot.initramfs)]
    for i, file in enumerate(spare):
        arguments += ['-drive', f'file={file},format=raw,if=none,id=spare{i},snapshot={snapshot}',
                      '-device', f'virtio-blk-pci,drive=spare{i},serial=spare{i}']
    return arguments


def spare_disks(work):
    """Makes the empty disks that each machine has besides its own: /dev/disk/by-id/virtio-spare0 and so on."""
    files = [work / f'spare{i}.img' for i in range(N_SPARE_DISKS)]
    for file in files:
        with open(file, 'wb') as stream:
            stream.truncate(SPARE_DISK_BYTES)
    return files


def copy_disks(work, image, spare):
    """Copies of the disks for machines that follow each other, in a folder of their own. Returns both."""
    work.mkdir()
    copies = [work / file.name for file in (image, *spare)]
    for source, target in zip((image, *spare), copies):
        subprocess.run(['cp', '--sparse=always', '--reflink=auto', str(source), str(target)], check=True)
    return copies[0], copies[1:]


def shell(kernel, image, spare, boot):
    """A console on this terminal, until the machine is powered off. Returns QEMU's status."""
    size = shutil.get_terminal_size()
    append = f'vm.rows={size.lines} vm.cols={size.columns} vm.term={os.environ.get("TERM", "vt220")}'
    command = _qemu('-chardev', 'stdio,id=console,mux=on,signal=off', '-serial', 'chardev:console',
                    '-mon', 'chardev=console', *_arguments(kernel, image, spare, append, boot))
    return subprocess.run(command, check=False).returncode


class Machine:
    """A running machine. To be used in a with statement: its end is the end of QEMU, whatever happened."""

    def __init__(self, kernel, image, spare, console, boot=Boot()):
        """console: a file for all that the machine writes to its serial console."""
        self.console = console
        console.write_bytes(b'')
        self.socket, guest_end = socket.socketpair()
        command = _qemu('-chardev', f'file,id=console,path={console}', '-serial', 'chardev:console',
                        '-chardev', f'socket,id=agent,fd={guest_end.fileno()}',
                        *_arguments(kernel, image, spare, 'vm.agent systemd.mask=serial-getty@ttyS0.service',
                                    boot),
                        '-device', 'virtserialport,chardev=agent,name=blkfilter-tests')
        self.errors = console.with_suffix('.qemu')
        with open(self.errors, 'wb') as errors:
            self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=errors, stderr=errors,
                                            pass_fds=[guest_end.fileno()], preexec_fn=_die_with_parent)
        guest_end.close()
        self.buffer = b''
        self.started = time.monotonic()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        self.socket.close()

    def console_size(self):
        return self.console.stat().st_size

    def console_since(self, offset):
        with open(self.console, 'rb') as stream:
            stream.seek(offset)
            return stream.read().decode(errors='replace').replace('\r', '')

    def _send(self, **message):
        try:
            self.socket.sendall(json.dumps(message).encode() + b'\n')
        except OSError:
            raise MachineDied('the machine ended') from None

    def _receive(self, deadline):
        """The agent's next message."""
        while b'\n' not in self.buffer:
            remaining = deadline - time.monotonic()
            if remaining <= 0:
                raise MachineDied('the machine does not answer any more')
            if not select.select([self.socket], [], [], remaining)[0]:
                continue
            try:
                data = self.socket.recv(65536)
            except OSError:
                data = b''
            if not data:
                raise MachineDied('the machine ended' + self._why())
            self.buffer += data
        line, _, self.buffer = self.buffer.partition(b'\n')
        return json.loads(line)

    def _why(self):
        errors = self.errors.read_text(errors='replace').strip()
        return f': QEMU says: {errors}' if errors else ' (see its console)'

    def wait_up(self, limit):
        """Waits until systemd has done all that belongs to the boot. Returns a dictionary: state (running,
        degraded…), failed (units), analyze (systemd-analyze's line), seconds (since QEMU's start)."""
        self._send(cmd='up')
        answer = self._receive(time.monotonic() + limit)
        return dict(answer, seconds=time.monotonic() - self.started)

    def run(self, file, limit, on_line, settings=None):
        """Runs a test file, named from the tests' folder in the machine, and calls on_line with each line that it
        prints. settings: environment variables for it. Returns its exit status, None if the limit (seconds) ended it. MachineDied also when something of
        it cannot be ended: then the machine is of no more use."""
        self._send(cmd='run', file=file, limit=limit, settings=settings or {})
        deadline = time.monotonic() + limit + 180
        while True:
            message = self._receive(deadline)
            if 'line' in message:
                on_line(message['line'])
                continue
            if message['stuck']:
                raise MachineDied('a process of the test cannot be ended (it hangs in the kernel)')
            return message['status']

    def logs(self, since):
        """What the daemon and the kernel have logged since that time (seconds, the machine's clock is ours)."""
        self._send(cmd='logs', since=int(since))
        return self._receive(time.monotonic() + 60)['log']

    def poweroff(self, force=True):
        """Ends the machine in an orderly way, or after two minutes in the other: what it has
        not written then is not on its disks at the next boot. force: its units are not stopped before, but killed."""
        try:
            self._send(cmd='poweroff', force=force)
            self.process.wait(timeout=120)
        except (MachineDied, subprocess.TimeoutExpired):
            pass
