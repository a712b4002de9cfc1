# SPDX-License-Identifier: LGPL-2.1-or-later
# vm: interfaces-long limit=420
"""blksnap's commands by blkfilterctl and the bus, answered by the stand-in of that name (kernel/filters/bfsnap.c): what was
written is in the map, what is marked too, and what makes no sense is refused where it should be."""

import ctypes
import os
import struct
import sys
from pathlib import Path

sys.path.insert(0, os.path.join(os.path.dirname(__file__), '..', 'guest'))
# pylint: disable=wrong-import-position
import bf
import bfd
import bfp
import kfilter as kf
from blkctl import ctl, ctl_json

INFO, MAP, DIRTY, ADD, IMAGE = range(5)
BLOCK = 4096
SECTORS = 32771                 # of the partition: its last block is not whole
BLOCKS = 4097
SNAPSHOT = '01234567-89ab-cdef-0123-456789abcdef'


def info(device):
    return ctl_json(f'blksnap info {device}')


def map_of(device):
    """The map as blkfilterctl writes it."""
    path = Path('/run/blksnap.map')
    ctl(f'blksnap map {device} >{path}')
    return path.read_bytes()


def marked(device):
    """The blocks that were ever changed, each with the number of its last change."""
    return {block: number for block, number in enumerate(map_of(device)) if number}


def write(device, sector, n_sectors=1):
    bf.sh(f'dd if=/dev/zero of={device} bs=512 seek={sector} count={n_sectors} oflag=direct status=none')


def address(data):
    return ctypes.addressof((ctypes.c_char * len(data)).from_buffer(data))


bfd.begin(('bfcount', 'bftrack', 'bffault', 'bfsnap'))

