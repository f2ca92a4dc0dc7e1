"""The passes of one account on virtual time, over fakes of the two ports."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import timedelta
from decimal import Decimal
from random import Random

import pytest

from recond.core.model import (
    AccountState,
    Activity,
    Cause,
    Decision,
    Execution,
    Holdings,
    Instrument,
    Kind,
    Resolution,
    Unreadable,
)
from recond.core.repin import Repin
from recond.core.run import Reason, Run, RunStatus
from recond.core.schedule import Budget
from recond.core.wish import Matter, Wish
from recond.evidence import Evidence
from recond.ports import BrokerRefused, BrokerUnavailable, LedgerUnavailable
from recond.reconcile import Reconciler, Rules
from recond.triggers import Triggers
from tests.fakes import PRICE, FakeBroker, FakeLedger, now, position, rules

pytestmark = pytest.mark.looptime

DOWN = BrokerUnavailable("positions: HTTP 502", hint="the broker is down")


class World:
    """One account's loop with its fakes, and the runs it published."""

    def __init__(self, broker: FakeBroker, ledger: FakeLedger, account_rules: Rules) -> None:
        self.broker, self.ledger = broker, ledger
        self.triggers = Triggers()
        self.evidence = Evidence("default", ledger, horizon_s=120.0, late_s=15.0)
        self.runs: list[Run] = []
        self.told_aside: Run | None = None
        self.rounds: list[float] = []
        self.news = asyncio.Condition()
        loop = asyncio.get_running_loop()
        self.reconciler = Reconciler(
            account_rules,
            broker,
            ledger,
            self.evidence,
            self.triggers,
            [self._hear],
            aside=[self._hear_aside],
            now=now,
            jitter=lambda: 1.0,
            came_round=lambda: self.rounds.append(loop.time()),
            round_s=30.0,
        )

    def _hear_aside(self, run: Run) -> None:
        self.told_aside = run

    def _hear(self, run: Run) -> None:
        assert self.told_aside is run, "whoever waits for a run must find it in the metrics"
        self.runs.append(run)

    async def run_number(self, sequence: int) -> Run:
        """The run with this number, waited for on virtual time."""
        while not self.runs or self.runs[-1].sequence < sequence:
            await asyncio.sleep(0.1)
        return next(run for run in self.runs if run.sequence >= sequence)

    async def until(self, condition: Callable[[Run], bool]) -> Run:
        """The first run from here on for which the condition holds."""
        seen = len(self.runs)
        while not any(condition(run) for run in self.runs[seen:]):
            await asyncio.sleep(0.1)
        return next(run for run in self.runs[seen:] if condition(run))

    async def force(self) -> Run:
        """What the HTTP endpoint does: force passes until nothing is pending."""
        run = await self.run_number(self.triggers.nudge(Reason.HTTP))
        while run.pending:
            run = await self.run_number(run.sequence + 1)
        return run


@asynccontextmanager
async def world(
    held: dict[str, int] | None = None, booked: dict[str, int] | None = None, account_rules: Rules | None = None
) -> AsyncIterator[World]:
    """A running loop over a broker that holds and a ledger that has booked these quantities."""
    broker = FakeBroker({symbol: Decimal(quantity) for symbol, quantity in (held or {}).items()})
    ledger = FakeLedger()
    for symbol, quantity in (booked or {}).items():
        ledger.book(symbol, quantity)
    async with running(World(broker, ledger, account_rules or rules())) as made:
        yield made


@asynccontextmanager
async def running(made: World) -> AsyncIterator[World]:
    """Its loop goes on meanwhile."""
    task = asyncio.create_task(made.reconciler.passes())
    try:
        yield made
    finally:
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task


async def settled(made: World) -> Run:
    """The first run that has nothing pending."""
    run = await made.run_number(1)
    while run.pending:
        run = await made.run_number(run.sequence + 1)
    return run


@pytest.mark.parametrize(
    ("held", "booked", "added", "removed", "kinds", "status"),
    [
        ({"AAPL": 5}, {}, 1, 0, [], RunStatus.SUCCESS),
        ({}, {"AAPL": 5}, 0, 1, [], RunStatus.SUCCESS),
        ({"AAPL": 7}, {"AAPL": 5}, 0, 0, [Kind.QUANTITY], RunStatus.PARTIAL),
        ({"AAPL": -7}, {"AAPL": 5}, 0, 0, [Kind.QUANTITY], RunStatus.PARTIAL),
        ({"AAPL": 5}, {"AAPL": 5}, 0, 0, [], RunStatus.SUCCESS),
        ({}, {}, 0, 0, [], RunStatus.SUCCESS),
    ],
    ids=["broker only: added", "ledger only: closed", "mismatch: set", "flip: set", "match", "both empty"],
)
async def test_seed_behaviours(
    held: dict[str, int],
    booked: dict[str, int],
    added: int,
    removed: int,
    kinds: list[Kind],
    status: RunStatus,
) -> None:
    """With `use_broker` each kind of drift ends in the broker's quantities, counted as what it was."""
    async with world(held, booked) as made:
        run = await settled(made)
        assert (run.added, run.removed, [c.kind for c in run.conflicts], run.status) == (added, removed, kinds, status)
        assert all(conflict.resolved_by == "policy" for conflict in run.conflicts)
        assert made.ledger.sums() == {symbol: Decimal(quantity) for symbol, quantity in held.items()}
        again = await made.force()
        assert again.status is RunStatus.SUCCESS
        assert (again.corrections, again.synced) == ((), len(held))


