# SPDX-License-Identifier: LGPL-2.1-or-later
# vm: limit=420
"""64 clients call the daemon while a disk is read again and again: each call is answered once, and the filter comes back
each time. The long one is daemon-many-clients-long."""

import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(__file__), '..', 'guest'))
# pylint: disable=wrong-import-position
import bfd
import manyclients

bfd.begin()
manyclients.run('daemon/many-clients', n_calls=50, n_idle=5)
bfd.end('daemon/many-clients')
