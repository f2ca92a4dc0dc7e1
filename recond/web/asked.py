"""What all requests have in common in their query.

Owns the rule that a parameter nobody knows is refused: a misspelt filter that is ignored shows the wrong rows.
May not name a parameter of any path.
"""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict
from pydantic.alias_generators import to_camel


class Asked(BaseModel):
    """The query of a request, in camelCase."""

    model_config = ConfigDict(alias_generator=to_camel, extra="forbid", frozen=True, use_attribute_docstrings=True)
