"""What an account looked like some seconds ago, for answers that lag.

Owns an undo log of the last five minutes (older entries are forgotten, so memory is bounded by the rate of
change). May not know what the values mean.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping
from typing import TypeVar, cast

KEPT_SECONDS = 300.0

Value = TypeVar("Value")


class History:
    """Records what a value was before each change; `clock` gives monotonic seconds."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._log: deque[tuple[float, str, str, object]] = deque()

    def changed(self, kind: str, key: str, before: object) -> None:
        """Remember that `key` of `kind` was `before` (None: did not exist) until now."""
        now = self._clock()
        self._log.append((now, kind, key, before))
        while self._log[0][0] < now - KEPT_SECONDS:
            self._log.popleft()

    def as_of(self, kind: str, current: Mapping[str, Value], seconds_ago: float) -> Mapping[str, Value]:
        """`current` as it was `seconds_ago` (at most five minutes); the very mapping for 0."""
        if seconds_ago <= 0:
            return current
        view = dict(current)
        since = self._clock() - seconds_ago
        for at, changed_kind, key, before in reversed(self._log):
            if at < since:
                break
            if changed_kind != kind:
                continue
            if before is None:
                view.pop(key, None)
            else:
                view[key] = cast(Value, before)
        return view
