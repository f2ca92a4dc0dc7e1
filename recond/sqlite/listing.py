"""Rows of the ledger for people and bots to look at, filtered and paged.

Owns which columns each collection shows, which of them are numbers, and what it can be filtered by.
May not change anything, or take a column's name from outside into a statement.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

import aiosqlite

from recond.ports import Collection, Page, Query
from recond.sqlite.auditing import CHANGES, CORRECTIONS, HISTORY, with_evidence
from recond.sqlite.connection import Value, fetch
from recond.sqlite.text import parse_money


@dataclass(frozen=True, slots=True)
class _Shelf:
    """How a collection is shown; `states` maps what `status` can be asked for to a condition.

    `joined` are filters whose columns hold several words with a plus between them, any of which may be asked for.
    `table` is what its rows are taken from, unless it has the collection's name.
    """

    columns: tuple[str, ...]
    numbers: frozenset[str]
    filters: frozenset[str]
    flags: frozenset[str] = frozenset()
    lists: frozenset[str] = frozenset()
    joined: frozenset[str] = frozenset()
    states: Mapping[str, str] = field(default_factory=dict)
    order: str = "id DESC"
    table: str = ""
    account: str = "account"


def _words(text: str) -> tuple[str, ...]:
    return tuple(text.split())


_SIDES = "broker_quantity ledger_quantity"
_SHELVES = MappingProxyType(
    {
        Collection.POSITIONS: _Shelf(
            columns=_words(
                "id account user_id strategy_id symbol asset_class asset_id side quantity entry_price current_price"
                " market_value unrealized_pl unrealized_plpc status source opened_at closed_at close_reason"
                " last_synced_at version moved_at"
            ),
            numbers=frozenset(_words("quantity entry_price current_price market_value unrealized_pl unrealized_plpc")),
            filters=frozenset(_words("symbol status strategy_id source user_id")),
            order="symbol, strategy_id, id",
        ),
        Collection.RUNS: _Shelf(
            columns=_words(
                "id account user_id sequence trigger started_at finished_at duration_s status broker_positions"
                " db_positions synced added removed conflicts holds pending unknown total_value error hint"
            ),
            numbers=frozenset({"total_value"}),
            filters=frozenset(_words("status trigger user_id")),
            joined=frozenset({"trigger"}),
        ),
        Collection.CONFLICTS: _Shelf(
            columns=_words(
                f"id account symbol asset_class kind cause explanation {_SIDES} broker_value ledger_value resolution"
                " opened_at last_seen_at sightings resolved_at resolved_by note"
            ),
            numbers=frozenset(_words(f"{_SIDES} broker_value ledger_value")),
            filters=frozenset(_words("symbol asset_class kind cause resolution")),
            states={"open": "resolved_at IS NULL", "resolved": "resolved_at IS NOT NULL"},
        ),
        Collection.CORRECTIONS: _Shelf(
            columns=_words(
                "id run_id position_id version account symbol asset_class strategy_id action before after cause proven"
                " reverses at later_cause later_explanation"
            ),
            numbers=frozenset(_words("before after")),
            flags=frozenset({"proven"}),
            lists=frozenset({"reverses"}),
            filters=frozenset(_words("symbol run_id position_id strategy_id action cause")),
            table=CORRECTIONS,
        ),
        Collection.HOLDS: _Shelf(
            columns=_words(f"id account symbol asset_class reason {_SIDES} opened_at ended_at ended_by"),
            numbers=frozenset(_words(_SIDES)),
            filters=frozenset(_words("symbol asset_class reason")),
            states={"open": "ended_at IS NULL", "ended": "ended_at IS NOT NULL"},
        ),
        Collection.DRIFTS: _Shelf(
            columns=_words(f"id run_id account symbol asset_class kind cause {_SIDES} resolution explanation"),
            numbers=frozenset(_words(_SIDES)),
            filters=frozenset(_words("symbol run_id kind cause resolution")),
        ),
        Collection.DECISIONS: _Shelf(
            columns=_words(
                f"id account symbol asset_class conflict_id hold_id resolution {_SIDES} names_row strategy_id by note"
                " at ended_at outcome"
            ),
            numbers=frozenset(_words(_SIDES)),
            flags=frozenset({"names_row"}),
            filters=frozenset(_words("symbol asset_class conflict_id hold_id resolution by")),
            states={"open": "ended_at IS NULL", "ended": "ended_at IS NOT NULL"},
        ),
        Collection.ACCEPTED: _Shelf(
            columns=_words("account symbol asset_class difference at by note"),
            numbers=frozenset({"difference"}),
            filters=frozenset(_words("symbol asset_class by")),
            order="account, symbol",
        ),
        Collection.ACCOUNTS: _Shelf(
            columns=_words("name user_id environment broker_account_id adopted_at equity equity_at settled_at repins"),
            numbers=frozenset({"equity"}),
            filters=frozenset(_words("user_id environment")),
            order="name",
            account="name",
        ),
        Collection.HISTORY: _Shelf(
            columns=HISTORY,
            numbers=frozenset(_words("before after")),
            flags=frozenset({"proven"}),
            lists=frozenset({"reverses"}),
            filters=frozenset(_words("symbol strategy_id position_id")),
            order="seq DESC",
            table=CHANGES,
        ),
    }
)


async def list_page(connection: aiosqlite.Connection, query: Query) -> Page:
    """The page, within the transaction that is open. Raises `ValueError` for a filter that there is not."""
    shelf = _SHELVES[query.collection]
    where, values = _conditions(shelf, query)
    table = f"FROM {shelf.table or query.collection} {where}"
    [total] = await fetch(connection, f"SELECT count(*) {table}", values, int)

    def row(*columns: Value) -> Mapping[str, object]:
        return {name: _shown(shelf, name, value) for name, value in zip(shelf.columns, columns, strict=True)}

    rows = await fetch(
        connection,
        f"SELECT {', '.join(shelf.columns)} {table} ORDER BY {shelf.order} LIMIT ? OFFSET ?",
        (*values, query.limit, query.offset),
        row,
    )
    if query.collection is Collection.HISTORY:
        rows = await with_evidence(connection, rows)
    return Page(rows=tuple(rows), total=total)


def _conditions(shelf: _Shelf, query: Query) -> tuple[str, list[Value]]:
    """The WHERE clause and its parameters."""
    wanted: dict[str, Value] = {shelf.account: query.account, "id": query.id}
    if query.id is not None and "id" not in shelf.columns:
        raise ValueError(f"{query.collection}: its rows have no id")
    conditions = [f"{name} = ?" for name, value in wanted.items() if value is not None]
    values: list[Value] = [value for value in wanted.values() if value is not None]
    for name, value in query.filters.items():
        if name == "status" and shelf.states:
            if value not in shelf.states:
                raise ValueError(f"{query.collection}: status is one of {', '.join(shelf.states)}, not {value!r}")
            conditions.append(shelf.states[str(value)])
        elif name in shelf.filters:
            conditions.append(
                f"instr('+' || {name} || '+', '+' || ? || '+')" if name in shelf.joined else f"{name} = ?"
            )
            values.append(value)
        else:
            known = sorted(shelf.filters | ({"status"} if shelf.states else set()))
            raise ValueError(f"{query.collection}: no filter {name!r}; there are {', '.join(known)}")
    return f"WHERE {' AND '.join(conditions)}" if conditions else "", values


def _shown(shelf: _Shelf, name: str, value: Value) -> object:
    """The value as the port gives it."""
    if name in shelf.lists:
        return [] if value is None else json.loads(str(value))
    if name in shelf.flags:
        return None if value is None else bool(value)
    return parse_money(str(value)) if name in shelf.numbers and value is not None else value
