"""A position that is not shown is gone only when known figures of the account prove it."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recond.core.absence import Guards, unborne, unproven
from recond.core.model import AccountState, Baseline, BrokerPosition, Drift, Holdings, Instrument, Kind, Unreadable
from tests.core.strategies import NOW, ZERO, row

GUARDS = Guards(vanish_min=3, vanish_fraction=Decimal("0.5"))
VAST = Decimal(10**9)


def account_of(
    long: Decimal | int | None, short: Decimal | int | None = 0, equity: Decimal | int | None = 10**9
) -> AccountState:
    """The account with these market values."""
    values = [None if value is None else Decimal(value) for value in (long, short, equity)]
    return AccountState("id", "ACTIVE", long_market_value=values[0], short_market_value=values[1], equity=values[2])


def shown(*values: Decimal | int | None) -> Holdings:
    """Positions worth so much, short where negative."""
    return Holdings(
        tuple(
            BrokerPosition(
                Instrument("us_equity", f"SHOWN{n}"),
                f"id{n}",
                Decimal(1) if value is None or value > 0 else Decimal(-1),
                market_value=None if value is None else Decimal(value),
            )
            for n, value in enumerate(values)
        )
    )


def gone(worth: Decimal | int | None, *, symbol: str = "GONE", paid: int | None = None, short: bool = False) -> Drift:
    """A vanished position that was last worth so much, or had cost so much a share."""
    held = row(symbol, -1 if short else 1, entry_price=paid, market_value=None if worth is None else worth)
    return Drift(Instrument("us_equity", symbol), Kind.MISSING_AT_BROKER, ZERO, held.quantity, None, (held,))


def doubts(
    vanished: list[Drift],
    holdings: Holdings,
    account: AccountState | None,
    *,
    open_positions: int = 1000,
    equity_before: Decimal | None = VAST,
    baselines: dict[Instrument, Baseline] | None = None,
) -> dict[Instrument, str]:
    """What is unproven, in an account where so many are open."""
    return unproven(vanished, holdings, account, open_positions, baselines or {}, equity_before, GUARDS)


@st.composite
def omissions(draw: st.DrawFn) -> tuple[list[Decimal], Decimal, Decimal | None]:
    """The rest of a book, the true value of one more row, from 0.01 % to all of the book, and its last known value."""
    rest = draw(st.lists(st.integers(-(10**7), 10**7).filter(bool).map(Decimal), max_size=5))
    rest = rest if draw(st.booleans()) else []
    others = sum((abs(value) for value in rest), ZERO)
    share = Decimal(draw(st.integers(1, 10_000))) / 10_000
    value = Decimal(draw(st.integers(1, 10**6))) if not rest or share == 1 else others * share / (1 - share)
    last = draw(st.one_of(st.none(), st.integers(500, 1999).map(lambda thousandth: value * thousandth / 1000)))
    return rest, value * draw(st.sampled_from((1, -1))), last


@given(omissions())
def test_case_4_row_left_out_of_an_answer_is_not_gone(omission: tuple[list[Decimal], Decimal, Decimal | None]) -> None:
    """One omitted row is held, whatever its share of the book, its worth known to a factor of two or not at all."""
    rest, value, last = omission
    every = [*rest, value]
    account = account_of(sum((v for v in every if v > 0), ZERO), sum((v for v in every if v < 0), ZERO))
    missing = gone(last if last is None or value > 0 else -abs(last), short=value < 0)
    assert set(doubts([missing], shown(*rest), account)) == {missing.instrument}


@given(
    st.lists(st.integers(-(10**7), 10**7).filter(bool), max_size=5),
    st.lists(st.one_of(st.none(), st.integers(1, 10**6)), min_size=1, max_size=2),
)
def test_what_left_the_account_too_is_gone(rest: list[int], worth: list[int | None]) -> None:
    """When the account's value is that of the shown positions, one or two vanished ones are proven gone."""
    account = account_of(sum(v for v in rest if v > 0), sum(v for v in rest if v < 0))
    assert doubts([gone(w, symbol=f"GONE{n}") for n, w in enumerate(worth)], shown(*rest), account) == {}


