# SPDX-License-Identifier: LGPL-2.1-or-later
"""What the figures of ./bench are meant to be. Ratios of one run on one machine, but for memory and the core's speed."""

WINDOW_MEDIAN = {1: 1.5, 64: 2.0}       # × the limit's, by the number of partitions
WINDOW_P99 = 3.0
SHORTER_THAN_UDEV_HELPER = 25.0
RESIDENT_KB, PRIVATE_KB, PRIVATE_MORE_KB = 6 * 1024, 2 * 1024, 1024
# the watchdog's (half of WatchdogSec=30s), and systemd's question now and then
WAKEUPS_PER_S = 0.2
EVENTS_PER_S = 1e6
CORE_RATIO = 1.3
COLDSTART_RATIO = 1.2
GET_RATIO = 1.5
LIST_MS = 20.0


def find(entries, **wanted):
    return [e for e in entries if all(e.get(k) == v for k, v in wanted.items())]


def judge_window(entries):
    for e in find(entries, subject='blkfilterd'):
        where = f'{e["partitions"]} partitions{", udisks2" if e["udisks"] else ""}'
        goal = WINDOW_MEDIAN.get(e['partitions'])
        if goal and e.get('ratio_to_limit'):
            yield (e['ratio_to_limit'] <= goal,
                   f'window, {where}: median {e["ratio_to_limit"]:.2f} × the limit\'s (at most {goal})')
        if e.get('p99_ratio_to_limit'):
            yield (e['p99_ratio_to_limit'] <= WINDOW_P99,
                   f'window, {where}: p99 {e["p99_ratio_to_limit"]:.2f} × the limit\'s (at most {WINDOW_P99})')
        for helper in find(entries, subject='udev-helper', partitions=e['partitions'], udisks=e['udisks']):
            shorter = helper['median_ms'] / e['median_ms']
            yield (shorter >= SHORTER_THAN_UDEV_HELPER,
                   f'window, {where}: {shorter:.1f} × shorter than the udev helper\'s (at least '
                   f'{SHORTER_THAN_UDEV_HELPER:.0f})')


def judge_idle(entries):
    own = {e['attachments']: e for e in find(entries, subject='blkfilterd') if e['attachments'] or not e['partitions']}
    bare = {e['partitions']: e for e in find(entries, subject='blkfilterd', attachments=0)}
    for n, e in own.items():
        yield (e['rss_kb'] <= RESIDENT_KB, f'idle, {n} attachments: resident {e["rss_kb"]} KiB (at most {RESIDENT_KB})')
        yield (e['wakeups_per_s'] <= WAKEUPS_PER_S,
               f'idle, {n} attachments: {e["wakeups_per_s"]:.3f} wakeups/s (the watchdog\'s: at most {WAKEUPS_PER_S})')
    if 0 in own:
        yield (own[0]['private_kb'] <= PRIVATE_KB,
               f'idle, 0 attachments: private {own[0]["private_kb"]} KiB (at most {PRIVATE_KB})')
    for what, base in (('with nothing', own.get(0)), ('with the same partitions and no attachment', bare.get(1000))):
        if base and 1000 in own:
            more = own[1000]['private_kb'] - base['private_kb']
            yield (more <= PRIVATE_MORE_KB,
                   f'idle, 1000 attachments: private {more} KiB more than {what} (at most {PRIVATE_MORE_KB})')


def judge_core(entries):
    for e in find(entries, policies=10000):
        yield (e['events_per_s'] >= EVENTS_PER_S,
               f'core, 10,000 policies: {e["events_per_s"]:,.0f} events/s (at least {EVENTS_PER_S:,.0f})')
        yield (e['ratio_to_10'] <= CORE_RATIO,
               f'core, 10,000 policies: {e["ratio_to_10"]:.2f} × slower than with 10 (at most {CORE_RATIO})')


def judge_coldstart(entries):
    for e in find(entries, subject='blkfilterd', partitions=512):
        yield (e['ratio_to_udev'] <= COLDSTART_RATIO,
               f'coldstart, 512 partitions: {e["ratio_to_udev"]:.2f} × the time that udev needs (at most {COLDSTART_RATIO})')


def judge_bus(entries):
    for e in find(entries, subject='GetAttachment'):
        yield (e['ratio_to_ping'] <= GET_RATIO,
               f'bus, {e["attachments"]} attachments: GetAttachment by {e["device"]} {e["ratio_to_ping"]:.2f} × Ping\'s '
               f'(at most {GET_RATIO})')
    for e in find(entries, subject='ListAttachments', attachments=1000):
        yield (e['median_ms'] <= LIST_MS,
               f'bus, 1000 attachments: ListAttachments {e["median_ms"]:.1f} ms (at most {LIST_MS:.0f})')


def judge(parts):
    """(met, sentence) for each goal that the parts have figures for."""
    judges = {'window': judge_window, 'coldstart': judge_coldstart, 'idle': judge_idle, 'core': judge_core,
              'bus': judge_bus}
    return [verdict for part, entries in parts.items() for verdict in judges.get(part, lambda _: ())(entries)]
