"""How answers look on a terminal, where it matters for reading them right."""

from __future__ import annotations

from recond.cli import words


def test_numbers_line_up_at_their_end() -> None:
    """A column of numbers is aligned to the right, one of words to the left, and null is a dash."""
    rows = [
        {"symbol": "AAPL", "quantity": "-1000.5", "note": None},
        {"symbol": "BTCUSD", "quantity": "2", "note": "odd"},
        {"symbol": "X", "quantity": None, "note": "4"},
    ]
    assert words.page({"items": rows, "next": None, "total": "3"}, "symbol quantity note").splitlines() == [
        "symbol  quantity  note",
        "AAPL     -1000.5  -",
        "BTCUSD         2  odd",
        "X              -  4",
    ]


def test_a_page_that_is_not_all_says_so() -> None:
    """When more rows match, how many there are stands below."""
    page = {"items": [{"id": "1"}], "next": "/api/runs?offset=1", "total": "12"}
    assert words.page(page, "id").splitlines()[-1] == "1 of 12; --limit shows more"


def test_nothing_can_steer_the_terminal() -> None:
    """Control characters in what bots and brokers wrote are shown as question marks."""
    assert words.text("a\x1b[31mb\r\nc\u202e") == "a?[31mb??c?"
    assert words.text(None) == "-"


def test_what_is_open_stays_readable() -> None:
    """Rows that could not be read are named, and beyond fifty lines only how many more there are."""
    pending = [{"symbol": f"S{n}", "brokerQty": "1", "dbQty": "0", "why": "young"} for n in range(60)]
    found = {"holds": [], "unreadable": [{"symbol": None, "problem": "row 3: no symbol"}], "pending": pending}
    lines = words.matters(found, [])
    assert lines[:2] == ["unreadable: -: row 3: no symbol", "pending: S0 broker 1, ledger 0: young"]
    assert (len(lines), lines[-1]) == (51, "... and 11 more; --json shows all")
