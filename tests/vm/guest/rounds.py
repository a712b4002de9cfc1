# SPDX-License-Identifier: LGPL-2.1-or-later
"""Runs the rounds of the hostile re-partitioner against the daemon: what the short and the long test file share."""

import contextlib
import os
import random
import secrets
import time

import bf
import bfd
import gate
import gpt
import hostile
import shufdisk
import truth

CONVERGE_LIMIT_SEC = 60
CHECK_SEC = 90
JOURNAL_LINES = 400
ROUNDS_TOLD = 25


def setting(name, default):
    """What `tests/vm/run --set NAME=VALUE` says, or the default, as a number."""
    return int(os.environ.get(name) or default)


def seed():
    """Of this run. It is printed: `--set HOSTILE_SEED=…` does the same again, as far as timing allows."""
    value = setting('HOSTILE_SEED', secrets.randbelow(1 << 32))
    print(f'# seed {value}', flush=True)
    return value


def variants():
    """With the daemon left alone, and with it killed; `--set HOSTILE_KILLED=1` or 0: only one of them."""
    only = os.environ.get('HOSTILE_KILLED')
    return (False, True) if not only else (only == '1',)


def make_policies():
    """Eight UUIDs, four with a name besides, and one that gets another filter under another name."""
    found = [hostile.Policy(bfd.uuid(n), '', ('bftrack', 'bfcount')[n % 2]) for n in range(1, 9)]
    found += [hostile.Policy(bfd.uuid(n), 'data', ('bftrack', 'bfcount')[n % 2]) for n in range(9, 13)]
    found += [hostile.Policy(bfd.uuid(13), 'data', 'bftrack'), hostile.Policy(bfd.uuid(13), 'system', 'bfcount')]
    put(found)
    return found


def put(policies):
    """Makes policy files, in that order, and the daemon read them."""
    for n, p in enumerate(policies):
        bfd.write_policy(f'{n:03}-policy.conf', bfd.policy_text(p.uuid, p.label, p.filter))
    bf.equal(bfd.reload(), [], 'errors in the policies')


def run(seed_value, n_rounds, killed):
    """The rounds, on six disks. With `killed` the daemon is killed every few seconds."""
    began = time.monotonic()
    with shufdisk.disks(2, 2, 2) as disks, bfd.policies(), bfd.configured(CheckSec=f'{CHECK_SEC}s'):
        rng = random.Random(f'{seed_value}/delay')
        # some ATTACHes wait a little with everything proven: then is the time to change what was proven
        wait = (lambda: rng.random() < 0.2 and time.sleep(rng.random() * 0.1))
        with gate.Gate(bfd, gpt.read_with_id, wait) as witness:
            policies = make_policies()
            h = hostile.Hostile(disks, policies, seed_value)
            killer = bfd.Killer(random.Random(f'{seed_value}/kill')) if killed else None
            keeper = truth.Truth(disks, h.writer, witness, policies, killer.kills if killer else ())
            with killer or contextlib.nullcontext():
                h.begin()
                for number in range(n_rounds + 1):
                    with explained(keeper, h, number, seed_value, killer):
                        if number > 0:
                            h.round(number)
                        bf.settle()
                        with killer.paused() if killer else contextlib.nullcontext():
                            keeper.converge(CONVERGE_LIMIT_SEC, CHECK_SEC)
                    if number % ROUNDS_TOLD == 0 and number > 0:
                        print(f'# {number} rounds after {time.monotonic() - began:.0f} s', flush=True)
    n_kills = len(killer.kills) if killer else 0
    print(f'# {n_rounds} rounds in {time.monotonic() - began:.0f} s; killed {n_kills} times; '
          f'slowest to converge {keeper.slowest:.1f} s')
    for told in (h.told, keeper.told):
        print('# ' + ', '.join(f'{n} {what}' for what, n in sorted(told.items())))
    print(f'# {h.writer.n_writes} writes', flush=True)
    bf.check(keeper.told['attaches'] > 0 and keeper.told['on at the end of a round'] > 0, 'filters were attached')


@contextlib.contextmanager
def explained(keeper, h, number, seed_value, killer=None):
    """A failure of this round is told with all that is known."""
    began = time.time()
    try:
        yield
    except BaseException:
        # what matters most last: the runner shows the end
        print('# What the daemon said since the round before:')
        for line in bf.sh(f'journalctl --sync; journalctl --boot --quiet --no-pager --output=short-monotonic '
                          f'--unit={bf.UNIT} --since=@{began - 3:.6f}').splitlines()[:JOURNAL_LINES]:
            print(f'#   {line}')
        print('# What is there, what was seen, what the daemon says:')
        with contextlib.suppress(bf.Failure):
            for line in keeper.describe():
                print(f'#   {line}')
        print(f'# Round {number} of seed {seed_value} (0: what was there before the first). What was done:')
        for line in h.log:
            print(f'#   {line}')
        if killer:
            print(f'#   killed at {", ".join(f"{at:.3f}" for at in killer.kills[-5:])}')
        raise
