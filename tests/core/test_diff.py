"""Both sides compared: every instrument of either side gets exactly one outcome."""

from __future__ import annotations

from collections import Counter
from decimal import Decimal

import pytest
from hypothesis import given

from recond.core.diff import Comparison, diff
from recond.core.model import Accepted, BrokerPosition, Holdings, Instrument, Kind, LedgerRow, Unreadable
from tests.core.strategies import NOW, TOLERANCE, ZERO, Books, books, exact_sum, position, row


def compare(given_books: Books) -> Comparison:
    """The comparison of generated books."""
    return diff(given_books.holdings, given_books.rows, given_books.unreadable_rows, TOLERANCE, given_books.ignore)


def compared(
    positions: tuple[BrokerPosition, ...] = (),
    rows: tuple[LedgerRow, ...] = (),
    *,
    bad_positions: tuple[Unreadable, ...] = (),
    bad_rows: tuple[Unreadable, ...] = (),
    ignore: frozenset[str] = frozenset(),
) -> Comparison:
    """The comparison of a few rows."""
    return diff(Holdings(positions, bad_positions), rows, bad_rows, TOLERANCE, ignore)


@given(books())
def test_case_5_vanished_key_every_instrument_of_either_side_has_one_outcome(both: Books) -> None:
    """For any two books each symbol of the union, and no other, either agrees, drifts or is unknown."""
    outcome = compare(both)
    agreed = [agreement.instrument.symbol for agreement in outcome.agreements]
    drifting = [drift.instrument.symbol for drift in outcome.drifts]
    unknown = {u.symbol for u in outcome.unknown if u.symbol is not None}
    union = {p.instrument.symbol for p in both.holdings.positions} | {r.symbol for r in both.rows}
    union |= {u.symbol for u in (*both.holdings.unreadable, *both.unreadable_rows) if u.symbol is not None}
    assert set(Counter((*agreed, *drifting, *unknown)).values()) <= {1}
    assert {*agreed, *drifting, *unknown} == union - both.ignore


@given(books())
def test_what_is_unreadable_is_unknown_and_reported_once_each(both: Books) -> None:
    """An unreadable row of either side is reported as it came and its symbol never agrees or drifts."""
    outcome = compare(both)
    bad = [u for u in (*both.holdings.unreadable, *both.unreadable_rows) if u.symbol not in both.ignore]
    assert list(outcome.unknown[: len(bad)]) == bad
    assert not {u.symbol for u in bad} & {o.instrument.symbol for o in (*outcome.agreements, *outcome.drifts)}


@given(books())
def test_drift_carries_both_sides_with_every_digit(both: Books) -> None:
    """A drift has the broker's quantity, the exact sum of all rows of its symbol, and those rows themselves."""
    held = {p.instrument.symbol: p for p in both.holdings.positions}
    outcome = compare(both)
    for each in (*outcome.drifts, *outcome.agreements):
        assert sorted(r.id for r in each.rows) == sorted(r.id for r in both.rows if r.symbol == each.instrument.symbol)
        assert each.position == held.get(each.instrument.symbol)
        assert each.position is None or each.instrument == each.position.instrument
    for drift in outcome.drifts:
        assert drift.broker == (ZERO if drift.position is None else drift.position.quantity)
        assert drift.ledger == exact_sum(drift.rows) != drift.broker


@pytest.mark.parametrize(
    ("symbol", "broker", "ledger", "agrees"),
    [
        ("AAPL", "10", "10", True),
        ("AAPL", "10", "10.0001", True),
        ("AAPL", "10.0001", "10", True),
        ("AAPL", "10", "10.00010001", False),
        ("AAPL", "-10", "-10.0001", True),
        ("AAPL", "0.0002", "0.00015", True),
        ("AAPL", "0.00005", "0", False),
        ("AAPL", "0", "0.00005", False),
        ("AAPL", "0.00005", "-0.00005", False),
        ("BTCUSD", "1", "1.000000001", True),
        ("BTCUSD", "1", "1.0000000011", False),
        ("PTON240126C00000500", "1", "1.0000000001", False),
    ],
)
def test_case_24_dust_tolerance_never_hides_a_position_or_a_change_of_sign(
    symbol: str, broker: str, ledger: str, agrees: bool
) -> None:
    """Up to its class's tolerance a difference is none, but a whole position or the other side always shows."""
    held = (position(symbol, broker),) if Decimal(broker) else ()
    booked = (row(symbol, ledger),) if Decimal(ledger) else ()
    outcome = compared(held, booked)
    assert (len(outcome.agreements), len(outcome.drifts)) == ((1, 0) if agrees else (0, 1))


def test_class_without_a_tolerance_has_none() -> None:
    """A class that is not named, such as one Alpaca adds tomorrow, is compared exactly."""
    held = Holdings((position("AAPL", "10", asset_class="perpetual"),))
    assert diff(held, (row("AAPL", "10.000000001"),), (), TOLERANCE, frozenset()).drifts


def test_kinds() -> None:
    """Only the broker: missing in the ledger. Only the ledger: missing at the broker. Both: quantity, flips too."""
    held = (position("AAPL", 5), position("MSFT", 5), position("BRK.B", 5))
    booked = (row("MSFT", -5), row("BRK.B", 3, "alpha"), row("BRK.B", -3, "beta"), row("BTCUSD", 1))
    kinds = {drift.instrument.symbol: drift.kind for drift in compared(held, booked).drifts}
    assert kinds == {
        "AAPL": Kind.MISSING_IN_LEDGER,
        "MSFT": Kind.QUANTITY,
        "BRK.B": Kind.QUANTITY,
        "BTCUSD": Kind.MISSING_AT_BROKER,
    }


