# SPDX-License-Identifier: LGPL-2.1-or-later
"""Disks that are re-partitioned, unplugged and plugged in again: scsi_debug, loop and virtio. Each keeps a journal of
the tables that were ever written to it, and when: what stands in a table at a time is known without asking anybody."""

import contextlib
import fcntl
import os
import time
import uuid
from dataclasses import dataclass, field
from pathlib import Path

import bf
import gpt
import kfilter

LOOP_FOLDER = Path('/var/tmp')
BLKPG_RESIZE_PARTITION = 3
BUSY_TRIES = 4
FEINT_SEC = 0.06


@dataclass
class Part:
    """A partition as the kernel has it now."""
    name: str
    number: int
    start: int
    size: int
    object: int
    filter: str

    def is_entry(self, entry):
        return entry is not None and (self.start, self.size) == (entry.start, entry.size)


@dataclass
class Version:
    """A table that stood on a disk until `began` or, at the latest, `ended`, when the next one was written."""
    table: dict
    began: float = 0.0
    ended: float = 0.0
    locked: bool = True         # the next one was written under the disk's lock
    objects: set = field(default_factory=set)   # of the kernel's partitions that were there at `ended`


def read_parts(disk):
    """The partitions that the kernel has of a disk, by number. Without those that go while they are looked at."""
    found = {}
    with contextlib.suppress(OSError):
        for folder in Path(f'/sys/block/{disk}').iterdir():
            with contextlib.suppress(OSError, ValueError):
                if not folder.name.startswith(disk):
                    continue
                number, start, size = (int((folder / f).read_text()) for f in ('partition', 'start', 'size'))
                part = Part(folder.name, number, start, size, folder.stat().st_ino, bf.filter_of(folder.name))
                if part.filter is not None:
                    found[number] = part
    return found


