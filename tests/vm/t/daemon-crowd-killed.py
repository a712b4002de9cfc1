# SPDX-License-Identifier: LGPL-2.1-or-later
# vm: suite=hostile-long limit=1200
"""daemon-crowd, with the daemon killed every few seconds."""

import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(__file__), '..', 'guest'))
# pylint: disable=wrong-import-position
import bfd
import crowd

bfd.begin()
crowd.run('daemon/crowd-killed', killed=True)
bfd.end('daemon/crowd-killed')
