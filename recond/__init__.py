"""recond keeps a position ledger true to what its Alpaca account really holds."""

__version__ = "0.1.0"
