# SPDX-License-Identifier: LGPL-2.1-or-later
# vm: interface=blkfilter-1-v4 append=blk_filter.interface=blkfilter-3 limit=120
"""A kernel without the attribute "filter", as the earlier series are, and with a word for the interface that is none."""

import os
import sys
from pathlib import Path

sys.path.insert(0, os.path.join(os.path.dirname(__file__), '..', 'guest'))
# pylint: disable=wrong-import-position
import bf
import kfilter as kf

with bf.case('kernel/unknown-interface-is-said-once'):
    said = [line for line in bf.sh('dmesg').splitlines() if 'blkfilter-3' in line and 'ommand line' not in line]
    bf.equal(len(said), 1, f'lines about it in {said}')
    bf.check('stays blkfilter-1' in said[0], said[0])
    bf.equal(Path('/sys/module/blk_filter/parameters/interface').read_text(), 'blkfilter-1\n', 'parameter')

kf.begin()

with kf.partitioned(('8MiB', '8MiB')) as (_, disk):
    one = f'{disk}1'

    with bf.case('kernel/no-attribute'):
        bf.equal(list(Path('/sys/class/block').glob('*/filter')), [], 'attributes')

    with bf.case('kernel/no-attribute/the-ioctls-work'):
        kf.expect('ENOENT', kf.attach, one, '')
        kf.expect('OK', kf.attach, one, 'bftrack')
        bf.equal(kf.TrackInfo(one).size, 8 << 20, 'size')
        kf.expect('EBUSY', kf.attach, one, 'bfcount')
        bf.equal(list(Path('/sys/class/block').glob('*/filter')), [], 'attributes')
        kf.detach(one, 'bftrack')

kf.end('kernel-attribute')
