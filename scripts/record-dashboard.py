#!/usr/bin/env python3
"""Records the dashboard as an animated SVG, from a real terminal (tmux).

    scripts/record-dashboard.py PROGRAM DATABASE SWEEP OUT.svg        needs tmux, and `pip install rich`

Each frame is what tmux shows after the keys before it; colours and signs are those of the terminal.
"""

import html
import io
import os
import re
import subprocess
import sys
import time

from rich.cells import cell_len
from rich.console import Console
from rich.terminal_theme import TerminalTheme
from rich.text import Text

COLUMNS, ROWS = 110, 32
SECONDS = 3.2  # that a frame is seen
# keys, seconds to wait for what they ask for, what they show
STEPS = [
    ([], 2.0, "the trials of a sweep"),
    (["Enter"], 2.0, "a trial: the curves of its folds"),
    (["e"], 2.0, "what it gets wrong"),
    (["4"], 2.0, "the best two, paired over the folds"),
    (["5"], 3.0, "best so far, and what is left to gain"),
    (["i"], 3.0, "which parameters matter"),
    (["p"], 2.0, "all trials, a line each"),
    (["6"], 2.0, "trials, folds and epochs"),
    (["7"], 2.0, "what runs where"),
]
GROUND, INK = (22, 24, 29), (214, 217, 222)
THEME = TerminalTheme(
    GROUND,
    INK,
    [(40, 42, 54), (213, 94, 0), (0, 158, 115), (230, 159, 0), (0, 114, 178), (204, 121, 167), (86, 180, 233), INK],
)


def tmux(*arguments):
    done = subprocess.run(["tmux", "-L", f"record-{os.getpid()}", "-f", "/dev/null", *arguments],
                          check=True, capture_output=True, text=True)
    return done.stdout


def frames(program, database, sweep):
    command = f"LC_ALL=C.UTF-8 TERM=xterm-256color COLORTERM=truecolor exec {program} --db {database} dash {sweep}"
    tmux("new-session", "-d", "-s", "it", "-x", str(COLUMNS), "-y", str(ROWS), command)
    try:
        for keys, pause, title in STEPS:
            if keys:
                tmux("send-keys", "-t", "it", *keys)
            time.sleep(pause)
            yield tmux("capture-pane", "-t", "it", "-e", "-p"), title
    finally:
        subprocess.run(["tmux", "-L", f"record-{os.getpid()}", "kill-server"], check=False)


def picture(frame, title, number):
    console = Console(record=True, width=COLUMNS, height=ROWS, file=io.StringIO(), force_terminal=True,
                      color_system="truecolor", legacy_windows=False)
    for line in frame.rstrip("\n").split("\n"):
        console.print(Text.from_ansi(line), no_wrap=True, crop=True, overflow="crop")
    svg = console.export_svg(title=title, theme=THEME, unique_id=f"f{number}", font_aspect_ratio=0.6)
    # no font from elsewhere: the picture stands alone
    return re.sub(r"@font-face \{[^}]*\}", "", widened(svg)).replace("Fira Code, monospace", "monospace")


def widened(svg):
    """rich measures a run of text in characters; Chinese ones are two cells wide."""
    def right(match):
        text = html.unescape(match.group(3))
        length = float(match.group(1)) / len(text) * cell_len(text)
        return f'textLength="{length:g}"{match.group(2)}>{match.group(3)}<'
    return re.sub(r'textLength="([0-9.]+)"([^>]*)>([^<]+)<', right, svg)


def main():
    program, database, sweep, out = sys.argv[1:]
    pictures = [picture(frame, title, number)
                for number, (frame, title) in enumerate(frames(program, database, sweep))]
    box = re.search(r'viewBox="([^"]+)"', pictures[0]).group(1)
    whole, part = SECONDS * len(pictures), 100 / len(pictures)
    parts = [f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="{box}">',
             f"<style>.frame{{visibility:hidden;animation:turn {whole:.1f}s step-end infinite}}"
             f"@keyframes turn{{0%{{visibility:visible}}{part:.3f}%{{visibility:hidden}}}}</style>"]
    for number, svg in enumerate(pictures):
        delay = SECONDS * number
        parts.append(f'<g class="frame" style="animation-delay:{delay:.1f}s">{svg}</g>')
    parts.append("</svg>")
    with open(out, "w", encoding="utf-8") as file:
        file.write("\n".join(parts))
    print(f"{out}: {len(pictures)} frames, {os.path.getsize(out) // 1024} KB")


main()
