# SPDX-License-Identifier: LGPL-2.1-or-later
"""The machine's side of the test runner. Takes commands from the host, one JSON object a line, on a virtio serial
port, and answers in the same way:

    {"cmd": "up"}                                  waits until the boot is over: {"state", "failed", "analyze"}
    {"cmd": "run", "file": PATH, "limit": SECONDS, "settings": {NAME: VALUE}}
                                                   {"line": TEXT} for each line of output, then {"status": N or null,
                                                   "stuck": bool}; status is null when the time was over
    {"cmd": "logs", "since": REALTIME}             {"log": TEXT}: what the daemon and the kernel said since then
    {"cmd": "poweroff", "force": BOOL}             whether units are killed, and not stopped in their order
"""

import json
import os
import selectors
import subprocess
import time
from pathlib import Path

PORT_NAME = 'blkfilter-tests'
TESTS_DIR = Path(__file__).resolve().parent.parent


def open_port():
    """Finds the port by its name in sysfs: udev's link may not be there yet."""
    for port in Path('/sys/class/virtio-ports').iterdir():
        if (port / 'name').read_text().strip() == PORT_NAME:
            return open(f'/dev/{port.name}', 'r+b', buffering=0)
    raise SystemExit(f'agent: the machine has no virtio port named {PORT_NAME}; was it started by tests/vm/run?')


def output_of(*command):
    return subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          text=True, errors='replace', check=False).stdout


class Group:
    """A control group around one test, so that nothing it started outlives it."""

    def __init__(self):
        own = Path('/proc/self/cgroup').read_text().strip().partition('::')[2]
        self.path = Path('/sys/fs/cgroup' + own) / 'test'
        self.path.mkdir(exist_ok=True)

    def enter(self):
        (self.path / 'cgroup.procs').write_text(str(os.getpid()))

    def kill(self):
        """Ends all that is in the group. Returns whether it is empty after a minute."""
        (self.path / 'cgroup.kill').write_text('1')
        deadline = time.monotonic() + 60
        while 'populated 1' in (self.path / 'cgroup.events').read_text():
            if time.monotonic() > deadline:
                return False
            time.sleep(0.01)
        return True


class Agent:
    def __init__(self, port):
        self.port = port

    def send(self, **message):
        data = memoryview(json.dumps(message).encode() + b'\n')
        while data:
            data = data[self.port.write(data):]

    def up(self):
        state = output_of('systemctl', 'is-system-running', '--wait').strip()
        self.send(state=state, failed=output_of('systemctl', '--failed', '--plain', '--no-legend').strip(),
                  analyze=output_of('systemd-analyze', 'time').strip().partition('\n')[0])

    def run(self, file, limit, settings):
        path = TESTS_DIR / file
        group = Group()
        environ = {'PATH': '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin', 'HOME': '/root',
                   'LANG': 'C.UTF-8', 'PYTHONUNBUFFERED': '1', 'PYTHONDONTWRITEBYTECODE': '1', **settings}
        command = ['python3', str(path)] if path.suffix == '.py' else ['bash', str(path)]
        child = subprocess.Popen(command, cwd='/root', env=environ, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                 stderr=subprocess.STDOUT, preexec_fn=group.enter)
        timed_out = not self.forward(child.stdout, child, time.monotonic() + limit)
        stuck = not group.kill()
        status = None
        if not stuck:
            # with the group empty, what is left in the pipe is all there is
            self.forward(child.stdout, None, time.monotonic() + 60)
            status = child.wait()
        self.send(status=None if timed_out else status, stuck=stuck)

    def forward(self, pipe, child, deadline):
        """Sends each line of the pipe, until its end or the child's. Returns False when the deadline came first."""
        os.set_blocking(pipe.fileno(), False)
        with selectors.DefaultSelector() as selector:
            selector.register(pipe, selectors.EVENT_READ)
            rest = b''
            while time.monotonic() < deadline:
                ready = selector.select(0.2)
                data = os.read(pipe.fileno(), 65536) if ready else None
                if data == b'' or (data is None and child and child.poll() is not None):
                    # the end; or the test is over, but something that it started keeps the pipe open
                    if rest:
                        self.send(line=rest.decode(errors='replace'))
                    return True
                *lines, rest = (rest + (data or b'')).split(b'\n')
                for line in lines:
                    self.send(line=line.decode(errors='replace'))
            if rest:
                self.send(line=rest.decode(errors='replace'))
        return False

    def logs(self, since):
        journal = ('journalctl', '--boot', '--quiet', '--no-pager', '--output=short-monotonic', f'--since=@{since}')

        # the last lines: together with --since, journalctl's -n takes the first
        def last(n_lines, *arguments):
            return ''.join(output_of(*journal, *arguments).splitlines(keepends=True)[-n_lines:])

        parts = (('blkfilterd', last(120, '--unit=blkfilter*', '--unit=dbus-org.blkfilter1*')),
                 ('kernel', last(40, '--dmesg')))
        self.send(log=''.join(f'--- {name}\n{text}' for name, text in parts if text))

    def serve(self):
        buffer = b''
        while True:
            data = self.port.read(65536)
            if not data:
                # nobody is at the other end (yet)
                time.sleep(0.1)
                continue
            *lines, buffer = (buffer + data).split(b'\n')
            for line in lines:
                message = json.loads(line)
                command = message.pop('cmd')
                if command == 'poweroff':
                    output_of('systemctl', '--no-block', *(['--force'] if message['force'] else []), 'poweroff')
                else:
                    {'up': self.up, 'run': self.run, 'logs': self.logs}[command](**message)


if __name__ == '__main__':
    Agent(open_port()).serve()
