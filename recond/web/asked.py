"""What all requests have in common in their query.

Owns the rules that a parameter nobody knows is refused, and one that is given twice: a filter that is ignored shows
the wrong rows, and a gate that is asked about two symbols would answer for one.
May not name a parameter of any path.
"""

from __future__ import annotations

from http import HTTPStatus

from fastapi import Request
from pydantic import BaseModel, ConfigDict
from pydantic.alias_generators import to_camel

from recond.web.answers import Refused


class Asked(BaseModel):
    """The query of a request, in camelCase."""

    model_config = ConfigDict(alias_generator=to_camel, extra="forbid", frozen=True, use_attribute_docstrings=True)


async def once(request: Request) -> None:
    """Refuse (422) a query that names a parameter more than once."""
    names = [name for name, _ in request.query_params.multi_items()]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        errors = tuple(f"{name}: given more than once" for name in twice)
        hint = "Ask about one thing at a time."
        raise Refused(HTTPStatus.UNPROCESSABLE_ENTITY, "; ".join(errors), hint=hint, errors=errors)
