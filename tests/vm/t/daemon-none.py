# SPDX-License-Identifier: LGPL-2.1-or-later
# vm: suite=no-filters interface=none limit=180
"""The daemon on Debian's own kernel, which has no filters and no part of kernel/."""

import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(__file__), '..', 'guest'))
# pylint: disable=wrong-import-position
import bf
import bfd
import nofilters

bfd.begin(filters=())

with bf.scsi_debug() as scsi, bfd.policies():
    sda, = scsi.disks()
    bf.sfdisk(sda, f'label: gpt\nsize=16MiB, uuid={bfd.uuid(1)}, name=data\nsize=8MiB, name=other\n')
    nofilters.run('daemon/none', sda)

with bf.case('daemon/none/no-crash-and-no-error'):
    nofilters.is_well()
    bf.equal([m['MESSAGE'] for m in bfd.messages(priority='err')], [], 'errors in the journal')

bf.done()
