# SPDX-License-Identifier: LGPL-2.1-or-later
# vm: interfaces-long limit=1200
"""A hostile re-partitioner against the daemon, a few rounds of it, then the same while the daemon is killed every few
seconds: no ATTACH is made where it does not belong, none is missed after quiet, and what the daemon says is true. The
long one is daemon-hostile-long."""

import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(__file__), '..', 'guest'))
# pylint: disable=wrong-import-position
import bf
import bfd
import rounds

bfd.begin()
seed = rounds.seed()
n = rounds.setting('HOSTILE_ROUNDS', 8)

for killed in rounds.variants():
    with bf.case('daemon/hostile/' + ('killed-again-and-again' if killed else 'nothing-wrong-nothing-missed')):
        rounds.run(seed, n, killed)

bfd.end('daemon/hostile')
