"""The broker port over Alpaca.

Owns everything that knows how Alpaca speaks.
May not be imported by anybody but the daemon.
"""