@pytest.mark.parametrize(
    ("holdings", "account", "word"),
    [
        (shown(100), None, "could not be read"),
        (shown(100), account_of(None, 0), "does not tell"),
        (shown(100), account_of(100, None), "does not tell"),
        (shown(100, None), account_of(100), "value of SHOWN1 is not known"),
        (replace(shown(100), unreadable=(Unreadable("X", "?"),)), account_of(100), "not readable"),
        (shown(100), account_of(50), "50.00 is held while positions worth 100.00"),
    ],
)
def test_case_30_unknown_figure_proves_nothing(holdings: Holdings, account: AccountState | None, word: str) -> None:
    """Every figure of the proof has to be known; the reason says which one was not, or that they disagree."""
    reasons = doubts([gone(1), gone(None, symbol="OTHER")], holdings, account)
    assert len(reasons) == 2
    assert all(word in reason and reason.startswith("not shown by the broker") for reason in reasons.values())
    many = doubts([gone(1, symbol=f"GONE{n}") for n in range(3)], holdings, account, open_positions=3)
    assert [word in reason for reason in many.values()] == [True] * 3


@pytest.mark.parametrize(
    ("long", "short", "proven"),
    [
        (10_000, 0, True),
        (10_101, 0, True),
        (10_102, 0, False),
        (9_901, 0, True),
        (9_900, 0, False),
        (6_000, -4_000, True),
    ],
)
def test_agreement_is_within_one_percent_of_what_the_account_holds(long: int, short: int, proven: bool) -> None:
    """Prices move between the two requests: up to 1 % of long and short together is agreement."""
    assert (doubts([gone(10**6)], shown(6_000, -4_000), account_of(long, short)) == {}) is proven


@pytest.mark.parametrize(("worth", "proven"), [(61, True), (60, False), (1, False), (0, True)])
def test_within_the_one_percent_a_small_position_needs_a_smaller_gap(worth: int, proven: bool) -> None:
    """A gap of 30 proves the absence of what was worth more than 60; what was worth nothing shows in no figure."""
    assert (doubts([gone(worth)], shown(10_000), account_of(10_030)) == {}) is proven
    assert (doubts([gone(worth)], shown(10_000), account_of(9_970)) == {}) is proven


def test_worth_falls_back_to_what_it_cost() -> None:
    """Without a market value the row's entry price tells, then the baseline's cost; without any, no gap may be left."""
    account = account_of(10_030)
    assert doubts([gone(None, paid=61)], shown(10_000), account) == {}
    assert doubts([gone(None, paid=60)], shown(10_000), account)
    missing = gone(None)
    for cost, proven in ((Decimal(-61), True), (Decimal(60), False), (None, False)):
        known = {missing.instrument: Baseline(missing.instrument, Decimal(1), Decimal(1), cost, NOW)}
        assert (doubts([missing], shown(10_000), account, baselines=known) == {}) is proven
    (reason,) = doubts([missing], shown(10_000), account).values()
    assert "30.00" in reason
    assert "not known" in reason
    assert doubts([missing], shown(10_000), account_of(Decimal("10000.01")))


def test_worth_is_the_sum_over_the_strategies() -> None:
    """Several rows are one position: what they are worth together counts, unless one of them is not known."""
    rows = (row("GONE", 1, "alpha", market_value=40, entry_price=None), row("GONE", 1, "beta", market_value=40))
    missing = Drift(Instrument("us_equity", "GONE"), Kind.MISSING_AT_BROKER, ZERO, Decimal(2), None, rows)
    assert doubts([missing], shown(10_000), account_of(10_030)) == {}
    partly = replace(missing, rows=(replace(rows[0], market_value=None), rows[1]))
    assert doubts([partly], shown(10_000), account_of(10_030))


def test_short_position_is_worth_what_it_would_cost_to_close() -> None:
    """The negative value of a short counts unsigned: it is proven gone, or not, like a long one."""
    assert doubts([gone(-61, short=True)], shown(10_000), account_of(10_030)) == {}
    assert doubts([gone(-60, short=True)], shown(10_000), account_of(10_000, -30))


def test_no_digit_of_the_proof_is_rounded_away() -> None:
    """In a book of 30 digits a gap of one is a gap all the same."""
    assert doubts([gone(1)], shown(10**29), account_of(10**29 + 1))


def test_each_vanished_position_is_proven_by_itself() -> None:
    """One that really closed is not held because a small one was left out of the same answer."""
    large, small = gone(5_000, symbol="LARGE"), gone(20, symbol="SMALL")
    assert set(doubts([large, small], shown(10_000), account_of(10_020))) == {small.instrument}


