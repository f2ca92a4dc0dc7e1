"""The command line of recond.

Owns nothing itself: the commands are in `commands` and `operating`, the way to the daemon in `asking`, the looks in
`words`.
May not import anything heavy: `recond status` must start in a moment.
"""

import recond.cli.operating  # noqa: F401 - adds its commands
from recond.cli.commands import main

__all__ = ["main"]
