"""How the demo looks."""

from __future__ import annotations

from io import StringIO

import pytest

from recond.demo.screen import Screen


class Terminal(StringIO):
    """A stream that says it is a terminal."""

    def isatty(self) -> bool:
        """It is."""
        return True


@pytest.mark.parametrize(
    ("out", "environ", "coloured"),
    [
        (Terminal(), {}, True),
        (Terminal(), {"NO_COLOR": "1"}, False),
        (Terminal(), {"TERM": "dumb"}, False),
        (StringIO(), {}, False),
    ],
)
def test_colour_is_for_terminals_that_want_it(out: StringIO, environ: dict[str, str], coloured: bool) -> None:
    """Colour goes to a terminal only, and not when $NO_COLOR is set or the terminal has none."""
    Screen(out, environ).heading("title")
    assert ("\033[" in out.getvalue()) is coloured


def test_paragraphs_stay_within_the_screen() -> None:
    """A long paragraph is wrapped beside its label, with no line over 78 columns."""
    out = StringIO()
    Screen(out, {}).say("World", "word " * 40)
    lines = out.getvalue().splitlines()
    assert lines[0].startswith("  World    word")
    assert all(line.startswith(" " * 11 + "word") for line in lines[1:])
    assert max(map(len, lines)) <= 78


def test_a_table_is_aligned() -> None:
    """Columns are as wide as their widest cell, those with `>` end in line."""
    out = StringIO()
    Screen(out, {}).table(("name", ">count"), [("a", "1"), ("longer", "20000")])
    assert out.getvalue().splitlines() == ["  name    count", "  a           1", "  longer  20000"]