async def test_nothing_is_believed_before_settle_after_a_start() -> None:
    """The first pass of a process corrects nothing; the drift is confirmed once `settle` has gone by."""
    async with world({"AAPL": 5}) as made:
        first = await made.run_number(1)
        began_s = asyncio.get_running_loop().time()
        assert first.status is RunStatus.PARTIAL
        assert [p.instrument.symbol for p in first.pending] == ["AAPL"]
        run = await settled(made)
        assert 14.9 <= asyncio.get_running_loop().time() - began_s < 16
        assert run.reasons == (Reason.RECHECK,)
        assert run.outcomes[0].explanation.cause is Cause.ADOPTION


async def test_a_fill_that_is_not_shown_yet_is_looked_at_again() -> None:
    """The pass after a fill is shown the old quantity, which agrees: the lost booking is found all the same."""
    async with world({"AAPL": 5}, {"AAPL": 5}) as made:
        await made.run_number(1)
        fill = Execution("AAPL", now(), Decimal(2), "order", Decimal(2), position_quantity=Decimal(7))
        made.evidence.add([fill])
        began_s = asyncio.get_running_loop().time()
        assert (await made.run_number(made.triggers.nudge(Reason.STREAM))).status is RunStatus.SUCCESS
        await asyncio.sleep(5)
        made.broker.held["AAPL"] = Decimal(7)
        await made.until(lambda run: bool(run.corrections))
        assert asyncio.get_running_loop().time() - began_s < 5 + 2 + 15 + 2


async def test_broker_down_is_a_failed_run_and_leaves_the_ledger_alone() -> None:
    """A broker that does not answer fails the pass, keeps every row, and is tried again before the interval."""
    async with world({"AAPL": 5}, {"AAPL": 5, "MSFT": 3}) as made:
        made.broker.fails = [DOWN]
        run = await made.run_number(1)
        assert (run.status, run.broker_positions, run.db_positions) == (RunStatus.FAILED, None, None)
        assert run.error is not None
        assert run.error.hint == "the broker is down"
        assert made.ledger.sums() == {"AAPL": 5, "MSFT": 3}
        assert run.id in made.ledger.runs
        second = await made.run_number(2)
        assert second.reasons == (Reason.RECHECK,)
        assert second.error is None


async def test_a_clean_pass_spends_one_request() -> None:
    """The account is read once at the start and every 15 minutes; a clean pass asks for positions only."""
    async with world({"AAPL": 5}, {"AAPL": 5}) as made:
        await made.run_number(1)
        assert made.broker.sent == 2
        await made.force()
        assert made.broker.sent == 3
        await asyncio.sleep(1000)
        assert made.broker.sent == 3 + 3 + 1


async def test_bot_that_books_during_the_verdict_is_not_overwritten() -> None:
    """A row that changed since it was read is left alone and its instrument goes back to pending."""
    async with world({"AAPL": 7}, {"AAPL": 5}) as made:
        await made.run_number(2)

        def bot() -> None:
            if asyncio.get_running_loop().time() > 14:
                made.ledger.book("AAPL", 7)
                made.ledger.before_record = lambda: None

        made.ledger.before_record = bot
        run = await made.run_number(3)
        assert [p.why for p in run.pending] == ["the ledger changed while it was judged"]
        assert run.corrections == ()
        after = await settled(made)
        assert (after.status, after.corrections) == (RunStatus.SUCCESS, ())


async def test_platform_that_books_late_is_no_conflict() -> None:
    """A fill booked 12 seconds after the broker showed it raises nothing."""
    async with world({"AAPL": 5}, {"AAPL": 5}) as made:
        await made.run_number(1)
        made.broker.held["AAPL"] = Decimal(9)
        first = await made.run_number(made.triggers.nudge(Reason.HTTP))
        assert first.pending
        await asyncio.sleep(12)
        made.ledger.book("AAPL", 9)
        await asyncio.sleep(60)
        assert not any(run.conflicts or run.corrections for run in made.runs)
        assert made.runs[-1].status is RunStatus.SUCCESS


