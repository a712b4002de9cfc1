# SPDX-License-Identifier: LGPL-2.1-or-later
# vm: reboots root-partition limit=600
"""The root file system has its filter before it is mounted: an initramfs of initramfs-tools, and one of dracut, are
made in the machine and booted, on a root file system that is a partition. Then with the switches of the kernel's
command line."""

import json
import os
import re
import sys
import time
from pathlib import Path

sys.path.insert(0, os.path.join(os.path.dirname(__file__), '..', 'guest'))
# pylint: disable=wrong-import-position
import bf
import bfd
import kfilter

BOOT = int(os.environ['VM_BOOT'])
LAST_BOOT = 5
AGAIN = 75     # asks the runner for the next boot
ROOT = '/dev/vda1'
ROOT_UUID = '0fc63daf-8483-4772-8e79-0000000000aa'
RELEASE = os.uname().release
STATE = Path('/root/state.json')
IMAGE_MESSAGE = 'c1a35b0e6f2f4e0f9e55a36b9d2f7a0b'
OURS = re.compile(r'blkfilter|bftrack')
POLICY = f'[Match]\nPartUUID={ROOT_UUID}\n[Filter]\nName=bftrack\nModule=bftrack\n'

# Run in the initramfs after the daemon has ended there: what it has left, and when.
WITNESS = '''\
mkdir -p /run/witness
cp -a /run/blkfilterd/attachments /run/witness/
for f in /proc/[0-9]*/comm; do read -r name <$f && echo $name; done >/run/witness/processes
cat /proc/uptime >/run/witness/uptime
'''


def state():
    return json.loads(STATE.read_text())


def remember(**values):
    STATE.write_text(json.dumps({**(state() if STATE.exists() else {}), **values}))
    os.sync()


def root_attachment():
    return bfd.wait_state('attached', part_uuid=ROOT_UUID)


def make_initramfs(file):
    return bf.sh(f'mkinitramfs -c gzip -o {file} {RELEASE} 2>&1')


def make_dracut(file):
    return bf.sh(f'dracut --force --quiet --no-hostonly --gzip {file} {RELEASE} 2>&1')


def dracut_check():
    """What our module says to dracut: whether it belongs into an initramfs."""
    return int(bf.sh('. /usr/lib/dracut/modules.d/90blkfilterd/module-setup.sh; check; echo $?'))


def content(file, ls):
    """The paths in an initramfs, and which of them are ours."""
    names = [line.split()[-1].lstrip('/') for line in bf.sh(f'{ls} {file}').splitlines() if line.strip()]
    bf.check(len(names) > 100, f'{file} has files: {len(names)}')
    return names, [name for name in names if OURS.search(name.replace(RELEASE, ''))]


def missing(names, *ends):
    return [end for end in ends if not any(n.endswith(end) for n in names)]


def kernel_log():
    """The kernel's log: (seconds since the boot, message)."""
    return [(float(m[1]), m[2]) for m in re.finditer(r'^\[ *(\d+\.\d+)\](?:\[[^]]*\])? (.*)$', bf.sh('dmesg'), re.M)]


def when(pattern):
    found = [at for at, text in kernel_log() if re.search(pattern, text)]
    bf.check(found, f'the kernel\'s log has {pattern}')
    return found[0]


def boot_time():
    return time.time() - time.clock_gettime(time.CLOCK_BOOTTIME)


def image_warnings():
    return [m['MESSAGE'] for m in bfd.messages(match=f'MESSAGE_ID={IMAGE_MESSAGE}')]


def record(folder):
    text = (Path(folder) / f'bftrack_{ROOT_UUID.replace("-", "_")}').read_text()
    return dict(line.split('=', 1) for line in text.splitlines())


