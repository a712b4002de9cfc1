# SPDX-License-Identifier: LGPL-2.1-or-later
"""Plots as SVG: for each number of partitions, which share of the windows was over after what time. The time is on a
logarithmic scale; what was measured with udisks2 beside it is dashed."""

import math

WIDTH, HEIGHT = 900, 460
LEFT, RIGHT, TOP, BOTTOM = 70, 200, 50, 60
COLOURS = {'limit': '#555555', 'blkfilterd': '#1f77b4', 'udev-helper': '#d62728', 'udev-shell': '#9467bd'}
STYLE = 'font-family="sans-serif" font-size="13"'


def text(x, y, content, anchor='middle', size=13):
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" font-size="{size}">{content}</text>'


def line(x1, y1, x2, y2, colour='#dddddd'):
    return f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" stroke="{colour}"/>'


class Scale:
    """From ms to the place on the x axis."""

    def __init__(self, low, high):
        self.low, self.high = math.log10(low), math.log10(high)

    def x(self, ms):
        share = (math.log10(max(ms, 1e-3)) - self.low) / (self.high - self.low)
        return LEFT + share * (WIDTH - LEFT - RIGHT)

    def ticks(self):
        for power in range(math.floor(self.low), math.ceil(self.high) + 1):
            for step in (1, 2, 5):
                if self.low - 1e-9 <= math.log10(step) + power <= self.high + 1e-9:
                    yield step * 10.0 ** power


def y_of(share):
    return HEIGHT - BOTTOM - share * (HEIGHT - TOP - BOTTOM)


def curve(samples, scale, colour, dashed):
    """Steps from the first sample to the last."""
    ordered = sorted(samples)
    points, y = [], y_of(0)
    for i, ms in enumerate(ordered, 1):
        points.append(f'{scale.x(ms):.1f},{y:.1f}')
        y = y_of(i / len(ordered))
        points.append(f'{scale.x(ms):.1f},{y:.1f}')
    dash = ' stroke-dasharray="5,4"' if dashed else ''
    return f'<polyline fill="none" stroke="{colour}" stroke-width="2"{dash} points="{" ".join(points)}"/>'


def window(entries, n_parts):
    """The SVG of the entries that have so many partitions."""
    values = [ms for e in entries for ms in e['raw_ms'] if ms > 0]
    scale = Scale(min(values) / 1.2, max(values) * 1.2)
    title = f'The window with {n_parts} partition{"s" if n_parts > 1 else ""}: from the add event until the filter is on'
    out = [f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{HEIGHT}" viewBox="0 0 {WIDTH} {HEIGHT}" '
           f'{STYLE}>', '<!-- SPDX-License-Identifier: LGPL-2.1-or-later -->',
           f'<rect width="{WIDTH}" height="{HEIGHT}" fill="white"/>', text(WIDTH / 2, 26, title, size=16)]
    for share in (0, 0.25, 0.5, 0.75, 1):
        out += [line(LEFT, y_of(share), WIDTH - RIGHT, y_of(share)), text(LEFT - 8, y_of(share) + 4, f'{share:.0%}', 'end')]
    for ms in scale.ticks():
        out += [line(scale.x(ms), TOP, scale.x(ms), HEIGHT - BOTTOM), text(scale.x(ms), HEIGHT - BOTTOM + 18, f'{ms:g}')]
    out.append(text((LEFT + WIDTH - RIGHT) / 2, HEIGHT - 16, 'ms'))
    for i, e in enumerate(entries):
        colour, y = COLOURS.get(e['subject'], 'black'), TOP + 14 + i * 22
        dash = ' stroke-dasharray="5,4"' if e['udisks'] else ''
        out += [curve(e['raw_ms'], scale, colour, e['udisks']),
                f'<line x1="{WIDTH - RIGHT + 12}" y1="{y - 4}" x2="{WIDTH - RIGHT + 42}" y2="{y - 4}" '
                f'stroke="{colour}" stroke-width="2"{dash}/>',
                text(WIDTH - RIGHT + 48, y, e['subject'] + (', udisks2' if e['udisks'] else ''), 'start')]
    return '\n'.join(out + ['</svg>', ''])


def windows(entries, folder):
    """Writes a plot for each number of partitions. Returns the files."""
    folder.mkdir(parents=True, exist_ok=True)
    files = []
    for n_parts in sorted({e['partitions'] for e in entries}):
        some = [e for e in entries if e['partitions'] == n_parts and e.get('raw_ms')]
        if some:
            files.append(folder / f'window-{n_parts}.svg')
            files[-1].write_text(window(some, n_parts), encoding='utf-8')
    return files
