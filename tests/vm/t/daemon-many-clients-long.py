# SPDX-License-Identifier: LGPL-2.1-or-later
# vm: suite=clients-long limit=1800
"""daemon-many-clients with a thousand calls of each client."""

import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(__file__), '..', 'guest'))
# pylint: disable=wrong-import-position
import bfd
import manyclients

bfd.begin()
manyclients.run('daemon/many-clients-long', n_calls=1000, n_idle=15)
bfd.end('daemon/many-clients-long')
