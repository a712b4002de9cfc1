# SPDX-License-Identifier: LGPL-2.1-or-later
# vm: suite=mount-long reboots stops-units limit=7200
"""daemon-mount at length: MOUNT_BOOTS boots (50), and MOUNT_HOTPLUGS times a disk that comes and goes (200)."""

import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(__file__), '..', 'guest'))
# pylint: disable=wrong-import-position
import bf
import mounts

mounts.boots('daemon/mount-long', mounts.setting('MOUNT_BOOTS', 50))

with bf.scsi_debug() as scsi:
    with bf.case('daemon/mount-long/make-the-disk-that-comes-later'):
        mounts.make_hot(scsi)
    mounts.hotplugs('daemon/mount-long', mounts.setting('MOUNT_HOTPLUGS', 200), scsi)

bf.done()
