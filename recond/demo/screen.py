"""What the demo shows: calm paragraphs of at most 78 columns, plain ASCII, colour on a terminal only.

Owns the look. Every line goes out at once, so that a pipe or a file can be followed.
May not know what is told.
"""

from __future__ import annotations

import shutil
import textwrap
from collections.abc import Mapping, Sequence
from datetime import datetime
from types import MappingProxyType
from typing import TextIO

_WIDTH = 78
_LABEL = 9
_TIME = 12
_CODES = MappingProxyType({"bold": "1", "dim": "2", "red": "31", "green": "32", "yellow": "33", "cyan": "36"})
_COLOURS = MappingProxyType({"recond": "cyan", "World": "yellow", "Bot": "yellow", "Checked": "green"})


class Screen:
    """Writes to `out`; coloured when that is a terminal and $NO_COLOR is empty or not set."""

    def __init__(self, out: TextIO, environ: Mapping[str, str]) -> None:
        self._out = out
        self._coloured = out.isatty() and not environ.get("NO_COLOR") and environ.get("TERM") != "dumb"
        self._width = min(_WIDTH, shutil.get_terminal_size().columns - 1) if out.isatty() else _WIDTH

    def line(self, text: str = "", style: str | None = None) -> None:
        """One line as it is. Raises `OSError` when nobody reads any more."""
        print(self._styled(text, style), file=self._out, flush=True)

    def heading(self, text: str) -> None:
        """A blank line and a title."""
        self.line()
        self.line(text, "bold")

    def say(self, label: str, text: str) -> None:
        """A paragraph beside the name of the one it is about."""
        lines = textwrap.wrap(text, max(30, self._width - _LABEL - 2), break_long_words=False, break_on_hyphens=False)
        for number, line in enumerate(lines):
            name = self._styled(f"{label:<{_LABEL}}", _COLOURS.get(label)) if number == 0 else " " * _LABEL
            self.line(f"  {name}{line}")

    def event(self, at: datetime, text: str, style: str | None = None) -> None:
        """Something that happened at a time."""
        lines = textwrap.wrap(text, max(30, self._width - _TIME), break_long_words=False, break_on_hyphens=False)
        for number, line in enumerate(lines):
            time = f"  {at.astimezone():%H:%M:%S}  " if number == 0 else " " * _TIME
            self.line(self._styled(time, "dim") + self._styled(line, style))

    def table(self, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
        """Columns as wide as they must be; those whose name begins with `>` are aligned right."""
        names = [name.lstrip(">") for name in columns]
        widths = [max(map(len, column)) for column in zip(names, *rows, strict=True)]
        for number, row in enumerate([names, *rows]):
            cells = [
                cell.rjust(width) if name.startswith(">") else cell.ljust(width)
                for cell, width, name in zip(row, widths, columns, strict=True)
            ]
            self.line(f"  {'  '.join(cells).rstrip()}", "dim" if number == 0 else None)

    def _styled(self, text: str, style: str | None) -> str:
        return f"\033[{_CODES[style]}m{text}\033[0m" if style and self._coloured and text else text
