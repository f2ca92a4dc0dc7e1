"""What the README tells a bot to do, done."""

from __future__ import annotations

import re
import sqlite3
from contextlib import closing
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

from recond.core.model import Execution
from recond.sqlite.ledger import AccountEntry, SqliteLedger

README = Path(__file__).parents[1] / "README.md"
MEAN = "SELECT quantity, status FROM positions WHERE strategy_id = 'mean' AND symbol = 'AAPL'"


async def test_the_sql_for_bots_does_what_the_text_says(tmp_path: Path) -> None:
    """Every statement runs in its order on a fresh ledger and leaves the quantities that the README names."""
    blocks = re.findall(r"```sql\n(.*?)```", README.read_text(encoding="utf-8"), re.DOTALL)
    entries = [AccountEntry("default", 1, "paper")]
    async with SqliteLedger(tmp_path / "recond.db", entries, now=lambda: datetime.now(UTC)) as ledger:
        order = re.search(r"order_id = '([0-9a-f-]{36})'", "".join(blocks))
        assert order is not None
        await ledger.keep("default", [Execution("AAPL", datetime.now(UTC), Decimal("2.5"), order[1], Decimal("2.5"))])
        with closing(sqlite3.connect(tmp_path / "recond.db", isolation_level=None)) as bot:
            bot.execute("INSERT INTO positions (account, symbol, quantity) VALUES ('default', 'BTC/USD', '0.5')")
            seen = []
            for block in blocks:
                bot.executescript(block)
                seen.append(bot.execute(MEAN).fetchone())
            assert len(blocks) >= 8
            assert [row for row in dict.fromkeys(seen) if row] == [
                ("10", "open"),
                ("12.5", "open"),
                ("15", "open"),
                ("0", "closed"),
            ]
            assert bot.execute("SELECT symbol, strategy_id FROM positions WHERE status = 'open'").fetchall() == [
                ("BTCUSD", "trend")
            ]


async def test_a_fill_that_a_correction_covers_is_skipped(tmp_path: Path) -> None:
    """The README's guarded update changes no row once `covered_by` names a correction."""
    text = README.read_text(encoding="utf-8")
    (guarded,) = [block for block in re.findall(r"```sql\n(.*?)```", text, re.DOTALL) if "covered_by" in block]
    order = re.search(r"order_id = '([0-9a-f-]{36})'", guarded)
    assert order is not None
    entries = [AccountEntry("default", 1, "paper")]
    async with SqliteLedger(tmp_path / "recond.db", entries, now=lambda: datetime.now(UTC)) as ledger:
        await ledger.keep("default", [Execution("AAPL", datetime.now(UTC), Decimal("2.5"), order[1], Decimal("2.5"))])
        with closing(sqlite3.connect(tmp_path / "recond.db", isolation_level=None)) as bot:
            row = "INSERT INTO positions (account, strategy_id, symbol, quantity) VALUES ('default', 'mean', 'AAPL', ?)"
            bot.execute(row, ("10",))
            bot.execute("UPDATE positions SET quantity = '12.5' WHERE symbol = 'AAPL'")
            bot.execute("UPDATE executions SET covered_by = 1")
            assert bot.execute(guarded).rowcount == 0
            bot.execute("UPDATE executions SET covered_by = NULL")
            assert bot.execute(guarded).rowcount == 1
