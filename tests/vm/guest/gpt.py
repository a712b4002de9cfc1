# SPDX-License-Identifier: LGPL-2.1-or-later
"""GUID partition tables, read and written without any of the programs and libraries that the daemon or udev use. What
a table says is what this reads from the disk."""

import os
import struct
import uuid
import zlib
from collections import namedtuple
from pathlib import Path

SECTOR = 512
N_ENTRIES = 128
ENTRY_SIZE = 128
TABLE_SECTORS = N_ENTRIES * ENTRY_SIZE // SECTOR
FIRST_USABLE = 2 + TABLE_SECTORS
LINUX_DATA = uuid.UUID('0fc63daf-8483-4772-8e79-3d69d8477de4')

# start and size in sectors
Entry = namedtuple('Entry', 'start size uuid label')


class BadTable(Exception):
    """There is no whole table at this place."""


def _protective_mbr(n_sectors):
    record = struct.pack('<B3sB3sII', 0, b'\x00\x02\x00', 0xEE, b'\xff\xff\xff', 1, min(n_sectors - 1, 0xFFFFFFFF))
    return bytes(446) + record + bytes(48) + b'\x55\xaa'


def _header(n_sectors, disk_uuid, crc, backup):
    mine, other, entries = (n_sectors - 1, 1, n_sectors - 1 - TABLE_SECTORS) if backup else (1, n_sectors - 1, 2)

    def packed(header_crc):
        return struct.pack('<8sIIIIQQQQ16sQIII', b'EFI PART', 0x10000, 92, header_crc, 0, mine, other, FIRST_USABLE,
                           n_sectors - TABLE_SECTORS - 2, disk_uuid.bytes_le, entries, N_ENTRIES, ENTRY_SIZE, crc)
    return packed(zlib.crc32(packed(0))).ljust(SECTOR, b'\0')


def encode(n_sectors, disk_uuid, table):
    """The first sectors of a disk with that table (Entry by number), and its last ones."""
    entries = bytearray(N_ENTRIES * ENTRY_SIZE)
    for number, e in table.items():
        struct.pack_into('<16s16sQQQ72s', entries, (number - 1) * ENTRY_SIZE, LINUX_DATA.bytes_le,
                         uuid.UUID(e.uuid).bytes_le, e.start, e.start + e.size - 1, 0, e.label.encode('utf-16-le'))
    crc = zlib.crc32(entries)
    return (_protective_mbr(n_sectors) + _header(n_sectors, disk_uuid, crc, False) + bytes(entries),
            bytes(entries) + _header(n_sectors, disk_uuid, crc, True))


def _parse(header, entries_at):
    """The GUID and the table of a header; entries_at(sector) are the bytes of the entries there."""
    if len(header) < SECTOR:
        raise BadTable('the disk has no medium')
    signature, _, size, crc = struct.unpack_from('<8sIII', header)
    if signature != b'EFI PART' or size != 92:
        raise BadTable('no signature')
    if zlib.crc32(header[:16] + bytes(4) + header[20:size]) != crc:
        raise BadTable('the checksum of the header is wrong')
    guid, where, n, entry_size, entries_crc = struct.unpack_from('<16sQIII', header, 56)
    if (n, entry_size) != (N_ENTRIES, ENTRY_SIZE):
        raise BadTable('other entries than expected')
    entries = entries_at(where)
    if zlib.crc32(entries) != entries_crc:
        raise BadTable('the checksum of the entries is wrong')

    table = {}
    for i in range(n):
        raw = entries[i * ENTRY_SIZE:(i + 1) * ENTRY_SIZE]
        if raw[:16] == bytes(16):
            continue
        first, last = struct.unpack_from('<QQ', raw, 32)
        table[i + 1] = Entry(first, last - first + 1, str(uuid.UUID(bytes_le=raw[16:32])),
                             raw[56:].decode('utf-16-le', errors='replace').split('\0')[0])
    return str(uuid.UUID(bytes_le=guid)), table


def read_fd(fd, n_sectors):
    """The GUID and the table (Entry by number) of an open disk: the first table, or its copy at the end where that one
    is not whole. BadTable if neither is."""
    def entries_at(sector):
        return os.pread(fd, TABLE_SECTORS * SECTOR, sector * SECTOR)
    try:
        return _parse(os.pread(fd, SECTOR, SECTOR), entries_at)
    except BadTable:
        return _parse(os.pread(fd, SECTOR, (n_sectors - 1) * SECTOR), entries_at)


def read_with_id(name):
    """The GUID and the table of a disk (sda). '' and {} if it has none; OSError if it cannot be read."""
    fd = os.open(f'/dev/{name}', os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    try:
        n_sectors = int(Path(f'/sys/block/{name}/size').read_text())
        return read_fd(fd, n_sectors)
    except BadTable:
        return '', {}
    finally:
        os.close(fd)


def read(name):
    """The table of a disk."""
    return read_with_id(name)[1]


def write_fd(fd, n_sectors, disk_uuid, table):
    """Writes the table to an open disk, the copy first: who reads meanwhile sees the old or the new one."""
    front, back = encode(n_sectors, disk_uuid, table)
    os.pwrite(fd, back, n_sectors * SECTOR - len(back))
    os.pwrite(fd, front, 0)
    os.fsync(fd)


def told(table):
    """A table in words, for a failure."""
    return '; '.join(f'{n}: {e.start}+{e.size} {e.uuid} "{e.label}"' for n, e in sorted(table.items())) or 'empty'
