# SPDX-License-Identifier: LGPL-2.1-or-later
"""The host's side of the test machine: what goes into it (image), the machine itself (machine), the test files
and what they report (testfile)."""