@pytest.mark.parametrize(
    ("count", "open_positions", "suspicious"),
    [(2, 2, False), (3, 3, True), (3, 6, True), (3, 7, False), (4, 8, True), (4, 9, False)],
)
def test_many_at_once_need_equity_as_a_witness(count: int, open_positions: int, suspicious: bool) -> None:
    """From three and half of the open positions on, an account that lost their value with them is not believed."""
    many = [gone(100, symbol=f"GONE{n}") for n in range(count)]
    account = account_of(0, equity=10**9 - 100 * count)
    reasons = doubts(many, shown(), account, open_positions=open_positions)
    assert len(reasons) == (count if suspicious else 0)
    assert all(f"{count} positions are gone at once" in reason for reason in reasons.values())


@pytest.mark.parametrize(
    ("worth", "fallen", "proven"),
    [(100, 150, False), (100, 149, True), (100, 0, True), (100, -500, True), (0, 1, False), (0, 0, True)],
)
def test_equity_that_kept_more_than_half_of_it_bears_it_out(worth: int, fallen: int, proven: bool) -> None:
    """Three positions worth 300 were sold if equity fell by less than 150 since the last agreement."""
    many = [gone(worth, symbol=f"GONE{n}") for n in range(3)]
    account = account_of(0, equity=10**9 - fallen)
    assert (doubts(many, shown(), account, open_positions=3) == {}) is proven


def test_case_30_unknown_equity_or_worth_proves_nothing_of_many() -> None:
    """Without equity, then or now, or without the worth of one of them, many at once stay unproven."""
    many = [gone(100, symbol=f"GONE{n}") for n in range(3)]
    assert len(doubts(many, shown(), account_of(0), open_positions=3, equity_before=None)) == 3
    assert len(doubts(many, shown(), account_of(0, equity=None), open_positions=3)) == 3
    assert len(doubts([*many[:2], gone(None)], shown(), account_of(0), open_positions=3)) == 3


def test_what_a_position_cost_is_its_price_times_its_quantity() -> None:
    """Four at seven each: a gap of ten says nothing of them, one of fourteen does."""
    held = row("GONE", 4, entry_price=7)
    missing = Drift(Instrument("us_equity", "GONE"), Kind.MISSING_AT_BROKER, ZERO, held.quantity, None, (held,))
    assert doubts([missing], shown(1990), account_of(2000)) == {}
    assert doubts([missing], shown(1986), account_of(2000)) != {}


def test_equity_that_fell_by_less_than_half_of_what_is_gone_bears_it_out() -> None:
    """To the cent."""
    many = [gone(w, symbol=f"GONE{n}") for n, w in enumerate((50, 30, 20))]
    for fallen, believed in (("49.75", True), ("50", False)):
        account = account_of(0, 0, VAST - Decimal(fallen))
        assert (doubts(many, shown(), account, open_positions=3) == {}) is believed


@pytest.mark.parametrize(
    ("cost", "held_back"),
    [("10.005", True), ("-10.005", True), ("9.995", False), ("12.001", False), ("12", True), (None, False)],
)
def test_what_neither_side_shows_is_gone_unless_the_accounts_figures_miss_it(cost: str | None, held_back: bool) -> None:
    """At 1000 in all, long and short, they may differ by 10: what was worth less is believed; 6 differ, half of 12."""
    lost, other = Instrument("us_equity", "GONE"), Instrument("us_equity", "OTHER")
    bases = {lost: Baseline(lost, Decimal(1), ZERO, None if cost is None else Decimal(cost), NOW)}
    account, held = account_of(600, -400), shown(594, -400)
    assert unborne({lost, other}, held, account, bases) == ({"GONE"} if held_back else frozenset())
    assert unborne({lost, other}, held, None, bases) == {"GONE", "OTHER"}
    assert unborne({lost, other}, held, None, bases, {lost, other}) == {"GONE", "OTHER"}
    partly = replace(held, unreadable=(Unreadable("X", "?"),))
    assert unborne({lost, other}, partly, account, bases) == {"GONE", "OTHER"}
    assert unborne({lost, other}, partly, account, bases, {lost}) == {"OTHER"}
    assert unborne({lost}, Holdings(()), account, bases, {lost}) == {"GONE"}, "the account says otherwise"