async def test_locked_ledger_fails_the_run_in_memory_and_records_it_later() -> None:
    """A ledger that cannot be written fails the run visibly; the next pass that can writes it down."""
    async with world({"AAPL": 7}, {"AAPL": 5}) as made:
        await made.run_number(2)
        locked = LedgerUnavailable("the ledger is locked", hint="who holds it?")
        made.ledger.before_record = lambda: made.ledger.fails.append(locked)
        run = await made.until(lambda run: run.status is RunStatus.FAILED)
        assert (run.recorded, run.corrections, made.ledger.sums()) == (False, (), {"AAPL": 5})
        assert run.id not in made.ledger.runs
        made.ledger.before_record = lambda: None
        made.ledger.fails.clear()
        await settled(made)
        await made.until(lambda run: run.status is not RunStatus.FAILED)
        assert made.ledger.runs[run.id].error is not None
        assert made.ledger.sums() == {"AAPL": 7}


async def test_manual_policy_opens_one_conflict_and_keeps_it() -> None:
    """A manual conflict is opened once, ages with every pass, changes nothing, and ends by agreement."""
    async with world({"AAPL": 7}, {"AAPL": 5}, rules(policy=Resolution.MANUAL)) as made:
        run = await settled(made)
        (opened,) = run.opened_conflicts
        for _ in range(3):
            run = await made.force()
        (seen,) = run.open_conflicts
        assert (seen.id, seen.sightings, seen.opened_at) == (opened.id, 4, opened.opened_at)
        assert run.opened_conflicts == ()
        assert made.ledger.sums() == {"AAPL": 5}
        made.ledger.book("AAPL", 7)
        run = await made.force()
        assert [c.id for c in run.open_conflicts] == [opened.id], "not on a single look"
        run = await made.until(lambda run: bool(run.ended_conflicts))
        assert [(c.id, c.resolved_by) for c in run.ended_conflicts] == [(opened.id, "agreement")]
        assert run.open_conflicts == ()


async def test_to_agree_with_an_old_answer_is_no_agreement() -> None:
    """A sale that the broker does not show yet is no part of what both sides hold."""
    async with world({"AAPL": 10}, {"AAPL": 10}) as made:
        await settled(made)
        sold = Execution("AAPL", now(), Decimal(-10), "o1", Decimal(10), PRICE, position_quantity=Decimal(0))
        made.evidence.add([sold])
        aapl = Instrument("us_equity", "AAPL")
        before = made.ledger.baselines[aapl]
        await made.force()
        assert made.ledger.baselines[aapl] is before
        made.ledger.book("AAPL", 0)
        made.broker.held.clear()
        await made.force()
        assert made.ledger.baselines[aapl] is not before, "it shows it now"


async def test_a_conflict_put_right_by_hand_ends_while_its_symbol_is_traded() -> None:
    """Each fill is booked a second late, every ten seconds: it never rests, and agrees all the same."""
    async with world({"AAPL": 7}, {"AAPL": 5}, rules(policy=Resolution.MANUAL)) as made:
        (opened,) = (await settled(made)).opened_conflicts
        made.ledger.book("AAPL", 7)
        for quantity in range(8, 28):
            made.broker.held["AAPL"] = Decimal(quantity)
            made.triggers.nudge(Reason.STREAM)
            await asyncio.sleep(1)
            made.ledger.book("AAPL", quantity)
            made.triggers.nudge(Reason.LEDGER)
            await asyncio.sleep(9)
        assert made.runs[-1].open_conflicts == ()
        assert [c.id for run in made.runs for c in run.ended_conflicts] == [opened.id]


async def test_an_answer_that_is_not_believed_ends_no_conflict() -> None:
    """The position is left out for a while: a hold opens beside the conflict, and it goes on as the same one."""
    async with world({"AAPL": 7}, {"AAPL": 5}, rules(policy=Resolution.MANUAL)) as made:
        (opened,) = (await settled(made)).opened_conflicts
        made.broker.answer = Holdings(())
        run = await made.force()
        assert ([c.id for c in run.open_conflicts], len(run.open_holds)) == ([opened.id], 1)
        made.broker.answer = None
        run = await made.until(lambda run: not run.open_holds)
        await asyncio.sleep(60)
        assert [(c.id, c.kind) for c in made.runs[-1].open_conflicts] == [(opened.id, Kind.QUANTITY)]
        assert not [c for run in made.runs for c in run.ended_conflicts]