def check_early(group):
    """What has to be so after a boot by an initramfs with the daemon in it."""
    a = root_attachment()
    p = bfd.properties(a)

    with bf.case(f'{group}/on-before-the-mount'):
        attached, mounted = when(r'blkfilterd: bftrack on \S+: attached'), when(r'EXT4-fs \(vda1\): mounted filesystem')
        bf.check(attached < mounted, f'attached at {attached}, mounted at {mounted}')
        since = p['IntactSince'] / 1e6 - boot_time()
        bf.check(since < mounted, f'IntactSince is {since:.3f} s after the boot, the mount {mounted:.3f} s')
        print(f'# {group}: seconds after the boot: attached {attached:.3f}, IntactSince {since:.3f},'
              f' mounted {mounted:.3f}')

    with bf.case(f'{group}/root-is-mounted-writable-on-it'):
        bf.equal(bf.sh('findmnt -no SOURCE,OPTIONS /').split(',')[0].split(), [ROOT, 'rw'], 'the root file system')
        bf.equal(bf.filter_of(ROOT), 'bftrack', f'the filter of {ROOT}')

    with bf.case(f'{group}/the-first-write-is-in-its-map'):
        # the superblock
        bf.check(0 in kfilter.track_map(ROOT), 'the first block is in the map')

    with bf.case(f'{group}/handed-over-without-a-gap-or-a-second-attach'):
        was = record('/run/witness/attachments')
        bf.equal(p['Fingerprint']['Generation']['data'], was['generation'], 'the generation')
        bf.equal(bfd.generation(ROOT).replace('-', ''), was['generation'], 'the generation that the filter tells')
        bf.equal(p['IntactSince'], int(was['intact_since']), 'IntactSince')
        bf.equal(was['past_due'], '1', 'what the initramfs knew of the last boot: past_due')
        bf.equal([g.reason for g in bfd.gaps(a) if g.reason != 'reboot'], [], 'gaps but those over boots')

    with bf.case(f'{group}/the-gap-over-the-boot-is-told'):
        last = state()['last']
        gap = bfd.gaps(a)[-1]
        bf.equal(gap.reason, 'reboot', 'the last gap')
        bf.check(last['boot'] <= gap.begin <= last['until'], f'it begins in the last boot: {gap}, {last}')
        bf.check(abs(gap.latest / 1e6 - boot_time()) < 2, f'by the begin of this boot it has begun: {gap}')
        bf.equal(gap.end, p['IntactSince'], 'its end')
        bf.equal(p['AttachCount'], last['n_attached'] + 1, 'how often it was attached')

    with bf.case(f'{group}/no-daemon-of-the-initramfs-is-left'):
        processes = Path('/run/witness/processes').read_text().split()
        bf.equal([n for n in processes if n == 'blkfilterd'], [], 'daemons in the initramfs at its end')
        pids = bf.sh('pgrep -x blkfilterd').split()
        bf.equal(pids, [str(bf.main_pid())], 'daemons')

    with bf.case(f'{group}/no-warning-of-an-older-image'):
        bf.equal(image_warnings(), [], 'warnings')


def check_older_image():
    with bf.case('boot/initramfs/older-than-the-policies'):
        path = bfd.POLICY_FOLDER / '20-root.conf'
        bfd.write_policy(path.name, '# a comment\n' + POLICY)
        bf.equal(bfd.reload(), [], 'errors')
        bf.equal(image_warnings(), [], 'warnings of a comment')
        bfd.write_policy(path.name, POLICY + '[Attach]\nTimeoutSec=7\n')
        bf.equal(bfd.reload(), [], 'errors')
        bf.wait_for(image_warnings, what='the warning')
        said = image_warnings()[-1]
        bf.check('20-root.conf' in said and 'update-initramfs -u' in said, said)
        bfd.write_policy(path.name, POLICY)
        bf.equal(bfd.reload(), [], 'errors')
        bf.equal(len(image_warnings()), 1, 'warnings once it is the same again')


def leave():
    """At the end of a boot: what the next one has to tell."""
    a = root_attachment()
    p = bfd.properties(a)
    bf.sh('systemctl start blkfilterd-keep.service')
    remember(last={'boot': int(boot_time() * 1e6), 'until': int(time.time() * 1e6), 'n_attached': p['AttachCount']})
    os.sync()


def next_boot(words='', image=None):
    print(f'next-boot: {f"initramfs={image} " if image else ""}{words}', flush=True)


def without_initramfs():
    with bf.case('boot/initramfs/nothing-of-ours-without-a-policy'):
        make_initramfs('/boot/none.img')
        bf.equal(content('/boot/none.img', 'lsinitramfs')[1], [], 'what is ours')
        bfd.POLICY_FOLDER.mkdir(exist_ok=True)
        (bfd.POLICY_FOLDER / '10-mask.conf').symlink_to('/dev/null')
        make_initramfs('/boot/none.img')
        (bfd.POLICY_FOLDER / '10-mask.conf').unlink()
        bf.equal(content('/boot/none.img', 'lsinitramfs')[1], [], 'what is ours')
        os.unlink('/boot/none.img')
        bf.equal(dracut_check(), 255, 'what dracut is told')

    bfd.write_policy('20-root.conf', POLICY)
    bfd.write_policy('x.conf', '[Attach]\nRetrySec=1\n', bfd.POLICY_FOLDER / '20-root.conf.d')
    bf.equal(bfd.reload(), [], 'errors')
    root_attachment()

    with bf.case('boot/initramfs/what-is-in-it'):
        script = Path('/etc/initramfs-tools/scripts/init-bottom/witness')
        script.parent.mkdir(parents=True, exist_ok=True)
        script.write_text(f'#!/bin/sh\n[ "$1" != prereqs ] || {{ echo blkfilterd; exit 0; }}\n{WITNESS}')
        script.chmod(0o755)
        said = make_initramfs('/boot/with.img')
        print('# ' + said.replace('\n', '\n# '))
        names, ours = content('/boot/with.img', 'lsinitramfs')
        bf.equal(missing(names, 'libexec/blkfilterd', 'libexec/blkfilter-worker', 'libexec/blkfilter-wait',
                         'libexec/blkfilter-initramfs',
                         'etc/blkfilter.d/20-root.conf', 'etc/blkfilter.d/20-root.conf.d/x.conf', 'bftrack.ko',
                         'udev/rules.d/61-blkfilter.rules', 'scripts/init-premount/blkfilterd',
                         'scripts/local-premount/blkfilterd', 'scripts/local-block/blkfilterd',
                         'scripts/init-bottom/blkfilterd'), [], f'what is missing among {ours}')

    with bf.case('boot/initramfs/no-warning-without-an-initramfs'):
        bf.equal(image_warnings(), [], 'warnings')
    next_boot(image='/boot/with.img')