with bf.scsi_debug() as scsi, bfp.only():
    sda, = scsi.disks()
    bf.sfdisk(sda, f'label: gpt\nsize={SECTORS}, uuid={bfd.uuid(1)}\n')
    sda1 = bf.partition(sda, 1)
    bfd.quiet()
    ctl(f'attach {sda1} blksnap')

    with bf.case('daemon/blksnap/info'):
        bf.equal(bf.filter_of(sda1), 'blksnap', 'filter')
        got = info(sda1)
        bf.equal((got['device_capacity'], got['block_size'], got['block_count'], got['changes_number']),
                 (SECTORS * 512, BLOCK, BLOCKS, 1), 'capacity, block size, blocks, number')
        a, = bfp.every()
        bf.equal(got['generation_id'], a.Fingerprint['Generation']['data'], 'the generation that the daemon has proven')
        bf.check(set(got['generation_id']) != {'0'}, 'it is one')
        text = dict(line.split(': ') for line in ctl(f'blksnap info {sda1}').replace(' ', '').replace(':', ': ').splitlines())
        bf.equal((text['block_count'], text['generation_id']), (str(BLOCKS), got['generation_id']), 'the same in words')

    with bf.case('daemon/blksnap/a-write-is-in-the-map'):
        bf.equal(map_of(sda1), bytes(BLOCKS), 'the map before it')
        write(sda1, 5 * 8, 3 * 8)
        # over the edge of two blocks, and the last, which is not whole
        write(sda1, 11 * 8 - 1, 2)
        write(sda1, SECTORS - 1)
        bf.equal(marked(sda1), {5: 1, 6: 1, 7: 1, 10: 1, 11: 1, BLOCKS - 1: 1}, 'what was written')
        kf.read_direct(sda1, 0, 1 << 20)
        bf.equal(len(marked(sda1)), 6, 'reads are not in it')

    with bf.case('daemon/blksnap/a-snapshot-begins-the-next-number'):
        bf.equal(ctl(f'blksnap image {sda1}'), '\n', 'the image before the first')
        ctl(f'blksnap add {sda1} {SNAPSHOT}')
        bf.equal(info(sda1)['changes_number'], 2, 'number')
        dev = Path(f'/sys/class/block/{bf.name_of(sda1)}/dev').read_text(encoding='utf-8')
        bf.equal(ctl(f'blksnap image {sda1}'), f'blksnap-image_{dev}', 'the image')
        write(sda1, 6 * 8)
        bf.equal(marked(sda1), {5: 1, 6: 2, 7: 1, 10: 1, 11: 1, BLOCKS - 1: 1}, 'changes before and after')
        bf.check('refused command 3: Invalid argument' in ctl(f'blksnap add {sda1} {"0" * 32}', status=3),
                 'no snapshot has an id of zeros')
        bf.check('32 hexadecimal digits' in ctl(f'blksnap add {sda1} 0123', status=2), 'nor one that is short')
        bf.equal(info(sda1)['changes_number'], 2, 'number')

    with bf.case('daemon/blksnap/dirty-marks-ranges'):
        ctl(f'blksnap dirty {sda1} 0 1  800 17  {SECTORS - 3} 3')
        bf.equal(marked(sda1), {0: 2, 5: 1, 6: 2, 7: 1, 10: 1, 11: 1, 100: 2, 101: 2, 102: 2, BLOCKS - 1: 2}, 'the map')

    with bf.case('daemon/blksnap/wrong-ranges-are-refused'):
        before = map_of(sda1)
        for words, sentence in (
                ('0 0', 'range 0 is of 0 sectors from sector 0 on; it must have at least one'),
                ('1600 8 8 0', 'range 1 is of 0 sectors from sector 8 on'),
                (f'1600 8 {1 << 63} 8', f'range 1 is of 8 sectors from sector {1 << 63} on; it must'),
                (f'8 {(1 << 64) - 1}', f'range 0 is of {(1 << 64) - 1} sectors from sector 8 on')):
            output = ctl(f'blksnap dirty {sda1} {words}', status=3)
            bf.check(sentence in output, f'it says what is wrong with {words}: {output}')
            # that is the filter's own refusal
            bf.check('refused command' not in output, f'{words} was not sent: {output}')
        for words in ('', '0', '0 8 16', '0 x', '-8 8', f'0 {1 << 64}'):
            ctl(f'blksnap dirty {sda1} {words}', status=2)
        # what only the filter knows: the device's end. One range more, and all of them are refused
        for words in (f'{SECTORS} 1', f'1600 8 {SECTORS - 1} 2', f'1600 8 0 {SECTORS + 1}'):
            bf.check('refused command 2: Invalid argument' in ctl(f'blksnap dirty {sda1} {words}', status=3),
                     f'{words} is beyond the end')
        bf.equal(map_of(sda1), before, 'the map')

    with bf.case('daemon/blksnap/a-snapshot-that-broke'):
        kf.parameter('bfsnap', 'snapshot_errno', 28)
        try:
            output = ctl(f'blksnap image {sda1}', status=1)
        finally:
            kf.parameter('bfsnap', 'snapshot_errno', 0)
        bf.check(f'the snapshot of {sda1} is corrupted: No space left on device' in output, f'it says so: {output}')
        bf.check(ctl(f'blksnap image {sda1}').startswith('blksnap-image_'), 'and what is whole has its name')

    with bf.case('daemon/blksnap/by-busctl'):
        def call(command, payload, buffers):
            words = [len(payload), *payload, len(buffers)]
            for offset, data in buffers:
                words += [offset, len(data), *data]
            return bf.busctl_call('Ctl', 'ssuaya(uay)a{sv}', sda1, 'blksnap', command, *words, 0)
        result, payload, buffers = call(MAP, struct.pack('IIQ', 4, 8, 0), [(8, bytes(10))])
        # beyond what was asked for the buffer is as it was given; the address is nobody's business
        bf.equal((result, bytes(payload), [bytes(b) for b in buffers]),
                 (0, struct.pack('IIQ', 4, 8, 0), [map_of(sda1)[4:12] + bytes(2)]), 'a part of the map')
        bf.equal(call(IMAGE, b'', [])[:1], [0], 'result')
        for wrong in ((MAP, struct.pack('IIQ', 4, 8, 0), [(8, bytes(7))]), (MAP, struct.pack('IIQ', 4, 8, 0), []),
                      (MAP, struct.pack('IIQ', 4, 0, 0), [(8, bytes(8))]), (ADD, bytes(15), []),
                      (DIRTY, struct.pack('IIQ', 2, 0, 0), [(8, bytes(16))])):
            try:
                call(*wrong)
                raise bf.Failure(f'{wrong} was sent')
            except bf.BusError as error:
                bf.equal(error.name, 'org.freedesktop.DBus.Error.InvalidArgs', f'error for {wrong}')

    with bf.case('daemon/blksnap/the-filter-checks-too'):
        data = bytearray(8192)

        def ask(offset, length, pointer=address(data), **kwargs):
            kf.ctl(sda1, 'blksnap', MAP, bytearray(struct.pack('IIQ', offset, length, pointer)), **kwargs)

        def mark(count, pointer, **kwargs):
            kf.ctl(sda1, 'blksnap', DIRTY, bytearray(struct.pack('IIQ', count, 0, pointer)), **kwargs)

        before = map_of(sda1)
        for offset, length in ((0, BLOCKS), (BLOCKS, 0), (BLOCKS - 1, 1), (3, 5)):
            kf.expect('OK', ask, offset, length)
        for offset, length in ((0, BLOCKS + 1), (BLOCKS, 1), (BLOCKS + 1, 0), (1, 0xffffffff), (0xffffffff, 1), (0xffffffff, 2)):
            kf.expect('EINVAL', ask, offset, length)
        kf.expect('EFAULT', ask, 0, 8, pointer=8)
        kf.expect('EINVAL', ask, 0, 8, optlen=15)
        for command, size in ((INFO, 40), (IMAGE, 36), (ADD, 16)):
            kf.expect('EINVAL', kf.ctl, sda1, 'blksnap', command, bytearray(64), optlen=size - 1)
            kf.expect('EFAULT', kf.ctl, sda1, 'blksnap', command, optlen=size, pointer=8)
        ranges = bytearray(struct.pack('4Q', 0, 8, (1 << 64) - 8, 16))
        kf.expect('EINVAL', mark, 2, address(ranges))
        kf.expect('EINVAL', mark, 0, address(ranges))
        kf.expect('EINVAL', mark, 0xffffffff, address(ranges))
        kf.expect('EFAULT', mark, 1, 8)
        kf.expect('EINVAL', mark, 1, address(ranges), optlen=15)
        kf.expect('ENOTTY', kf.ctl, sda1, 'blksnap', 5)
        bf.equal(map_of(sda1), before, 'the map')

    with bf.case('daemon/blksnap/behind-the-last-number'):
        before, gaps = info(sda1), bfp.every()[0].GapCount
        for _ in range(before['changes_number'], 255):
            kf.ctl(sda1, 'blksnap', ADD, bytearray(b'x' * 16))
        write(sda1, 8)
        got = info(sda1)
        bf.equal((got['changes_number'], got['generation_id']), (255, before['generation_id']), 'number and generation')
        bf.equal(marked(sda1)[1], 255, 'number of what was written')
        kf.ctl(sda1, 'blksnap', ADD, bytearray(b'x' * 16))
        got = info(sda1)
        bf.equal((got['changes_number'], marked(sda1)), (1, {}), 'number and map')
        bf.check(got['generation_id'] != before['generation_id'], 'it is another generation')
        # what was changed is forgotten: the daemon must not call that intact
        bf.sh(f'udevadm trigger --settle --action=change /sys/class/block/{sda}')
        bf.wait_for(lambda: bfp.every()[0].GapCount == gaps + 1, what='a gap')

    with bf.case('daemon/blksnap/back-after-a-re-read'):
        write(sda1, 0)
        before = info(sda1)['generation_id']
        bfd.reread(sda)
        bf.wait_for(lambda: bf.filter_of(sda1) == 'blksnap', what='blksnap to be back')
        bfd.quiet()
        bf.check(info(sda1)['generation_id'] != before, 'it is another generation')
        bf.equal(marked(sda1), {}, 'the map')
        a, = bfp.every()
        bf.equal((a.Fingerprint['Generation']['data'], a.State), (info(sda1)['generation_id'], 'attached'), 'what is proven')
        ctl(f'detach {sda1} blksnap')

# a disk that is said to be larger than its memory: its map takes more than one command
with bf.scsi_debug(virtual_gb=3) as scsi, bfp.only():
    sda, = scsi.disks()
    bf.sfdisk(sda, f'label: gpt\nsize=2560MiB, uuid={bfd.uuid(1)}\n')
    sda1 = bf.partition(sda, 1)
    bfd.quiet()

    with bf.case('daemon/blksnap/a-large-map'):
        ctl(f'attach {sda1} blksnap')
        bf.equal(info(sda1)['block_count'], 655360, 'blocks')
        for block in (524287, 524288, 600000):
            write(sda1, block * 8, 8)
        bf.equal(len(map_of(sda1)), 655360, 'bytes of the map')
        bf.equal(marked(sda1), {524287: 1, 524288: 1, 600000: 1}, 'the map')
        ctl(f'detach {sda1} blksnap')

with bf.case('daemon/blksnap/nothing-left-behind'):
    bf.wait_for(lambda: kf.refcount('bfsnap') == 0, what='bfsnap to be unused')
    bf.sh('rmmod bfsnap')

bfd.end('daemon/blksnap')