async def test_what_is_open_is_explained_anew_by_what_comes_later() -> None:
    """Its quantities stay, and a booking comes hours after it: within a quarter of an hour the conflict says so."""
    async with world({"AAPL": 5}, {"AAPL": 5}, rules(policy=Resolution.MANUAL)) as made:
        await settled(made)
        made.broker.held["AAPL"] = Decimal(7)
        (opened,) = (await made.force()).opened_conflicts
        assert opened.cause is Cause.UNEXPLAINED
        moved_at = now()
        await asyncio.sleep(7200)
        made.broker.booked = (Activity("t-1", "ACATS", None, "AAPL", Decimal(2), None, moved_at),)
        await asyncio.sleep(1200)
        (told,) = made.runs[-1].open_conflicts
        assert (told.id, told.cause, made.ledger.sums()) == (opened.id, Cause.TRANSFER, {"AAPL": 5})
        made.broker.booked = ()  # it is too old to be listed by now
        await asyncio.sleep(1800)
        assert [c.cause for c in made.runs[-1].open_conflicts] == [Cause.TRANSFER]


async def test_what_is_open_is_explained_anew_after_a_restart() -> None:
    """By what came while recond was down, as soon as the conflict is confirmed once more, and not long after it."""
    async with world({"AAPL": 5}, {"AAPL": 5}, rules(policy=Resolution.MANUAL)) as made:
        await settled(made)
        made.broker.held["AAPL"] = Decimal(7)
        (opened,) = (await made.force()).opened_conflicts
        assert opened.cause is Cause.UNEXPLAINED
    made.broker.booked = (Activity("t-1", "ACATS", None, "AAPL", Decimal(2), None, now()),)
    async with running(World(made.broker, made.ledger, rules(policy=Resolution.MANUAL))) as again:
        run = await again.until(lambda run: bool(run.outcomes))
        assert [(c.id, c.cause) for c in run.open_conflicts] == [(opened.id, Cause.TRANSFER)]


async def test_case_4_successful_empty_answer_closes_nothing() -> None:
    """An empty list for half an hour, while the account still has its value, is held and then clears by itself."""
    book = {f"S{n}": n + 1 for n in range(50)}
    async with world(book, book) as made:
        await made.force()
        made.broker.answer = Holdings(())
        run = await made.force()
        assert len(run.open_holds) == 50
        await asyncio.sleep(1800)
        assert made.ledger.sums() == book
        assert {hold.id for hold in made.runs[-1].open_holds} == {hold.id for hold in run.open_holds}
        made.broker.answer = None
        run = await made.force()
        assert (run.status, run.open_holds, len(run.ended_holds)) == (RunStatus.SUCCESS, (), 50)


async def test_case_4_partial_answer_closes_nothing() -> None:
    """One row of two hundred left out of an answer is less than 1 % of the book and is held all the same."""
    book = {f"S{n}": 10 for n in range(200)}
    async with world(book, book) as made:
        await made.force()
        made.broker.answer = Holdings(tuple(position(symbol, n) for symbol, n in book.items() if symbol != "S7"))
        run = await made.force()
        assert [hold.instrument.symbol for hold in run.open_holds] == ["S7"]
        assert made.ledger.sums() == book


async def test_absence_borne_out_by_the_account_closes_the_row() -> None:
    """A position that is gone from the list and from the account's value is closed."""
    async with world({"AAPL": 5, "MSFT": 5}, {"AAPL": 5, "MSFT": 5}) as made:
        await made.force()
        del made.broker.held["MSFT"]
        run = await made.force()
        assert (run.removed, run.open_holds) == (1, ())
        assert made.ledger.sums() == {"AAPL": 5}


async def test_account_that_cannot_be_read_proves_nothing() -> None:
    """When `/v2/account` fails the pass goes on, and what vanished is held."""
    async with world({"AAPL": 5, "MSFT": 5}, {"AAPL": 5, "MSFT": 5}) as made:
        await made.force()
        made.broker.state = AccountState(id="broker-1", status="ACTIVE")
        del made.broker.held["MSFT"]
        run = await made.force()
        assert [hold.instrument.symbol for hold in run.open_holds] == ["MSFT"]
        made.broker.state = None
        run = await made.force()
        assert (run.removed, [hold.ended_by for hold in run.ended_holds]) == (1, ["proven"])


async def test_case_3_passes_never_overlap() -> None:
    """However many ask at once, one pass runs at a time and a later answer is never older than an earlier one."""
    async with world({"AAPL": 5}, {"AAPL": 5}) as made:
        await made.run_number(1)
        answers = await asyncio.gather(*(made.force() for _ in range(100)))
        assert {run.sequence for run in answers} == {2}
        assert [run.sequence for run in made.runs] == sorted({run.sequence for run in made.runs})


