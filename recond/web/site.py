"""What the paths answer from, and which account a request means.

Owns the choice of the account by name or by user id.
May not answer anything itself.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass
from datetime import datetime
from http import HTTPStatus
from typing import Any

from recond.core.run import Preview
from recond.ports import Ledger
from recond.status import Status
from recond.triggers import Triggers
from recond.web.answers import Refused


@dataclass(frozen=True, slots=True)
class Site:
    """Everything that is shown; `stopping` is set when requests must not be kept waiting any longer."""

    status: Status
    triggers: Mapping[str, Triggers]
    ledger: Ledger
    exposition: Callable[[], bytes]
    now: Callable[[], datetime]
    stopping: asyncio.Event
    previews: Mapping[str, Callable[[], Coroutine[Any, Any, Preview]]]

    def named(self, account: str) -> str:
        """The account of this name. Raises `Refused` (404) when there is none."""
        if account not in self.status.accounts:
            raise Refused(HTTPStatus.NOT_FOUND, f"there is no account {account!r}", hint=self._known())
        return account

    def one(self, account: str | None, user_id: int | None) -> str:
        """The one account that is meant. Raises `Refused`: 404 for an unknown one, 400 unless it is just one."""
        names = [self.named(account)] if account is not None else list(self.status.accounts)
        if user_id is not None:
            its = [name for name, known in self.status.accounts.items() if known.user_id == user_id]
            if not its:
                raise Refused(HTTPStatus.NOT_FOUND, f"no account has user id {user_id}", hint=self._known())
            if account is not None and account not in its:
                raise Refused(HTTPStatus.BAD_REQUEST, f"account {account!r} has another user id than {user_id}")
            names = [name for name in names if name in its]
        if len(names) > 1:
            detail = f"{len(names)} accounts are meant: {', '.join(names)}"
            raise Refused(HTTPStatus.BAD_REQUEST, detail, hint="Name one of them: ?account=NAME.")
        return names[0]

    def _known(self) -> str:
        return f"The accounts are {', '.join(self.status.accounts)}."
