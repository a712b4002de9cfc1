# SPDX-License-Identifier: LGPL-2.1-or-later
"""The disk that the machine boots from: the root file system, the kernel's modules, the daemon as `meson
install` puts it, and the tests with the programs that they start."""

import os
import shutil
import subprocess
import sys
import uuid
from pathlib import Path

VM_DIR = Path(__file__).resolve().parent.parent

sys.path.insert(0, str(VM_DIR / 'guest'))
import gpt      # pylint: disable=wrong-import-position

TOP = VM_DIR.parent.parent

# Where the tests are in the machine.
GUEST_DIR = 'opt/blkfilter-tests'

AGENT_UNIT = f'''\
[Unit]
Description=Runs the test files that the host names
ConditionKernelCommandLine=vm.agent

[Service]
ExecStart=/usr/bin/python3 /{GUEST_DIR}/guest/agent.py
StandardOutput=journal+console
'''


class ImageError(Exception):
    """Something that the disk is made of could not be made. The text is for the user."""


def _built(command):
    """Runs a build command that prints its result's folder on its last line; its stderr passes through."""
    run = subprocess.run([str(c) for c in command], stdout=subprocess.PIPE, text=True, check=False)
    if run.returncode != 0 or not run.stdout.strip():
        raise ImageError(f'{Path(command[0]).name} failed with status {run.returncode}; see above.')
    return Path(run.stdout.strip().splitlines()[-1])


def kernel_dir(variant):
    """Builds the kernel ("plain", "debug" or "stock") unless it is in the cache. Returns its folder."""
    return _built([VM_DIR / 'build-kernel'] + ([] if variant == 'plain' else [f'--{variant}']))


def rootfs_dir():
    """Builds the root file system unless it is in the cache. Returns its folder."""
    return _built([VM_DIR / 'build-rootfs'])


def _enable_units(root):
    """Does what `systemctl enable` does for the project's units, by their [Install] sections."""
    for unit in (root / 'usr/lib/systemd/system').glob('blkfilter*'):
        if not unit.is_file():
            continue
        for line in unit.read_text().splitlines():
            key, _, value = line.partition('=')
            for alias in value.split() if key.strip() == 'Alias' else ():
                (root / 'etc/systemd/system').mkdir(parents=True, exist_ok=True)
                (root / 'etc/systemd/system' / alias).symlink_to(f'/usr/lib/systemd/system/{unit.name}')
            suffix = {'WantedBy': 'wants', 'RequiredBy': 'requires'}.get(key.strip())
            for target in value.split() if suffix else ():
                folder = root / f'etc/systemd/system/{target}.{suffix}'
                folder.mkdir(parents=True, exist_ok=True)
                (folder / unit.name).symlink_to(f'/usr/lib/systemd/system/{unit.name}')


