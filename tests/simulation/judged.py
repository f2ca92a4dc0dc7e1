"""One seed of the world with the whole daemon in it, and the verdict on the daemon's verdicts.

Owns what counts as a false alarm and as a miss; both are decided by the world's truth alone.
May not ask the daemon for anything but its published runs.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal
from random import Random
from zlib import crc32

from recond.core.run import Reason, Run
from recond.evidence import Evidence
from recond.listener import CONNECTED, listen
from recond.reconcile import Reconciler, Rules
from recond.triggers import Triggers
from tests.fakes import FakeLedger, rules
from tests.simulation.clock import run as run_virtually
from tests.simulation.world import EPOCH, LATE_S, Drift, SimulatedBroker, SimulatedStream, World

MODES = ("on", "lossy", "off")
KINDS = ("lost booking", "manual trade", "phantom booking", "external close", "split")
SETTLE_S, INTERVAL_S, SLACK_S, PASS_S = 15.0, 60.0, 10.0, 2.5


@dataclass
class Verdict:
    """What was wrong with the daemon in one seed; `found` are the seconds from rest to verdict of each
    drift, `seen` those from a drift to its being called certain while it moves, `overdue` tells that one was too long.
    """

    seed: int
    mode: str
    false: list[str] = field(default_factory=list)
    missed: list[str] = field(default_factory=list)
    found: list[float] = field(default_factory=list)
    seen: list[float] = field(default_factory=list)
    overdue: bool = False
    drifts: int = 0
    runs: int = 0
    trace: int = 0

    @property
    def good(self) -> bool:
        """Neither a false alarm nor a miss."""
        return not self.false and not self.missed


@dataclass(frozen=True)
class Setting:
    """How one seed is played; `wall` is the local clock, `evidence` and `rules` what a test breaks on purpose."""

    minutes: float = 30.0
    symbols: int = 6
    moving: int = 2
    rules: Rules = field(default_factory=lambda: rules(interval_s=INTERVAL_S))
    evidence: Callable[[str, FakeLedger], Evidence] = lambda name, ledger: Evidence(
        name, ledger, horizon_s=60.0, late_s=SETTLE_S
    )
    wall: Callable[[], datetime] = lambda: EPOCH + timedelta(seconds=World.now_s()) + timedelta(minutes=7)
    script: Callable[[World], object] | None = None


def play(seed: int, mode: str, setting: Setting | None = None) -> Verdict:
    """Play one seed on virtual time; the same seed is the same sequence of events."""
    verdict = Verdict(seed, mode)
    run_virtually(_play(verdict, setting or Setting()))
    return verdict


async def _play(verdict: Verdict, setting: Setting) -> None:
    ledger, triggers = FakeLedger(), Triggers()

    def book(symbol: str, quantity: Decimal) -> None:
        ledger.book(symbol, ledger.sums().get(symbol, Decimal(0)) + quantity)
        world.later(world.rng.uniform(0, 0.25), lambda: triggers.nudge(Reason.LEDGER))

    world = World(Random(f"{verdict.seed}:{verdict.mode}"), verdict.mode, book)
    broker, evidence = SimulatedBroker(world), setting.evidence("default", ledger)
    watch = _Watch(world, verdict)
    reconciler = Reconciler(
        setting.rules,
        broker,
        ledger,
        evidence,
        triggers,
        (watch.see,),
        now=setting.wall,
        jitter=lambda: world.rng.uniform(0.9, 1.1),
        came_round=lambda: None,
        round_s=60.0,
    )

    def heard(state: str) -> None:
        now = broker.broker_time() or setting.wall()
        if state == CONNECTED:
            evidence.came(now)
        elif evidence.listening:
            evidence.went(now)
            triggers.nudge(Reason.RECONNECT)

    works = [reconciler.passes(), evidence.write()]
    if verdict.mode != "off":
        works.append(
            listen(
                "default",
                SimulatedStream(world),
                triggers,
                keep=evidence.add,
                on_state=heard,
                on_event=lambda _name: None,
                random=world.rng.random,
            )
        )
    tasks = [asyncio.create_task(work) for work in works]
    ends_s = setting.minutes * 60
    (setting.script or _life(setting))(world)
    await asyncio.sleep(ends_s + 2 * INTERVAL_S + 60)
    for task in tasks:
        if task.done():
            task.result()
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    limit = setting.rules.requests_per_minute
    minutes = zip(broker.sent_s, broker.sent_s[limit:], strict=False)
    verdict.missed += [f"{limit + 1} requests until {last:.0f} s" for first, last in minutes if last - first < 59.99]
    known = evidence.motions(world.truth, EPOCH + timedelta(seconds=World.now_s()), World.now_s())
    watch.end({symbol: quantity for symbol, quantity in ledger.sums().items() if quantity})
    stored = {(execution.symbol, execution.order_id) for execution in ledger.kept}
    if sum(map(len, known.values())) > len(world.fills) or len(ledger.kept) > 2 * len(stored):
        verdict.false.append(f"{len(world.fills)} fills happened, {len(ledger.kept)} were written")


def _life(setting: Setting) -> Callable[[World], None]:
    """Symbols that trade now and then, symbols that never rest, and drifts made on purpose on both."""

    def live(world: World) -> None:
        for number in range(setting.symbols):
            pace_s = world.rng.uniform(0.5, 5) if number < setting.moving else 120.0
            world.hold(f"S{number}", Decimal(100))
            world.book(f"S{number}", Decimal(100))
            _trader(world, f"S{number}", pace_s, setting.minutes * 60)
            _saboteur(world, f"S{number}", setting.minutes * 60)

    return live


def _trader(world: World, symbol: str, pace_s: float, ends_s: float) -> None:
    """Trade the symbol until then, at random moments that far apart."""

    def trade() -> None:
        if world.now_s() < ends_s:
            world.trade(symbol, Decimal(world.rng.choice((-2, -1, 1, 2, 3))))
            world.later(world.rng.expovariate(1 / pace_s), trade)

    world.later(60 + world.rng.expovariate(1 / pace_s), trade)


def _saboteur(world: World, symbol: str, ends_s: float) -> None:
    """Make one true drift after the other, each after the last was found."""

    def sabotage() -> None:
        if world.now_s() < ends_s:
            if world.outstanding(symbol) is None:
                world.drift(symbol, world.rng.choice(KINDS))
            world.later(world.rng.uniform(120, 900), sabotage)

    world.later(world.rng.uniform(90, 600), sabotage)


class _Watch:
    """Holds each published run against the truth."""

    def __init__(self, world: World, verdict: Verdict) -> None:
        self._world, self._verdict = world, verdict
        self._rested_s: dict[int, float] = {}

    def see(self, run: Run) -> None:
        """Every outcome needs a drift made on purpose; every correction has to be the truth."""
        world, now_s = self._world, World.now_s()
        self._verdict.runs += 1
        for pending in run.pending:
            drift = world.outstanding(pending.instrument.symbol)
            if pending.in_motion and drift is None:
                self._false(now_s, f"{pending.instrument.symbol} called drifting in motion: {pending.why}")
            elif pending.in_motion and drift is not None and drift.seen_s is None:
                drift.seen_s = now_s
                self._verdict.seen.append(now_s - drift.at_s)
            self._verdict.overdue |= pending.overdue
        for outcome in run.outcomes:
            symbol = outcome.drift.instrument.symbol
            drift = world.outstanding(symbol)
            if drift is None:
                self._false(now_s, f"{symbol} confirmed: broker {outcome.drift.broker} ledger {outcome.drift.ledger}")
            elif outcome.corrections:
                drift.found_s = now_s
                self._verdict.found.append(now_s - max(drift.at_s, world.moved_s[symbol]))
            if outcome.corrections and outcome.drift.broker not in self._lately(symbol, now_s):
                self._false(now_s, f"{symbol} corrected to {outcome.drift.broker}, held {world.held(symbol)}")

    def end(self, ledger: dict[str, Decimal]) -> None:
        """Everything has been quiet for long: nothing may be left."""
        world, verdict = self._world, self._verdict
        verdict.drifts, verdict.trace = len(world.drifts), crc32(repr(world.trace).encode())
        verdict.missed += [f"{_told(d)} never found" for d in world.drifts if d.found_s is None]
        truth = {symbol: world.held(symbol) for symbol in world.truth if world.held(symbol)}
        if ledger != truth:
            verdict.missed.append(f"in the end the ledger is {ledger}, the broker holds {truth}")
        slow_s = SETTLE_S + 10 + 2 + 2 + SLACK_S + INTERVAL_S * 1.1
        verdict.missed += [f"{s:.0f} s from rest to verdict" for s in verdict.found if s > slow_s]

    def _lately(self, symbol: str, now_s: float) -> set[Decimal]:
        """What was held at any moment that a verdict given now may be about; what moved since is still being booked."""
        since_s = now_s - SETTLE_S - LATE_S - PASS_S
        history = self._world.truth[symbol]
        before = [quantity for at_s, quantity in history if at_s <= since_s][-1:]
        return {*before, *(quantity for at_s, quantity in history if at_s > since_s)}

    def _false(self, now_s: float, what: str) -> None:
        self._verdict.false.append(f"{now_s:.1f} s: {what}")


def _told(drift: Drift) -> str:
    return f"{drift.kind} of {drift.size} {drift.symbol} at {drift.at_s:.1f} s"
