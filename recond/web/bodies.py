"""The bodies of requests: JSON in which a number keeps every digit it has.

Owns how a body is read, and that a member that nobody knows is refused, and one that is given twice.
May not name a member of any body.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Coroutine
from decimal import Decimal
from typing import Annotated, Any

from fastapi import Request, Response
from fastapi.routing import APIRoute
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, WithJsonSchema
from pydantic.alias_generators import to_camel

_WRITTEN = r"-?[0-9]+(\.[0-9]+)?"


def _plain(value: object) -> object:
    """Refuse text that Python takes for a number and nobody else does."""
    if isinstance(value, str) and not re.fullmatch(_WRITTEN, value):
        raise ValueError("a number, or its digits as text")
    return value


Quantity = Annotated[
    Decimal,
    BeforeValidator(_plain),
    Field(max_digits=80, decimal_places=40),
    WithJsonSchema({"anyOf": [{"type": "number"}, {"type": "string", "pattern": f"^{_WRITTEN}$"}]}),
]
"""A quantity, as a number or as decimal text."""
Line = Annotated[str, Field(min_length=1, max_length=500, pattern=r"^[^\x00-\x1f\x7f]*$")]
"""Text on one line."""


class Said(BaseModel):
    """What a body says, in camelCase."""

    model_config = ConfigDict(alias_generator=to_camel, extra="forbid", frozen=True, use_attribute_docstrings=True)


class ExactRoute(APIRoute):
    """A path whose body is read exactly."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """FastAPI's handler, given a request that reads so."""
        handle = super().get_route_handler()

        async def exact(request: Request) -> Response:
            return await handle(_ExactRequest(request.scope, request.receive))

        return exact


class _ExactRequest(Request):
    async def json(self) -> Any:
        body = await self.body()
        try:
            return json.loads(body, parse_float=Decimal, object_pairs_hook=_once)
        except UnicodeDecodeError as error:
            raise json.JSONDecodeError(str(error), "", 0) from error


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    names = [name for name, _ in pairs]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise json.JSONDecodeError(f"{', '.join(map(ascii, twice))} given more than once", "", 0)
    return dict(pairs)