def install_daemon(build, root):
    """Puts the daemon built in the folder `build` into the tree `root`."""
    run = subprocess.run(['meson', 'install', '-C', str(build), '--no-rebuild', '--quiet'],
                         env=dict(os.environ, DESTDIR=str(root)),
                         stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    if run.returncode != 0:
        raise ImageError(f'meson install failed:\n{run.stdout}')


def _copy_programs(folder, target):
    """Puts the programs of a folder of tests/, which are not installed, into the folder `target`."""
    target.mkdir()
    for file in folder.iterdir():
        if file.is_file() and os.access(file, os.X_OK):
            shutil.copy2(file, target)


def _copy(source, target):
    """Copies the tree, permissions and links and all, into the folder `target`, over what is there."""
    subprocess.run(['cp', '-a', '--reflink=auto', f'{source}/.', str(target)], check=True)


def make_image(work, rootfs, kernel, build=None):
    """Makes the disk image.

    work: a folder of the caller's; the image is left in it
    rootfs, kernel: what rootfs_dir() and kernel_dir() returned
    build: meson's build folder, or None for a machine without the daemon
    """
    tree = work / 'tree'
    tree.mkdir()
    _copy(rootfs, tree)

    modules = tree / 'usr/lib/modules'
    modules.mkdir(parents=True, exist_ok=True)
    if (kernel / 'lib/modules').is_dir():
        _copy(kernel / 'lib/modules', modules)
    # for what makes an initramfs
    (tree / 'boot').mkdir(exist_ok=True)
    shutil.copy2(kernel / 'config', tree / 'boot' / f'config-{(kernel / "release").read_text().strip()}')

    if build is not None:
        # to a folder of its own first: "install" follows the links in a tree (/lib) to the host's folders
        stage = work / 'stage'
        stage.mkdir()
        install_daemon(build, stage)
        for name in ('bin', 'lib', 'sbin'):
            if (stage / name).is_dir():
                # a link to usr/ in the machine
                (stage / 'usr' / name).mkdir(parents=True, exist_ok=True)
                _copy(stage / name, stage / 'usr' / name)
                shutil.rmtree(stage / name)
        _copy(stage, tree)
        _enable_units(tree)

    tests = tree / GUEST_DIR
    tests.mkdir(parents=True)
    for folder in ('t', 'guest'):
        shutil.copytree(VM_DIR / folder, tests / folder, ignore=shutil.ignore_patterns('__pycache__'))
    for file in [*VM_DIR.glob('demo*.py'), TOP / 'README.md']:
        shutil.copy2(file, tests)
    if build is not None:
        for name in ('clients', 'bench'):
            _copy_programs(build / 'tests' / name, tests / name)
    units = tree / 'etc/systemd/system'
    (units / 'blkfilter-test-agent.service').write_text(AGENT_UNIT)
    wants = units / 'multi-user.target.wants'
    wants.mkdir(exist_ok=True)
    (wants / 'blkfilter-test-agent.service').symlink_to('../blkfilter-test-agent.service')
    # the checkout may belong to anybody; the machine's files belong to root
    subprocess.run(['chown', '-R', '-h', '0:0', str(tests), str(units)], check=True)

    image = work / 'root.img'
    run = subprocess.run(['mke2fs', '-q', '-t', 'ext4', '-d', str(tree), '-m', '0', '-L', 'vm-root',
                          '-O', '^has_journal,^metadata_csum', '-E', 'lazy_itable_init=1', str(image), '1G'],
                         env=dict(os.environ, PATH=os.environ.get('PATH', '') + ':/usr/sbin:/sbin'),
                         stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    if run.returncode != 0:
        raise ImageError(f'mke2fs failed; is the disk of {work} full?\n{run.stdout}')
    shutil.rmtree(tree)
    return image


PARTITION_UUID = '0fc63daf-8483-4772-8e79-0000000000aa'
_PARTITION_START_MIB = 1


def partitioned(image):
    """Makes a disk beside the disk image whose first partition, with PARTITION_UUID, holds what that has. Returns its
    file."""
    disk = image.with_name('partitioned.img')
    size = image.stat().st_size
    n_sectors = (size + (2 * _PARTITION_START_MIB << 20)) // gpt.SECTOR
    table = {1: gpt.Entry((_PARTITION_START_MIB << 20) // gpt.SECTOR, size // gpt.SECTOR, PARTITION_UUID, 'root')}
    with open(disk, 'w+b') as stream:
        stream.truncate(n_sectors * gpt.SECTOR)
        gpt.write_fd(stream.fileno(), n_sectors, uuid.uuid4(), table)
    subprocess.run(['dd', f'if={image}', f'of={disk}', 'bs=1M', f'seek={_PARTITION_START_MIB}', 'conv=sparse,notrunc',
                    'status=none'], check=True)
    return disk


def read_file(work, disk, name):
    """Reads a file out of the file system of a disk made by partitioned(), in no machine at that time. Returns the file
    that it was copied to."""
    copy = work / Path(name).name
    copy.unlink(missing_ok=True)
    run = subprocess.run(['debugfs', '-R', f'dump {name} {copy}', f'{disk}?offset={_PARTITION_START_MIB << 20}'],
                         env=dict(os.environ, PATH=os.environ.get('PATH', '') + ':/usr/sbin:/sbin'),
                         stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    if not copy.exists() or copy.stat().st_size == 0:
        raise ImageError(f'there is no {name} on the machine\'s disk:\n{run.stdout}')
    return copy


def build_daemon():
    """Builds the daemon in build/gcc of the checkout. Returns that folder."""
    build = TOP / 'build/gcc'
    run = subprocess.run([str(TOP / 'tests/build'), str(build)], stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                         text=True, check=False)
    if run.returncode != 0:
        raise ImageError(f'{run.stdout}\nthe build of the daemon failed; see above. (--no-daemon does without it.)')
    return build