def off_everywhere():
    with bf.case('boot/initramfs/switched-off'):
        when('blkfilterd: switched off on the kernel\'s command line')
        bf.equal(bf.filter_of(ROOT), '', f'the filter of {ROOT}')
        bf.equal(bf.sh('systemctl is-active blkfilterd', ok=(3,)).strip(), 'inactive', 'the daemon')
        bf.equal(bfd.unit_property('ConditionResult'), 'no', 'the condition of the daemon\'s unit')
        bf.equal(bf.sh('systemctl --failed --plain --no-legend').strip(), '', 'failed units')
    next_boot('rd.blkfilterd.enable=0')


def off_in_the_initramfs():
    with bf.case('boot/initramfs/switched-off-in-the-initramfs'):
        when('blkfilterd: switched off on the kernel\'s command line')
        bf.check(not [t for _, t in kernel_log() if 'bftrack on' in t], 'nothing was attached in the initramfs')
        a = root_attachment()
        bf.check(bfd.properties(a)['IntactSince'] / 1e6 - boot_time() > when(r'EXT4-fs \(vda1\): mounted filesystem'),
                 'IntactSince is later than the mount')
        bf.equal(len(image_warnings()), 1, 'warnings')
        bf.check('no policy was in force in the initramfs' in image_warnings()[0], image_warnings()[0])
    leave()
    # that it ends is seen within that time, on a slow machine, too
    next_boot('rd.blkfilterd.timeout=10', '/boot/broken.img')


def broken_image():
    """An initramfs in which the daemon does not start: the next boot must come up without it."""
    bf.sh('mkdir -p /etc/initramfs-tools/hooks')
    hook = Path('/etc/initramfs-tools/hooks/zz-broken')
    hook.write_text('#!/bin/sh\n[ "$1" != prereqs ] || { echo blkfilterd; exit 0; }\n'
                    'rm $DESTDIR/usr/libexec/blkfilter-worker\n')
    hook.chmod(0o755)
    make_initramfs('/boot/broken.img')
    hook.unlink()


def fails_open():
    with bf.case('boot/initramfs/fails-open'):
        when('blkfilterd: .*blkfilter-worker cannot be started')
        when('blkfilterd: the daemon has ended in the initramfs')
        a = root_attachment()
        bf.check(bfd.properties(a)['IntactSince'] / 1e6 - boot_time() > when(r'EXT4-fs \(vda1\): mounted filesystem'),
                 'IntactSince is later than the mount')
    leave()

    with bf.case('boot/dracut/what-is-in-it'):
        bf.equal(dracut_check(), 0, 'what dracut is told')
        module = Path('/usr/lib/dracut/modules.d/99witness')
        module.mkdir(exist_ok=True)
        (module / 'module-setup.sh').write_text(
            'check() { return 0; }\ndepends() { return 0; }\n'
            'install() { inst_multiple cp cat mkdir; inst_hook cleanup 99 "$moddir/witness.sh"; }\n')
        (module / 'witness.sh').write_text(WITNESS)
        said = make_dracut('/boot/dracut.img')
        print('# ' + said.replace('\n', '\n# '))
        names, ours = content('/boot/dracut.img', 'lsinitramfs')
        bf.equal(missing(names, 'libexec/blkfilterd', 'libexec/blkfilter-worker', 'libexec/blkfilter-wait',
                         'libexec/blkfilter-initramfs',
                         'etc/blkfilter.d/20-root.conf', 'etc/blkfilter.d/20-root.conf.d/x.conf', 'bftrack.ko',
                         'udev/rules.d/61-blkfilter.rules', 'etc/modules-load.d/blkfilterd.conf'), [],
                 f'what is missing among {ours}')
        hooks = sorted(n for n in names if re.search(r'hooks/.*-(start|settle|stop)\.sh$', n))
        bf.equal([n.split('hooks/')[1] for n in hooks],
                 ['cleanup/99-stop.sh', 'pre-mount/01-settle.sh', 'pre-trigger/50-start.sh'], 'the hooks')
    next_boot(image='/boot/dracut.img')


if BOOT == 0:
    bf.sh('modprobe bftrack')
    bfd.start()
    without_initramfs()
    leave()
elif BOOT == 1:
    check_early('boot/initramfs')
    check_older_image()
    broken_image()
    leave()
    next_boot('blkfilterd.enable=0')
elif BOOT == 2:
    off_everywhere()
elif BOOT == 3:
    off_in_the_initramfs()
elif BOOT == 4:
    fails_open()
elif BOOT == 5:
    check_early('boot/dracut')

if BOOT < LAST_BOOT and not bf.has_failed():
    sys.exit(AGAIN)
bf.done()