class Disk:
    """.label is its name for ever, .name the kernel's while it is plugged in, else ''."""

    def __init__(self, label):
        self.label = label
        self.disk_uuid = uuid.uuid5(uuid.NAMESPACE_OID, label)
        self.name = ''
        self.table = {}             # what was written last
        self.history = []           # Version, in their order
        self.touched = None         # since when something has been done to it in this round; None: nothing

    def touch(self):
        if self.touched is None:
            self.touched = time.monotonic()

    @property
    def n_sectors(self):
        return int(Path(f'/sys/block/{self.name}/size').read_text())

    def objects(self):
        """The inodes of the kernel's partitions, quickly."""
        found = set()
        with contextlib.suppress(OSError):
            for entry in os.scandir(f'/sys/block/{self.name}'):
                if entry.name.startswith(self.name):
                    found.add(entry.inode())
        return found

    @contextlib.contextmanager
    def writing(self, new, locked):
        """Around what writes the table `new`."""
        self.touch()
        version = Version(self.table, began=time.monotonic(), ended=float('inf'), locked=locked)
        self.history.append(version)
        try:
            yield
        finally:
            version.ended = time.monotonic()
            version.objects = self.objects()
            self.table = new

    @contextlib.contextmanager
    def opened(self, flags=os.O_RDWR, lock=False):
        fd = os.open(f'/dev/{self.name}', flags | os.O_CLOEXEC | os.O_NONBLOCK)
        try:
            if lock:
                fcntl.flock(fd, fcntl.LOCK_EX)
            yield fd
        finally:
            os.close(fd)

    # ways to write a table; each returns a word on how it went

    def write_raw(self, new, fd, locked):
        with self.writing(new, locked):
            gpt.write_fd(fd, self.n_sectors, self.disk_uuid, new)

    def by_rrpart(self, new, rng, locked):
        """Written, then the kernel reads it. Busy: it is left as it is, until udev has it read."""
        with self.opened(lock=locked) as fd:
            self.write_raw(new, fd, locked)
            for _ in range(BUSY_TRIES):
                try:
                    fcntl.ioctl(fd, kfilter.BLKRRPART)
                    return ''
                except OSError:
                    pass
        return 'busy'

    def by_feint(self, new, rng, locked):
        """First two partitions are told to be each other. The kernel reads that, and the daemon, whenever the lock lets
        it. Between that and its ATTACH it is put right, with the lock held, and without a word to the kernel."""
        feint = dict(new)
        if len(new) > 1:
            a, b = rng.sample(sorted(new), 2)
            for this, other in ((a, b), (b, a)):
                feint[this] = new[this]._replace(uuid=new[other].uuid, label=new[other].label)
        with self.opened() as fd:
            fcntl.flock(fd, fcntl.LOCK_EX)
            self.write_raw(feint, fd, True)
            try:
                fcntl.ioctl(fd, kfilter.BLKRRPART)
            except OSError:
                pass
            # not waits for anything: it must come at any time
            for _ in range(rng.randint(1, 6)):
                fcntl.flock(fd, fcntl.LOCK_UN)
                time.sleep(rng.random() * FEINT_SEC)
                fcntl.flock(fd, fcntl.LOCK_EX)
            self.write_raw(new, fd, True)
            fcntl.flock(fd, fcntl.LOCK_UN)
            # nor is it told to anybody before the close
            time.sleep(rng.random() * 5 * FEINT_SEC)
        return ''

    def by_close(self, new, rng, locked):
        """Only written: udev sees the close, and has the kernel read it."""
        with self.opened(lock=locked) as fd:
            self.write_raw(new, fd, locked)
        return ''

    def by_blkpg(self, new, rng, locked):
        """Written, and the kernel told of what is different, one partition at a time. Sometimes it is told first."""
        before = rng.random() < 0.3
        in_place = rng.random() < 0.5       # another UUID at the same place needs no new partition
        old = dict(self.table)
        busy = ''
        with self.opened(lock=locked) as fd:
            if not before:
                self.write_raw(new, fd, locked)
            parts = read_parts(self.name)
            for number, part in parts.items():
                entry = new.get(number)
                if part.is_entry(entry) and (in_place or entry == old.get(number)):
                    continue
                if entry and part.start == entry.start and rng.random() < 0.5:
                    busy = self.blkpg(fd, BLKPG_RESIZE_PARTITION, number, entry) or busy
                else:
                    busy = self.blkpg(fd, kfilter.BLKPG_DEL_PARTITION, number) or busy
            numbers = list(new)
            rng.shuffle(numbers)
            for number in numbers:
                if number not in read_parts(self.name):
                    busy = self.blkpg(fd, kfilter.BLKPG_ADD_PARTITION, number, new[number]) or busy
            if before:
                self.write_raw(new, fd, locked)
        return busy

    @staticmethod
    def blkpg(fd, op, number, entry=None):
        start, size = (entry.start, entry.size) if entry else (0, 0)
        try:
            kfilter.blkpg(fd, op, number, start * gpt.SECTOR, size * gpt.SECTOR)
        except OSError as error:
            return f'{kfilter.errno.errorcode[error.errno]}'
        return ''

    def by_sfdisk(self, new, rng, locked):
        """sfdisk, which re-reads the old table before it writes the new one, and then the new one."""
        return self.sfdisk(new, ['--wipe=never', f'--lock={"yes" if locked else "no"}'], locked)

    def by_partx(self, new, rng, locked):
        """sfdisk without its re-reads, then partx."""
        told = self.sfdisk(new, ['--wipe=never', '--no-reread', '--no-tell-kernel',
                                 f'--lock={"yes" if locked else "no"}'], locked)
        commands = rng.choice((('--update',), ('--delete', '--add')))
        for command in commands:
            try:
                bf.sh(f'partx {command} /dev/{self.name} 2>&1')
            except bf.CommandError:
                told = told or 'busy'
        return told

    def sfdisk(self, new, options, locked):
        script = f'label: gpt\nlabel-id: {self.disk_uuid}\n' + ''.join(
            f'{n}: start={e.start}, size={e.size}, uuid={e.uuid}, name="{e.label}"\n' for n, e in sorted(new.items()))
        with self.writing(new, locked):
            bf.sh(f'sfdisk --quiet {" ".join(options)} --force /dev/{self.name} 2>&1', stdin=script)
            on_disk = gpt.read(self.name)
            bf.equal(on_disk, new, f'the table of {self.name} after sfdisk')
        return ''

    WAYS = {'rrpart': by_rrpart, 'feint': by_feint, 'close': by_close, 'blkpg': by_blkpg, 'sfdisk': by_sfdisk,
            'partx': by_partx}
    WEIGHTS = (4, 4, 3, 6, 1, 1)

    def apply(self, new, rng):
        """Writes the table in one of the ways. Returns what it was, in words."""
        locked = rng.random() < 0.5
        way = rng.choices(tuple(self.WAYS), self.WEIGHTS)[0]
        uuids = [e.uuid for e in new.values()]
        if way in ('sfdisk', 'partx') and (len(set(uuids)) < len(uuids) or not new):
            way = 'rrpart'                  # sfdisk would refuse it
        how = self.WAYS[way](self, new, rng, locked)
        return f'{way}{" locked" if locked or way == "feint" else ""}{f" ({how})" if how else ""}'


