"""What is written to the log, read back from the stream that it was written to."""

from __future__ import annotations

import functools
import io
import json
import logging
import os
import pty
import re
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import pytest
import structlog

from recond import log
from recond.core.model import Cause, Conflict, Drift, Hold, Instrument, Kind, LedgerRow, Resolution, Unreadable
from recond.core.run import Action, Correction, Explanation, Outcome, Pending, Problem, Reason, Run, RunStatus

AT = datetime(2026, 1, 2, 15, 0, tzinfo=UTC)
APPLE = Instrument("us_equity", "AAPL")
ROW = LedgerRow(1, "AAPL", None, None, Decimal(10), 1)
DRIFT = Drift(APPLE, Kind.QUANTITY, Decimal("12.50"), Decimal(10), None, (ROW,))
RUN = Run(
    id=7,
    account="swing",
    user_id=1,
    sequence=1,
    reasons=(Reason.TIMER, Reason.HTTP),
    started_at=AT,
    finished_at=AT,
    duration_s=0.12345,
    status=RunStatus.SUCCESS,
    broker_positions=3,
    db_positions=3,
    synced=3,
)


@pytest.fixture(autouse=True)
def as_before() -> Iterator[None]:
    """Logging as it was, after each test."""
    handlers, level = logging.root.handlers[:], logging.root.level
    yield
    structlog.reset_defaults()
    logging.root.handlers[:] = handlers
    logging.root.setLevel(level)


def correction(action: Action, before: str, after: str, strategy: str | None = None) -> Correction:
    """A change of the Apple row."""
    return Correction(action, APPLE, ROW, strategy, Decimal(before), Decimal(after), Cause.SPLIT)


def outcome(*corrections: Correction, hold: Hold | None = None) -> Outcome:
    """A drift of Apple with what was done about it."""
    return Outcome(DRIFT, Explanation(Cause.SPLIT), Resolution.USE_BROKER, corrections, hold=hold)


def test_a_run_is_one_line_of_information() -> None:
    """A pass that did not fail is exactly one INFO line: a sentence, with the figures as fields."""
    out = io.StringIO()
    log.configure("info", "json", out, {})
    observer = functools.partial(log.log_run, structlog.get_logger())
    observer(RUN)
    (line,) = out.getvalue().splitlines()
    event = json.loads(line)
    assert event["event"] == "swing: 3 positions agree"
    assert event["level"] == "info"
    assert (event["account"], event["run"], event["trigger"]) == ("swing", 7, "timer+http")
    assert (event["status"], event["duration_s"], event["synced"]) == ("success", 0.123, 3)
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z", event["timestamp"])


def test_a_failed_run_is_one_error_line() -> None:
    """A failed pass says why and what to do, once, as an error."""
    out = io.StringIO()
    log.configure("info", "json", out, {})
    problem = Problem("Alpaca did not answer within 10 s", "look at status.alpaca.markets")
    log.log_run(structlog.get_logger(), replace(RUN, status=RunStatus.FAILED, error=problem, recorded=False))
    (line,) = out.getvalue().splitlines()
    event = json.loads(line)
    assert event["event"] == "swing: the pass failed: Alpaca did not answer within 10 s"
    assert (event["level"], event["hint"], event["recorded"]) == ("error", problem.hint, False)


