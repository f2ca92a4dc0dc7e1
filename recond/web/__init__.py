"""recond over HTTP: JSON for people, bots and Prometheus, from what is known in memory and what the ledger lists.

Owns the paths, the shapes of the answers and who may ask.
May not know an adapter or the configuration: it is given what it shows.
"""

from recond.web.server import CannotListen, WebServer

__all__ = ["CannotListen", "WebServer"]
