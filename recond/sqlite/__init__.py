"""The ledger port over SQLite."""