async def test_nudge_during_a_pass_causes_exactly_one_more() -> None:
    """Requests that come while a pass reads are answered by the next one, together."""
    async with world({"AAPL": 5}, {"AAPL": 5}) as made:
        await made.run_number(1)
        made.broker.hang = asyncio.Event()
        first = made.triggers.nudge(Reason.HTTP)
        await asyncio.sleep(1)
        later = {made.triggers.nudge(Reason.SIGHUP), made.triggers.nudge(Reason.HTTP)}
        assert later == {first + 1}
        made.broker.hang.set()
        run = await made.run_number(first + 1)
        assert run.reasons == (Reason.SIGHUP, Reason.HTTP)
        await asyncio.sleep(200)
        assert made.runs[-1].sequence == first + 1


@pytest.mark.parametrize(
    ("pins", "state", "environment", "expected"),
    [
        ({"default": "broker-9"}, None, "paper", "was kept for broker account broker-9"),
        ({"other": "broker-1"}, None, "paper", "the same broker account as those of 'other'"),
        ({}, AccountState(id="x", status="ACTIVE", number="PA12"), "live", "configured as live"),
    ],
)
async def test_case_29_account_mix_up_is_refused(
    pins: dict[str, str], state: AccountState | None, environment: str, expected: str
) -> None:
    """Keys of another account, of a second book's account, or of paper instead of live: nothing is written."""
    async with world(account_rules=rules(environment=environment)) as made:
        made.ledger.pins = dict(pins)
        made.ledger.book("AAPL", 5)
        made.broker.state = state
        run = await made.run_number(1)
        assert run.error is not None
        assert expected in run.error.message
        await asyncio.sleep(900)
        assert made.ledger.sums() == {"AAPL": 5}
        assert all(run.status is RunStatus.FAILED for run in made.runs)


@pytest.mark.parametrize("down", [False, True])
async def test_keys_that_open_another_account_later_change_nothing(down: bool) -> None:
    """A paper account that is reset under the same keys, and traded, is found out before its quantities are written."""
    async with world({"AAPL": 5, "MSFT": 5}, {"AAPL": 5, "MSFT": 5}) as made:
        await made.force()
        made.broker.held = {"AAPL": Decimal(1), "MSFT": Decimal(5), "TSLA": Decimal(2)}
        made.broker.state = AccountState(id="broker-2", status="ACTIVE")
        made.broker.account_down = down
        run = await made.force()
        assert run.error is not None
        assert ("HTTP 502" if down else "kept for broker account broker-1") in run.error.message
        await asyncio.sleep(900)
        assert made.ledger.sums() == {"AAPL": 5, "MSFT": 5}


async def test_a_reconnected_stream_has_the_account_looked_at() -> None:
    """What the broker says of the account is read again as soon as the stream is back, with no drift and no delay."""
    async with world({"AAPL": 5}, {"AAPL": 5}) as made:
        await made.run_number(1)
        made.broker.state = AccountState(id="broker-1", status="ACTIVE", account_blocked=True)
        run = await made.run_number(made.triggers.nudge(Reason.RECONNECT))
        assert run.account_state == made.broker.state


async def test_case_30_unread_values_are_unknown_not_zero() -> None:
    """An unreadable row makes its instrument unknown: no change, not counted as gone, the rest goes on."""
    async with world({"AAPL": 5, "MSFT": 5}, {"AAPL": 5, "MSFT": 5}) as made:
        await made.force()
        made.broker.answer = Holdings((position("AAPL", 6),), (Unreadable("MSFT", "qty is null"),))
        run = await made.force()
        assert made.ledger.sums() == {"AAPL": 6, "MSFT": 5}
        assert [u.symbol for u in run.unknown] == ["MSFT"]
        assert run.total_value is None
        await asyncio.sleep(900)
        assert made.ledger.sums() == {"AAPL": 6, "MSFT": 5}


async def test_row_whose_symbol_is_unreadable_protects_every_other() -> None:
    """While the broker shows a row that could be any symbol, nothing that it does not show is taken for gone."""
    async with world({"AAPL": 5, "MSFT": 5}, {"AAPL": 5, "MSFT": 5}) as made:
        await made.force()
        made.broker.answer = Holdings((position("AAPL", 5),), (Unreadable(None, "no symbol"),))
        run = await made.force()
        assert {u.symbol for u in run.unknown} == {None, "MSFT"}
        assert made.ledger.sums() == {"AAPL": 5, "MSFT": 5}


async def test_case_16_restart_on_a_clean_state_writes_nothing() -> None:
    """A second process on the same ledger and broker changes no quantity, opens nothing and corrects nothing."""
    async with world({"AAPL": 5, "TSLA": -3}) as made:
        await settled(made)
        journal = list(made.ledger.journal)
    again = World(made.broker, made.ledger, rules())
    task = asyncio.create_task(again.reconciler.passes())
    run = await again.run_number(1)
    task.cancel()
    assert (run.status, run.corrections, again.ledger.journal) == (RunStatus.SUCCESS, (), journal)


