"""The daemon: the configuration's parts, opened, run until told to stop, and closed in reverse.

Owns the composition; the only package that knows the configuration and the adapters.
May not decide anything about positions.
"""

from recond.daemon.parts import open_broker
from recond.daemon.run import EXIT_CONFIG, EXIT_FAULT, main
from recond.sqlite.audit import audit

__all__ = ["EXIT_CONFIG", "EXIT_FAULT", "audit", "main", "open_broker"]
