# SPDX-License-Identifier: LGPL-2.1-or-later
# vm: suite=hostile-long limit=43200
"""daemon-hostile at length: HOSTILE_ROUNDS rounds (1000), and as many while the daemon is killed every few seconds."""

import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(__file__), '..', 'guest'))
# pylint: disable=wrong-import-position
import bf
import bfd
import rounds

bfd.begin()
seed = rounds.seed()
n = rounds.setting('HOSTILE_ROUNDS', 1000)

for killed in rounds.variants():
    with bf.case('daemon/hostile-long/' + ('killed-again-and-again' if killed else 'nothing-wrong-nothing-missed')):
        rounds.run(seed, n, killed)

bfd.end('daemon/hostile-long')
