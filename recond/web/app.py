"""The application: every path behind the guard, and the document that describes them.

Owns how the parts are put together, and the OpenAPI document.
May not answer anything itself.
"""

from __future__ import annotations

from typing import Any

from fastapi import Depends, FastAPI
from pydantic.alias_generators import to_camel

import recond
from recond.web import accounts, answers, deciding, known, listings, reconcile
from recond.web.asked import once
from recond.web.bodies import ExactRoute
from recond.web.guard import OPEN_PATHS, Guard
from recond.web.shapes import Problem
from recond.web.site import Site


def application(site: Site, *, hosts: frozenset[str], token: str | None) -> FastAPI:
    """The ASGI application; `hosts` are the only ones it answers for."""
    app = _Described(
        title="recond",
        version=recond.__version__,
        summary="Keeps a trading platform's position ledger true to what its Alpaca account really holds.",
        openapi_url="/api/openapi.json",
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
        generate_unique_id_function=lambda route: to_camel(route.name),
        dependencies=[Depends(once)],
        responses={"default": {"model": Problem, "description": "Any error."}},
    )
    app.router.route_class = ExactRoute
    for part in (reconcile, known, listings, deciding, accounts):
        part.add_paths(app, site)
    answers.install(app)
    app.add_middleware(Guard, hosts=hosts, token=token)
    app.openapi()  # now: it takes longer than the event loop may be kept from its other work
    return app


class _Described(FastAPI):
    """FastAPI, but its document says what errors are sent as, and how to show the token."""

    def openapi(self) -> dict[str, Any]:
        """The document; made once."""
        if self.openapi_schema is None:
            document = super().openapi()
            for path, operations in document["paths"].items():
                for operation in operations.values():
                    content = operation["responses"]["default"]["content"]
                    schema = next(iter(content.values()))
                    operation["responses"]["default"]["content"] = {"application/problem+json": schema}
                    operation["security"] = [{}] if path in OPEN_PATHS else [{}, {"token": []}]
            schemes = document["components"].setdefault("securitySchemes", {})
            schemes["token"] = {"type": "http", "scheme": "bearer", "description": "Needed when one is set."}
        return super().openapi()
