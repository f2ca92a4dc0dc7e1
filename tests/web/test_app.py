"""The OpenAPI document says what is true: every path answers, in the form that is written there."""

from __future__ import annotations

import asyncio
import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from recond.core.model import AccountState, Hold
from recond.core.run import RunStatus
from tests.web.house import COIN, NOW, Answer, House, a_conflict, a_failed_run, a_pending, house
from tests.web.test_listings import recorded

TYPES = {
    "string": str,
    "integer": int,
    "number": int | Decimal,
    "boolean": bool,
    "array": list,
    "object": dict,
    "null": type(None),
}


def misfits(value: Any, schema: dict[str, Any], document: dict[str, Any], where: str = "$") -> list[str]:
    """Where a value is not as the schema says; knows the keywords that the document uses, and refuses others."""
    if "$ref" in schema:
        return misfits(value, document["components"]["schemas"][schema["$ref"].rpartition("/")[2]], document, where)
    if "anyOf" in schema:
        found = [misfits(value, option, document, where) for option in schema["anyOf"]]
        return [] if [] in found else [f"{where}: none of {len(found)} forms: {found}"]
    known = {"type", "properties", "required", "additionalProperties", "items", "enum", "const", "default"}
    assert set(schema) <= known | {"title", "description", "format"}, schema
    if "const" in schema or "enum" in schema:
        return [] if value in schema.get("enum", [schema.get("const")]) else [f"{where}: {value!r}"]
    kind = schema["type"]
    if not isinstance(value, TYPES[kind]) or (isinstance(value, bool) and kind != "boolean"):
        return [f"{where}: {value!r} is no {kind}"]
    wrong = []
    if kind == "array":
        for index, entry in enumerate(value):
            wrong += misfits(entry, schema["items"], document, f"{where}[{index}]")
    if kind == "object" and schema.get("additionalProperties") is not True:
        properties = schema["properties"]
        wrong += [f"{where}: no {name}" for name in schema.get("required", []) if name not in value]
        wrong += [f"{where}: {name} is not described" for name in value if name not in properties]
        for name, entry in value.items():
            wrong += misfits(entry, properties.get(name, {"type": "null"}), document, f"{where}.{name}")
    return wrong


async def filled(at: House) -> None:
    """Something of every kind, in the ledger and in memory."""
    await recorded(at)
    at.make(
        status=RunStatus.PARTIAL,
        carried_conflicts=(a_conflict(broker_value=Decimal(1)),),
        carried_holds=(Hold(3, COIN, "vanished", Decimal(0), Decimal(1), NOW),),
        pending=(a_pending(COIN),),
        account_state=AccountState(id="a", status="ACTIVE", equity=Decimal("0.1"), trading_blocked=False),
    )


@pytest.fixture(name="document")
async def read_document(tmp_path: Path) -> dict[str, Any]:
    """The document as it is served."""
    (tmp_path / "other").mkdir()
    async with house(tmp_path / "other") as at:
        served: dict[str, Any] = json.loads((await at.ask("/api/openapi.json")).body)
        return served


def fits(answer: Answer, operation: dict[str, Any], document: dict[str, Any]) -> list[str]:
    """What of an answer is not as the operation says."""
    described = operation["responses"].get(str(answer.status), operation["responses"]["default"])
    if answer.type not in described["content"]:
        return [f"{answer.status} came as {answer.type}"]
    value = answer.json if "json" in answer.type else answer.body.decode()
    return misfits(value, described["content"][answer.type]["schema"], document)


async def test_every_path_answers_as_described(tmp_path: Path, document: dict[str, Any]) -> None:
    """With something of every kind to show, and with nothing, each answer is as its schema says, field by field."""
    async with house(tmp_path) as at:
        for fill in (False, True):
            if fill:
                await filled(at)
            for path, operations in document["paths"].items():
                for method, operation in operations.items():
                    if "requestBody" in operation:
                        continue  # what an operator decides: see test_deciding
                    target = path.replace("{id}", "1")
                    asking = asyncio.create_task(at.ask(target, method.upper()))
                    if path.endswith("/reconcile"):
                        await at.asked()
                        at.make(added=1) if fill else at.status.record(a_failed_run(at.triggers["swing"].take()[0]))
                    answer = await asking
                    assert answer.status in ({200, 409} if fill else {200, 404, 503}), path
                    assert fits(answer, operation, document) == [], path


async def test_refusals_are_as_described(tmp_path: Path, document: dict[str, Any]) -> None:
    """Every parameter out of its described bounds, and every missing token, is problem details as described."""
    async with house(tmp_path, token="0123456789abcdef") as at:
        for path, operations in document["paths"].items():
            for method, operation in operations.items():
                answer = await at.ask(path.replace("{id}", "1"), method.upper())
                assert answer.status == (200 if {"token": []} not in operation["security"] else 401)
                assert fits(answer, operation, document) == []
    (tmp_path / "open").mkdir()
    async with house(tmp_path / "open") as at:
        for path, operations in document["paths"].items():
            method, operation = next(iter(operations.items()))
            for parameter in operation.get("parameters", []):
                for form in (parameter["schema"], *parameter["schema"].get("anyOf", [])):
                    bad = [form[bound] + step for bound, step in (("minimum", -1), ("maximum", 1)) if bound in form]
                    for value in bad:
                        target = path.replace("{id}", str(value if parameter["in"] == "path" else 1))
                        answer = await at.ask(target, method.upper(), params={parameter["name"]: str(value)})
                        assert answer.status == 422, (path, parameter["name"], value)
                        assert fits(answer, operation, document) == []


async def test_the_document_covers_the_contract(document: dict[str, Any]) -> None:
    """Every path of the public contract is described, each operation under a name of its own."""
    assert set(document["paths"]) == {
        "/api/positions/reconcile",
        "/api/positions/reconciliation-status",
        "/api/positions",
        "/api/runs",
        "/api/runs/{id}",
        "/api/corrections",
        "/api/conflicts",
        "/api/conflicts/{id}",
        "/api/conflicts/{id}/resolve",
        "/api/holds",
        "/api/holds/{id}",
        "/api/holds/{id}/accept",
        "/api/decisions",
        "/api/accepted",
        "/api/accounts",
        "/api/accounts/{name}/repin",
        "/api/history",
        "/api/gate",
        "/healthz",
        "/readyz",
        "/metrics",
    }
    names = [operation["operationId"] for path in document["paths"].values() for operation in path.values()]
    assert len(names) == len(set(names))