@pytest.mark.parametrize(
    ("run", "words"),
    [
        (replace(RUN, synced=0), "no positions on either side"),
        (replace(RUN, synced=1), "1 position agrees"),
        (
            replace(RUN, outcomes=(outcome(correction(Action.SET, "10", "12.50", "mean")),)),
            "3 positions agree; AAPL of mean set from 10 to 12.50 (split)",
        ),
        (
            replace(RUN, synced=0, outcomes=(outcome(correction(Action.OPEN, "0", "1E+1")),)),
            "nothing agrees; AAPL opened with 10 (split)",
        ),
        (
            replace(RUN, outcomes=(outcome(correction(Action.CLOSE, "10", "0")),)),
            "3 positions agree; AAPL closed, was 10 (split)",
        ),
        (
            replace(RUN, outcomes=(outcome(),)),
            "3 positions agree; AAPL left to an operator (broker 12.50, ledger 10, split)",
        ),
        (
            replace(RUN, outcomes=(outcome(hold=Hold(1, APPLE, "it vanished", Decimal(0), Decimal(1), AT)),)),
            "3 positions agree; AAPL held: it vanished (broker 12.50, ledger 10, split)",
        ),
        (
            replace(
                RUN,
                pending=(Pending(APPLE, Kind.QUANTITY, Decimal(1), Decimal(2), 0, 1, "young"),),
                unknown=(Unreadable(None, "no symbol"), Unreadable("TSLA", "qty is null")),
            ),
            "3 positions agree; a row without symbol unreadable; TSLA unreadable; 1 difference not judged yet",
        ),
        (
            replace(
                RUN,
                ended_conflicts=(
                    Conflict(1, APPLE, Kind.QUANTITY, Cause.SPLIT, Decimal(1), Decimal(2), Resolution.MANUAL, AT, AT),
                ),
                ended_holds=(Hold(1, APPLE, "it vanished", Decimal(0), Decimal(1), AT),),
            ),
            "3 positions agree; conflict on AAPL ended; hold on AAPL ended",
        ),
    ],
)
def test_the_sentence_tells_what_happened(run: Run, words: str) -> None:
    """Every outcome of a pass has its words, with the quantities as people write them."""
    assert log.sentence(run) == f"swing: {words}"


def test_a_long_story_stays_short() -> None:
    """A pass with 10,000 drifts is still a line that the journal takes whole."""
    sentence = log.sentence(replace(RUN, outcomes=(outcome(correction(Action.OPEN, "0", "1")),) * 10_000))
    assert sentence.endswith("; and 9995 more")
    assert len(sentence) < 1000


def test_the_level_is_kept() -> None:
    """Below the level nothing is written."""
    out = io.StringIO()
    log.configure("warning", "json", out, {})
    logger = structlog.get_logger()
    logger.info("no")
    logger.warning("yes")
    assert [json.loads(line)["event"] for line in out.getvalue().splitlines()] == ["yes"]


def test_libraries_speak_the_same_way() -> None:
    """Warnings of libraries that use the standard logging are JSON lines too, with their name; their chatter is not."""
    out = io.StringIO()
    log.configure("info", "json", out, {})
    library = logging.getLogger("websockets.client")
    library.info("chatter")
    try:
        raise OSError("gone")
    except OSError:
        library.exception("failed %s", "twice")
    (line,) = out.getvalue().splitlines()
    event = json.loads(line)
    assert (event["event"], event["level"], event["logger"]) == ("failed twice", "error", "websockets.client")
    assert "OSError: gone" in event["exception"]


def test_a_terminal_gets_a_readable_line() -> None:
    """On a terminal `auto` means the sentence first, in colour unless NO_COLOR is set, and no JSON."""
    written = []
    for environ in ({}, {"NO_COLOR": "1"}):
        ours, theirs = pty.openpty()
        with os.fdopen(theirs, "w", buffering=1) as terminal:
            log.configure("info", "auto", terminal, environ)
            log.log_run(structlog.get_logger(), RUN)
            written.append(os.read(ours, 65536).decode())
        os.close(ours)
    assert "\x1b[" in written[0]
    assert "\x1b[" not in written[1]
    assert re.match(r"\d\d:\d\d:\d\d \[info\s*\] swing: 3 positions agree ", written[1])


def test_the_journal_gets_priorities(tmp_path: Path) -> None:
    """Lines carry `<N>` when the stream is the one that $JOURNAL_STREAM names, each line of several, and else not."""
    with (tmp_path / "journal").open("w") as stream:
        status = os.fstat(stream.fileno())
        for journal in (f"{status.st_dev}:{status.st_ino}", f"{status.st_dev}:1", ""):
            log.configure("debug", "auto", stream, {"JOURNAL_STREAM": journal})
            structlog.get_logger().error("first")
            logging.getLogger("library").warning("second")
        log.configure("debug", "console", stream, {"JOURNAL_STREAM": f"{status.st_dev}:{status.st_ino}"})
        structlog.get_logger().debug("two\nlines")
    starts = [line[:3] for line in (tmp_path / "journal").read_text().splitlines()]
    assert starts == ["<3>", "<4>", '{"e', '{"e', '{"e', '{"e', "<7>", "<7>"]