def test_rows_that_cancel_out_agree_with_a_flat_broker() -> None:
    """A long and a short strategy that net to nothing are what a netting broker shows as no position."""
    (agreement,) = compared((), (row("AAPL", 5, "alpha"), row("AAPL", -5, "beta"))).agreements
    assert agreement.position is None
    assert len(agreement.rows) == 2


@pytest.mark.parametrize("stated", [None, "crypto", "us_equity"])
def test_the_brokers_asset_class_beats_what_a_row_says(stated: str | None) -> None:
    """A row without class, or with a wrong one, is the position of its symbol and not a second instrument."""
    (agreement,) = compared((position("BTCUSD", 1),), (row("BTCUSD", 1, asset_class=stated),)).agreements
    assert agreement.instrument == Instrument("crypto", "BTCUSD")


@pytest.mark.parametrize(
    ("stated", "taken"),
    [((None, None), "crypto"), ((None, "perpetual"), "perpetual"), (("perpetual", None), "perpetual")],
)
def test_class_of_what_the_broker_does_not_show(stated: tuple[str | None, str | None], taken: str) -> None:
    """Rows of one symbol stay one instrument: of the class that one of them says, else of the symbol's shape."""
    first, second = stated
    booked = (row("BTCUSD", 1, "alpha", asset_class=first), row("BTCUSD", 2, "beta", asset_class=second))
    (drift,) = compared((), booked).drifts
    assert (drift.instrument, drift.ledger) == (Instrument(taken, "BTCUSD"), 3)


def test_case_30_nameless_broker_row_is_no_absence() -> None:
    """A broker's row without symbol may be any that is not shown: those are unknown, the shown ones are judged."""
    outcome = compared(
        (position("AAPL", 5), position("MSFT", 5)),
        (row("AAPL", 5), row("MSFT", 4), row("BTCUSD", 1)),
        bad_positions=(Unreadable(None, "symbol is None"),),
    )
    assert [u.symbol for u in outcome.unknown] == [None, "BTCUSD"]
    assert "broker's row" in outcome.unknown[1].problem
    assert [d.instrument.symbol for d in outcome.drifts] == ["MSFT"]
    assert [a.instrument.symbol for a in outcome.agreements] == ["AAPL"]


def test_case_30_nameless_ledger_row_may_belong_to_anything_that_differs() -> None:
    """A ledger's row without symbol may be another strategy's of any symbol: whatever does not agree is unknown."""
    outcome = compared(
        (position("AAPL", 5), position("MSFT", 5), position("BRK.B", 1)),
        (row("AAPL", 5), row("MSFT", 4), row("BTCUSD", 1)),
        bad_rows=(Unreadable(None, "symbol is None"),),
    )
    assert {u.symbol for u in outcome.unknown} == {None, "MSFT", "BRK.B", "BTCUSD"}
    assert all("ledger's row" in u.problem for u in outcome.unknown if u.symbol is not None)
    assert outcome.drifts == ()
    assert [a.instrument.symbol for a in outcome.agreements] == ["AAPL"]


def test_ignored_symbols_are_left_out_of_everything() -> None:
    """An ignored symbol is no agreement, no drift and not unknown, on whichever side it is and however readable."""
    ignore = frozenset({"AAPL", "MSFT", "BTCUSD", "BRK.B"})
    outcome = compared(
        (position("AAPL", 5),),
        (row("MSFT", 5),),
        bad_positions=(Unreadable("BTCUSD", "?"),),
        bad_rows=(Unreadable("BRK.B", "?"),),
        ignore=ignore,
    )
    assert outcome == Comparison((), (), ())


@pytest.mark.parametrize(
    ("held", "ledger", "accepted", "agrees", "left"),
    [
        ("15", "10", "5", True, "5"),
        ("15.0001", "10", "5", True, "5"),
        ("14.9999", "10", "5", True, "5"),
        ("15.00011", "10", "5", False, "5"),
        ("14.99989", "10", "5", False, "5"),
        ("5", "10", "5", False, "5"),
        ("-15", "-10", "-5", True, "-5"),
        ("5", "10", "-5", True, "-5"),
        ("10", "10", "5", True, "0"),
        ("10.00005", "10", "5", True, "0"),
        ("15", "10", "0", False, "0"),
        ("5", "0", "5", True, "5"),
        ("0", "5", "-5", True, "-5"),
        ("5", "-5", "10", True, "10"),
    ],
)
def test_what_is_accepted_is_no_drift_while_it_is_just_that(
    held: str, ledger: str, accepted: str, agrees: bool, left: str
) -> None:
    """Signed and to the tolerance, whatever its kind; once both sides agree nothing is left of it."""
    instrument = Instrument("us_equity", "AAPL")
    known = {instrument: Accepted(instrument, Decimal(accepted), NOW, "ann")}
    shown = (position("AAPL", held),) if Decimal(held) else ()
    rows = (row("AAPL", ledger),) if Decimal(ledger) else ()
    outcome = diff(Holdings(shown), rows, (), TOLERANCE, frozenset(), known)
    assert bool(outcome.agreements) is agrees
    (found,) = outcome.agreements or outcome.drifts
    assert (found.accepted, found.rows) == (Decimal(left), rows)
    elsewhere = {Instrument("us_equity", "MSFT"): next(iter(known.values()))}
    alone = diff(Holdings(shown), rows, (), TOLERANCE, frozenset(), elsewhere)
    assert [d.accepted for d in (*alone.drifts, *alone.agreements)] == [0]