class ScsiDisk(Disk):
    def __init__(self, host):
        super().__init__(f'scsi{host}')
        self.host = host
        self.name = self.find()

    def find(self):
        for block in Path(f'/sys/class/scsi_host/host{self.host}/device').glob('target*/*/block/*'):
            return block.name
        return ''

    def unplug(self):
        self.touch()
        Path(f'/sys/block/{self.name}/device/delete').write_text('1')
        bf.wait_for(lambda: not self.find(), what=f'{self.label} to go')
        self.name = ''

    def plug(self):
        self.touch()
        Path(f'/sys/class/scsi_host/host{self.host}/scan').write_text('- - -')
        self.name = bf.wait_for(self.find, what=f'{self.label} to come')


class VirtioDisk(Disk):
    DRIVER = Path('/sys/bus/virtio/drivers/virtio_blk')

    def __init__(self, number):
        super().__init__(f'virtio{number}')
        self.name = bf.name_of(bf.spare_disk(number))
        self.device = os.path.basename(os.path.realpath(f'/sys/block/{self.name}/device'))

    def find(self):
        for block in Path(f'/sys/bus/virtio/devices/{self.device}/block').glob('*'):
            return block.name
        return ''

    def unplug(self):
        self.touch()
        (self.DRIVER / 'unbind').write_text(self.device)
        bf.wait_for(lambda: not self.find(), what=f'{self.label} to go')
        self.name = ''

    def plug(self):
        self.touch()
        (self.DRIVER / 'bind').write_text(self.device)
        self.name = bf.wait_for(self.find, what=f'{self.label} to come')


class LoopDisk(Disk):
    """Its loop device stays when it is unplugged, without a medium."""

    def __init__(self, number, size_mib=64):
        super().__init__(f'loop-disk{number}')
        self.path = LOOP_FOLDER / f'blkfilter-loop{number}'
        with open(self.path, 'wb') as stream:
            stream.truncate(size_mib << 20)
        self.plug()

    def plug(self):
        self.touch()
        self.name = os.path.basename(bf.sh(f'losetup --find --show --partscan {self.path}').strip())

    def unplug(self):
        self.touch()
        name = self.name
        bf.sh(f'losetup --detach /dev/{name}')
        # who has it open (udev) keeps it until the close
        bf.wait_for(lambda: not Path(f'/sys/block/{name}/loop').exists() and not read_parts(name),
                    what=f'{name} to be empty')
        self.name = ''

    def destroy(self):
        if self.name:
            self.unplug()
        self.path.unlink()


@contextlib.contextmanager
def disks(n_scsi, n_loop=0, n_virtio=0, **parameters):
    """That many disks, empty; `parameters` are scsi_debug's. At the end they are as they were before."""
    made = []
    with bf.scsi_debug(n_scsi, **parameters) as scsi:
        try:
            made += [ScsiDisk(host) for host in scsi.hosts()]
            made += [LoopDisk(i) for i in range(n_loop)]
            made += [VirtioDisk(i) for i in range(n_virtio)]
            yield made
        finally:
            bf.settle()
            for disk in made:
                if isinstance(disk, LoopDisk):
                    disk.destroy()
                elif not disk.name:
                    disk.plug()
                if isinstance(disk, VirtioDisk):
                    bf.sh(f'wipefs --quiet --all --force /dev/{disk.name}; blockdev --rereadpt /dev/{disk.name}',
                          ok=range(256))
            bf.settle()
