"""How recond speaks: one JSON object a line for machines, a readable line on a terminal, one line for each run.

Owns the set-up of structlog and of the libraries' logging, the journal's priorities, and the sentence about a run.
May not log on its own account, and gets no secret to log.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping
from decimal import Decimal
from itertools import chain, islice
from typing import Any, TextIO

import structlog
from structlog.typing import EventDict, FilteringBoundLogger, Processor, WrappedLogger

from recond.core.run import Action, Correction, Outcome, Run, RunStatus

# systemd's levels, see sd-daemon(3).
_PRIORITIES = (("critical", 2), ("error", 3), ("warning", 4), ("info", 6), ("debug", 7))
_DETAILS_MAX = 5


def configure(level: str, fmt: str, stream: TextIO, environ: Mapping[str, str]) -> None:
    """Send everything from `level` on to `stream`, and what libraries log from `warning` on as well.

    `fmt` is `json`, `console`, or `auto`: console on a terminal, else json. Lines get a priority if the stream is
    the journal's ($JOURNAL_STREAM).
    """
    terminal = stream.isatty()
    console = fmt == "console" or (fmt == "auto" and terminal)
    prepare: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="%H:%M:%S" if console else "%Y-%m-%dT%H:%M:%S.%fZ", utc=not console),
    ]
    if not console:
        prepare.append(structlog.processors.format_exc_info)
    render: Processor = (
        structlog.dev.ConsoleRenderer(
            colors=terminal and not environ.get("NO_COLOR"),
            pad_event_to=0,
            exception_formatter=structlog.dev.plain_traceback,
        )
        if console
        else structlog.processors.JSONRenderer(default=str, ensure_ascii=False)
    )
    finish = _prioritised(render) if _is_journal(stream, environ) else render
    structlog.configure(
        processors=[*prepare, finish],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.PrintLoggerFactory(stream),
    )
    handler = logging.StreamHandler(stream)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[*prepare, structlog.stdlib.add_logger_name],
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, finish],
        )
    )
    logging.basicConfig(level=logging.WARNING, handlers=[handler], force=True)


def log_run(logger: FilteringBoundLogger, run: Run) -> None:
    """The one line about a run: an error if it failed, else information, whatever it found."""
    figures: dict[str, Any] = {
        "account": run.account,
        "run": run.id,
        "trigger": run.trigger,
        "status": run.status.value,
        "duration_s": round(run.duration_s, 3),
        "broker_positions": run.broker_positions,
        "db_positions": run.db_positions,
        "synced": run.synced,
        "added": run.added,
        "removed": run.removed,
        "corrections": len(run.corrections),
        "pending": len(run.pending),
        "unknown": len(run.unknown),
        "open_conflicts": len(run.open_conflicts),
        "open_holds": len(run.open_holds),
    }
    if run.error is not None and run.error.hint:
        figures["hint"] = run.error.hint
    if not run.recorded:
        figures["recorded"] = False
    say = logger.error if run.status is RunStatus.FAILED else logger.info
    say(sentence(run), **figures)


def sentence(run: Run) -> str:
    """What the run found and did, for a person; bounded in length."""
    if run.status is RunStatus.FAILED:
        return f"{run.account}: the pass failed: {run.error.message if run.error else 'the reason is unknown'}"
    told = chain(
        (text for outcome in run.outcomes for text in _details(outcome)),
        (f"{unknown.symbol or 'a row without symbol'} unreadable" for unknown in run.unknown),
        (f"conflict on {conflict.instrument.symbol} ended" for conflict in run.ended_conflicts),
        (f"hold on {hold.instrument.symbol} ended" for hold in run.ended_holds),
    )
    details = list(islice(told, _DETAILS_MAX))
    matters = sum(len(outcome.corrections) or 1 for outcome in run.outcomes)
    matters += len(run.unknown) + len(run.ended_conflicts) + len(run.ended_holds)
    if matters > _DETAILS_MAX:
        details.append(f"and {matters - _DETAILS_MAX} more")
    if run.pending:
        details.append(f"{_count(len(run.pending), 'difference')} not judged yet")
    return f"{run.account}: {'; '.join([_agreement(run), *details])}"


def _agreement(run: Run) -> str:
    if run.synced:
        return f"{_count(run.synced, 'position')} agree{'s' if run.synced == 1 else ''}"
    return "nothing agrees" if run.outcomes or run.pending or run.unknown else "no positions on either side"


def _details(outcome: Outcome) -> list[str]:
    """What happened to one instrument: corrected, held, or left to an operator."""
    drift, cause = outcome.drift, outcome.explanation.cause
    both = f"broker {drift.broker:f}, ledger {drift.ledger:f}, {cause}"
    if outcome.hold is not None:
        return [f"{drift.instrument.symbol} held: {outcome.hold.reason} ({both})"]
    if not outcome.corrections:
        return [f"{drift.instrument.symbol} left to an operator ({both})"]
    return [f"{_correction(correction)} ({cause})" for correction in outcome.corrections]


def _correction(correction: Correction) -> str:
    symbol = correction.instrument.symbol
    owner = f" of {correction.strategy_id}" if correction.strategy_id else ""
    match correction.action:
        case Action.OPEN:
            return f"{symbol}{owner} opened with {correction.after:f}"
        case Action.SET:
            return f"{symbol}{owner} set from {correction.before:f} to {correction.after:f}"
        case Action.CLOSE:
            return f"{symbol}{owner} closed, was {correction.before:f}"


def _count(count: int | Decimal, noun: str) -> str:
    return f"{count} {noun}{'' if count == 1 else 's'}"


def _is_journal(stream: TextIO, environ: Mapping[str, str]) -> bool:
    """Whether the stream is the one that systemd connected to the journal, as sd-daemon(3) says to find out."""
    try:
        status = os.fstat(stream.fileno())
    except OSError:
        return False
    return environ.get("JOURNAL_STREAM") == f"{status.st_dev}:{status.st_ino}"


def _prioritised(render: Processor) -> Processor:
    """The same renderer with `<N>` before each line, which journald takes for the priority and strips."""
    priorities = dict(_PRIORITIES)

    def process(logger: WrappedLogger, name: str, event: EventDict) -> str:
        prefix = f"<{priorities.get(event.get('level', ''), 6)}>"
        return "\n".join(prefix + line for line in str(render(logger, name, event)).splitlines())

    return process
