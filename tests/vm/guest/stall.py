# SPDX-License-Identifier: LGPL-2.1-or-later
"""Whether the machine stood still: a machine that is emulated gets no processor when its host has none left. What is
over in a certain time on one that runs is not over on one that did not."""

import os
import threading
import time

LOOK_SEC = 0.05


class Watch:
    """While the with statement runs, .lost is for how long nothing was executed, in seconds, and .longest the longest
    of these times. By a thread that wants to be woken all the time, and goes before the others."""

    def __init__(self):
        self.lost = self.longest = 0.0
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def _run(self):
        # of this thread alone
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), -20)
        before = time.monotonic()
        while not self._stop.wait(LOOK_SEC):
            now = time.monotonic()
            late = now - before - LOOK_SEC
            self.lost += max(late, 0.0)
            self.longest = max(self.longest, late)
            before = now

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_):
        # what has just gone by is looked at, too
        time.sleep(2 * LOOK_SEC)
        self._stop.set()
        self._thread.join()
