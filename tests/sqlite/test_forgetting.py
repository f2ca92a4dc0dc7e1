"""Thousands of old rows go without a bot ever finding the ledger locked for long."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

from recond.sqlite.text import time_text
from tests.sqlite.passes import NOW, UPSERT, bot, open_ledger

OLD = time_text(NOW - timedelta(days=100))
BEFORE = NOW - timedelta(days=90)
RUN = (
    "INSERT INTO runs (account, user_id, sequence, trigger, started_at, finished_at, duration_s, status, synced, added,"
    " removed, conflicts, holds, pending, unknown) VALUES ('main', 7, 1, 'timer', ?1, ?1, 0.1, 'success', 0, 0, 0, 0,"
    " 0, 0, 0)"
)
FILL = (
    "INSERT INTO executions (account, order_id, cum_qty, symbol, quantity, at, covered_by)"
    " VALUES ('main', ?, '1', 'AAPL', '1', ?, ?)"
)


async def test_bots_write_between_the_batches(tmp_path: Path) -> None:
    """A bot that does not wait at all gets the lock after each batch of at most 200; what was not old is all there."""
    async with open_ledger(tmp_path / "recond.db") as ledger:
        with bot(tmp_path / "recond.db", "busy_timeout = 0") as other:
            other.execute("BEGIN")
            other.executemany(RUN, [(OLD,)] * 3000)
            other.executemany(RUN, [(time_text(NOW),)] * 10)
            other.executemany(FILL, [(f"o-{n}", OLD, None if n % 10 else 1) for n in range(2000)])
            other.execute("COMMIT")
            counts = []
            while True:
                counts.append(await ledger.forget(BEFORE, 200))
                other.execute("BEGIN IMMEDIATE")
                other.execute(UPSERT, ("AAPL", str(len(counts))))
                other.execute("COMMIT")
                if not counts[-1]:
                    break
            assert (max(counts), sum(counts)) == (200, 3000 + 1800)
            left = [other.execute(f"SELECT count(*) FROM {table}").fetchone()[0] for table in ("runs", "executions")]
            assert left == [10, 200]


async def test_what_explained_something_is_kept(tmp_path: Path) -> None:
    """A correction, or a difference that an operator has accepted: else it could explain once more."""
    async with open_ledger(tmp_path / "recond.db") as ledger:
        with bot(tmp_path / "recond.db") as other:
            for name, explains, accepted in (("a", None, None), ("b", 1, None), ("c", None, 1)):
                marks = OLD, explains, accepted
                columns = "account, order_id, cum_qty, symbol, quantity, at, covered_by, accepted_in"
                row = "('main', ?, '1', 'AAPL', '1', ?, ?, ?)"
                other.execute(f"INSERT INTO executions ({columns}) VALUES {row}", (name, *marks))
                columns = "account, id, type, at, explains, accepted_in"
                other.execute(
                    f"INSERT INTO activities ({columns}) VALUES ('main', ?, 'ACATS', ?, ?, ?)", (name, *marks)
                )
            assert await ledger.forget(BEFORE, 200) == 2
            for table, name in (("executions", "order_id"), ("activities", "id")):
                left = other.execute(f"SELECT {name} FROM {table} ORDER BY {name}").fetchall()
                assert left == [("b",), ("c",)]


async def test_looking_takes_no_lock(tmp_path: Path) -> None:
    """While a bot writes and nothing is old, there is nothing to wait for."""
    async with open_ledger(tmp_path / "recond.db") as ledger:
        with bot(tmp_path / "recond.db") as other:
            other.execute(FILL, ("o-1", time_text(NOW), None))
            other.execute("BEGIN IMMEDIATE")
            assert await ledger.forget(BEFORE, 200) == 0
            other.execute("ROLLBACK")