async def test_case_22_crypto_row_without_class_is_the_brokers_coin() -> None:
    """A row `BTCUSD` that never said its class agrees with the broker's coin of that symbol."""
    async with world({}, {"BTCUSD": 2}) as made:
        made.broker.answer = Holdings((position("BTCUSD", 2, "crypto"),))
        run = await made.force()
        assert (run.status, run.synced, run.corrections) == (RunStatus.SUCCESS, 1, ())


async def test_ignored_symbols_are_left_out_on_both_sides() -> None:
    """An ignored symbol is neither opened nor closed nor counted as a drift."""
    async with world({"AAPL": 5}, {"MSFT": 5}, rules(ignore=["AAPL", "MSFT"])) as made:
        run = await made.force()
        assert (run.status, run.corrections, run.synced) == (RunStatus.SUCCESS, (), 0)


async def test_budget_is_kept_and_a_forced_pass_is_answered_all_the_same() -> None:
    """Out of budget a forced pass waits at most 10 seconds and then fails with the reason."""
    async with world({"AAPL": 5}, {"AAPL": 5}, rules(requests_per_minute=10)) as made:
        for _ in range(6):
            assert (await made.force()).error is None
        began_s = asyncio.get_running_loop().time()
        run = await made.force()
        assert asyncio.get_running_loop().time() - began_s <= 10.5
        assert run.error is not None
        assert "budget of 10 requests a minute is spent" in run.error.message
        assert made.broker.sent == 7


@pytest.mark.parametrize("limit", [10, 60])
async def test_no_minute_sees_more_requests_than_the_budget(limit: int) -> None:
    """Look-ups of more pages than there is budget for, drifts and reconnects without end stay within it."""
    random = Random(limit)
    async with world({"AAPL": 5}, {"AAPL": 5}, rules(requests_per_minute=limit)) as made:
        for _ in range(300):
            made.broker.pages = random.choice((1, 2, 100))
            made.evidence.open_gap(now())
            made.broker.held["AAPL"] = Decimal(random.randint(1, 2))
            made.triggers.nudge(random.choice((Reason.RECONNECT, Reason.HTTP, Reason.LEDGER)))
            await asyncio.sleep(random.choice((0.5, 20, 40)))
        moments = made.broker.moments
        assert len(moments) > limit * 20
        assert min(last - first for first, last in zip(moments, moments[limit:], strict=False)) > 59.99


async def test_a_verdict_waits_for_what_moved() -> None:
    """While no look-up gets to the reading that shows the drift it is pending; then it is corrected at once."""
    async with world({"AAPL": 7}, {"AAPL": 5}) as made:
        made.broker.pages = 100
        await asyncio.sleep(120)
        assert made.ledger.sums() == {"AAPL": 5}
        assert [p.instrument.symbol for p in made.runs[-1].pending] == ["AAPL"]
        made.broker.pages = 1
        await asyncio.sleep(5)
        assert made.ledger.sums() == {"AAPL": 7}


@pytest.mark.parametrize("spent", [False, True])
async def test_a_gap_is_closed_as_soon_as_the_budget_allows(spent: bool) -> None:
    """A look-up that was cut short, or found no budget, is gone on with though nothing else asks for a pass."""
    async with world({"AAPL": 5}, {"AAPL": 5}) as made:
        await made.run_number(1)
        while spent and (await made.force()).error is None:
            pass
        made.broker.pages = 100
        made.evidence.open_gap(now())
        made.triggers.nudge(Reason.RECONNECT)
        await asyncio.sleep(90)
        assert made.evidence.gap_since is not None
        made.broker.pages = 3
        await asyncio.sleep(65)
        assert made.evidence.gap_since is None


async def test_refused_keys_keep_the_daemon_up_and_are_not_hammered() -> None:
    """Keys that are refused fail the pass with the hint; retries back off to the interval."""
    async with world({"AAPL": 5}, {"AAPL": 5}) as made:
        refused = BrokerRefused("positions: HTTP 403", hint="wrong key")
        made.broker.fails = [refused] * 1000
        await asyncio.sleep(3600)
        assert 12 <= made.broker.sent <= 20
        assert all(run.status is RunStatus.FAILED for run in made.runs)


async def test_loop_comes_round_while_the_broker_is_down() -> None:
    """The watchdog's food is the loop, not the broker: it comes at least every `round_s`."""
    async with world({"AAPL": 5}, {"AAPL": 5}) as made:
        made.broker.fails = [DOWN] * 1000
        await asyncio.sleep(3600)
        gaps = [b - a for a, b in zip(made.rounds, made.rounds[1:], strict=False)]
        assert max(gaps) <= 31


