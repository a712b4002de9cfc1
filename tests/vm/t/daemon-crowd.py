# SPDX-License-Identifier: LGPL-2.1-or-later
# vm: interfaces-long limit=600
"""Sixteen disks with eight partitions each, all of one and the same name, and clones among them: those that are the
only ones get their filter, the others get none and are told by name, until all but one are gone or are somebody else."""

import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(__file__), '..', 'guest'))
# pylint: disable=wrong-import-position
import bfd
import crowd

bfd.begin()
crowd.run('daemon/crowd', killed=False)
bfd.end('daemon/crowd')