async def test_a_week_of_passes_leaves_nothing_behind() -> None:
    """2,016 timer passes with random nudges between them grow no tasks and no objects."""
    book = {f"S{n}": n + 1 for n in range(20)}
    async with world(book, book) as made:
        counts = []
        for _ in range(7):
            for hour in range(24):
                made.broker.held["S3"] = Decimal(hour + 1)
                made.triggers.nudge((Reason.HTTP, Reason.LEDGER, Reason.SIGHUP)[hour % 3])
                await asyncio.sleep(3600)
            del made.runs[:-1]
            made.ledger.runs.clear()
            made.ledger.journal[:] = made.ledger.journal[-1000:]
            gc.collect()
            counts.append((len(asyncio.all_tasks()), len(gc.get_objects())))
        assert made.runs[-1].sequence > 2016
        assert {tasks for tasks, _ in counts} == {counts[0][0]}
        assert counts[-1][1] - counts[1][1] < 500


async def test_a_preview_shows_what_would_be_done_and_does_nothing() -> None:
    """A young drift is pending, with what is done if it stays; no run, row or reading that counts comes of it."""
    async with world({"AAPL": 7}, {"AAPL": 5}) as made:
        first = await made.run_number(1)
        began_s = asyncio.get_running_loop().time()
        await asyncio.sleep(10)
        runs, journal = dict(made.ledger.runs), list(made.ledger.journal)
        made.broker.held["AAPL"] = Decimal(6)  # were it remembered, the verdict on 7 would begin anew
        preview = await made.reconciler.preview()
        made.broker.held["AAPL"] = Decimal(7)
        assert (preview.run.status, preview.run.corrections, len(preview.run.pending)) == (RunStatus.PARTIAL, (), 1)
        [outcome] = preview.certain
        [correction] = outcome.corrections
        assert (correction.before, correction.after, outcome.drift.instrument in preview.now) == (5, 6, False)
        assert (made.ledger.runs, made.ledger.journal) == (runs, journal)
        run = await made.until(lambda run: bool(run.corrections))
        assert asyncio.get_running_loop().time() - began_s < 16
        assert [run.sequence for run in made.runs] == list(range(first.sequence, run.sequence + 1))


async def test_a_preview_tells_what_is_decided_already() -> None:
    """What a pass would decide at once is told as that, with the conflict that is open."""
    async with world({"AAPL": 7}, {"AAPL": 5}, rules(policy=Resolution.MANUAL)) as made:
        run = await settled(made)
        preview = await made.reconciler.preview()
        [outcome] = preview.certain
        assert preview.now == {outcome.drift.instrument}
        assert [c.id for c in preview.run.conflicts] == [c.id for c in run.conflicts]


async def test_a_preview_pins_no_account_and_refuses_another() -> None:
    """Before the first pass too; an account of somebody else is told as a pass would tell it."""
    made = World(FakeBroker({"AAPL": Decimal(5)}), FakeLedger(), rules())
    preview = await made.reconciler.preview()
    assert (preview.run.error, made.ledger.pins, len(preview.certain)) == (None, {}, 1)
    made.ledger.pins = {"other": "broker-1"}
    refused = (await made.reconciler.preview()).run.error
    assert refused is not None
    assert "the same broker account" in refused.message


async def test_passes_and_previews_take_turns() -> None:
    """While one looks the other waits, so that what both would learn is not mixed up."""
    async with world({"AAPL": 5}, {"AAPL": 5}) as made:
        await made.run_number(1)
        made.broker.hang = asyncio.Event()
        looking = asyncio.create_task(made.reconciler.preview())
        await asyncio.sleep(1)
        sent = made.broker.sent
        made.triggers.nudge(Reason.SIGHUP)
        await asyncio.sleep(5)
        assert (made.broker.sent, len(made.runs)) == (sent, 1)
        made.broker.hang.set()
        assert (await looking).run.status is RunStatus.SUCCESS
        assert (await made.run_number(2)).reasons == (Reason.SIGHUP,)


async def test_a_preview_that_is_given_up_leaves_the_loop_as_it_was() -> None:
    """Whoever asked went away: the next pass goes on as if nobody had asked."""
    async with world({"AAPL": 5}, {"AAPL": 5}) as made:
        await made.run_number(1)
        made.broker.hang = asyncio.Event()
        looking = asyncio.create_task(made.reconciler.preview())
        await asyncio.sleep(1)
        looking.cancel()
        made.broker.hang = None
        assert (await made.force()).status is RunStatus.SUCCESS


async def test_previews_spend_the_budget() -> None:
    """They are refused once they would leave nothing, and passes that nobody waits for wait for what they took."""
    async with world({"AAPL": 5}, {"AAPL": 5}, rules(requests_per_minute=40)) as made:
        await made.run_number(1)
        refused = None
        while refused is None:
            refused = (await made.reconciler.preview()).run.error
        assert "the budget of 40 requests a minute is spent" in refused.message
        assert made.broker.sent <= 31
        made.triggers.nudge(Reason.LEDGER)
        await asyncio.sleep(30)
        assert len(made.runs) == 1
        made.triggers.nudge(Reason.SIGHUP)
        await asyncio.sleep(1)
        assert made.runs[-1].error is None
        assert len(made.runs) == 2


async def test_an_operators_decision_reads_the_account_again() -> None:
    """An account that was pinned anew must be looked at before anything of it is believed."""
    async with world({"AAPL": 5}, {"AAPL": 5}) as made:
        await made.run_number(1)
        await made.ledger.repin(Repin("default", "ann", broker_account_id="broker-2"))
        run = await made.run_number(made.triggers.nudge(Reason.OPERATOR))
        assert run.error is not None
        assert "`recond accounts repin default`" in run.error.hint
        assert made.ledger.sums() == {}


async def test_a_pass_in_flight_writes_nothing_after_a_repin() -> None:
    """It fails, and the next one meets the account as for the first time."""
    async with world({"AAPL": 5}, {"AAPL": 5}) as made:
        await made.run_number(1)

        def repin() -> None:
            made.ledger.rows.clear()
            made.ledger.pins.clear()
            made.ledger.baselines.clear()
            made.ledger.adopted, made.ledger.settled_at = False, None
            made.ledger.repins += 1
            made.ledger.before_record = lambda: None

        made.ledger.before_record = repin
        run = await made.run_number(made.triggers.nudge(Reason.HTTP))
        assert (run.status, made.ledger.baselines, made.ledger.adopted) == (RunStatus.FAILED, {}, False)
        run = await made.until(lambda run: bool(run.corrections))
        assert run.outcomes[0].explanation.cause is Cause.ADOPTION


async def test_an_operators_decision_is_acted_on_by_the_next_pass() -> None:
    """use_db: the ledger stands and the difference is silent until it changes, then it is a conflict again."""
    async with world({"AAPL": 7}, {"AAPL": 9}, rules(policy=Resolution.MANUAL)) as made:
        [conflict] = (await settled(made)).conflicts
        assert conflict.id is not None
        decided = await made.ledger.decide(Wish(Matter.CONFLICT, conflict.id, Resolution.USE_DB, "ann"))
        assert isinstance(decided, Decision)
        run = await made.run_number(made.triggers.nudge(Reason.OPERATOR))
        assert [(c.resolved, c.resolved_by, c.resolution) for c in run.conflicts] == [(True, "ann", Resolution.USE_DB)]
        assert (made.ledger.decisions[decided.id].outcome, made.ledger.sums()) == ("done", {"AAPL": 9})
        quiet = await made.force()
        assert (quiet.status, quiet.conflicts) == (RunStatus.SUCCESS, ())
        assert [(a.broker, a.ledger, a.claims_more) for a in quiet.accepted] == [(7, 9, True)]
        made.broker.held["AAPL"] = Decimal(9)
        assert [each.accepted.difference for each in (await made.force()).accepted] == [-2], "not on a single look"
        made.broker.held["AAPL"] = Decimal(7)
        quiet = await made.force()
        assert (quiet.conflicts, [each.ledger for each in quiet.accepted]) == ((), [9])
        made.broker.held["AAPL"] = Decimal(6)
        assert [c.resolved for c in (await made.force()).conflicts] == [False]


async def test_a_preview_judges_by_what_the_broker_tells_and_keeps_none_of_it() -> None:
    """A fill at the time of the reading makes it worthless, in a preview as in a pass; evidence is only the pass's."""
    made = World(FakeBroker({"AAPL": Decimal(7)}), FakeLedger(), rules())
    made.ledger.book("AAPL", 5)
    assert (await made.reconciler.run_pass(1, (Reason.START,), Budget(60))).pending
    await asyncio.sleep(20)
    assert {instrument.symbol for instrument in (await made.reconciler.preview()).now} == {"AAPL"}
    reading_at = now() - timedelta(seconds=20)  # the wall does not wait
    fill = Activity("a-1", "FILL", None, "AAPL", Decimal(2), PRICE, reading_at, "order", "buy", Decimal(2))
    made.broker.booked = (fill,)
    assert (await made.reconciler.preview()).now == frozenset()
    assert made.evidence.known(["AAPL"]) == ()
    made.broker.booked = ()
    assert (await made.reconciler.run_pass(2, (Reason.TIMER,), Budget(60))).corrections
