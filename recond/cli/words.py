"""Answers of the daemon as sentences and tables.

Owns how each looks on a terminal. Numbers are the text that was sent, so that no digit is lost.
May not ask anything, or let a text from outside steer the terminal.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

POSITION = (
    "account symbol strategyId quantity entryPrice currentPrice marketValue unrealizedPl status source lastSyncedAt"
)
RUN = "id account startedAt trigger status brokerPositions dbPositions synced added removed conflicts pending error"
CONFLICT = (
    "id account symbol kind cause brokerQuantity ledgerQuantity resolution openedAt sightings resolvedAt resolvedBy"
)
HOLD = "id account symbol brokerQuantity ledgerQuantity openedAt endedAt endedBy reason"
ACCOUNT = "account environment brokerAccountId lastSeen status gate repins"
_DRIFT = "symbol kind cause brokerQuantity ledgerQuantity resolution explanation"
_CORRECTION = "id positionId symbol strategyId before after cause proven laterCause laterExplanation"
_WOULD_BE = "symbol strategy before after cause wouldBe explanation"
_LINES = 50
_NUMBER = re.compile(r"-|-?[0-9]+(\.[0-9]+)?")


def status(answer: Mapping[str, Any], url: str) -> str:
    """All that is known now."""
    every_s = int(answer["interval"]) // 1000
    lines = [f"recond {answer['version']} at {url}, a pass every {every_s} s"]
    lines += [f"warning: {text(warning)}" for warning in answer["warnings"]]
    for account in answer["accounts"]:
        lines += ["", f"{account['account']} (user {account['userId']}, {account['environment']})"]
        lines += [f"  gate          {account['gate']['state']}", *_reasons(account["gate"], "                {text}")]
        last, age_ms, broker = account["lastRun"], account["lastSuccessAgeMs"], account["brokerAccount"]
        lines.append(f"  last pass     {sentence(last, account, account['openConflicts']) if last else 'none yet'}")
        lines.append(f"  last success  {'none yet' if age_ms is None else f'{int(age_ms) // 1000} s ago'}")
        lines.append(f"  stream        {text(account['stream'])}")
        if broker:
            lines.append(f"  broker        {text(broker['status'])}, equity {text(broker['equity'])}")
        lines += [f"  {line}" for line in matters(account, account["openConflicts"])]
    return "\n".join(lines)


def sentence(answer: Mapping[str, Any], found: Mapping[str, Any], conflicts: Sequence[object]) -> str:
    """A pass in a sentence: its figures, and how much is in the lists of what it found."""
    ended = f"{answer['account']}: {answer['status']} at {text(answer['timestamp'])}"
    if answer["error"]:
        hint = text(answer["error"]["hint"])
        return f"{ended}: {text(answer['error']['message'])}{f' ({hint})' if hint else ''}"
    skipped = ", no new pass since the last success is recent" if answer.get("skipped") else ""
    return (
        f"{ended}, run {answer['runId']}{skipped}: broker {text(answer['brokerPositions'])} positions, "
        f"ledger {text(answer['dbPositions'])}; {answer['synced']} agree, {answer['added']} opened, "
        f"{answer['removed']} closed, {len(conflicts)} in conflict, {len(found['pending'])} pending, "
        f"{len(found['unreadable'])} unreadable, {len(found['holds'])} held; total value {text(answer['totalValue'])}"
    )


def matters(found: Mapping[str, Any], conflicts: Sequence[Mapping[str, Any]]) -> list[str]:
    """A line for everything that does not simply agree, up to a number that can be read."""
    lines = [
        f"conflict {text(c['id'])}: {_sides(c)}, {c['cause']}; "
        f"{'resolved: ' + text(c['resolvedBy'] or c['resolution']) if c['resolved'] else 'open'}"
        for c in conflicts
    ]
    lines += [f"hold {text(h['id'])}: {_sides(h)}: {text(h['reason'])}" for h in found["holds"]]
    lines += [
        f"accepted by {text(a['by'])}: {_sides(a)}, a difference of {a['difference']}{_noted(a)}"
        for a in found.get("accepted", ())
    ]
    lines += [f"unreadable: {text(u['symbol'])}: {text(u['problem'])}" for u in found["unreadable"]]
    lines += [f"pending: {_sides(p)}: {text(p['why'])}" for p in found["pending"]]
    more = [f"... and {len(lines) - _LINES} more; --json shows all"] if len(lines) > _LINES else []
    return lines[:_LINES] + more


def _sides(entry: Mapping[str, Any]) -> str:
    return f"{text(entry['symbol'])} broker {text(entry['brokerQty'])}, ledger {text(entry['dbQty'])}"


def state(row: Mapping[str, Any]) -> str:
    """A conflict, a hold or an account, as the ledger has it now, on one line."""
    if "name" in row:
        return f"account {text(row['name'])}, kept for {text(row['brokerAccountId'])}"
    sides = f"{text(row['symbol'])} broker {row['brokerQuantity']}, ledger {row['ledgerQuantity']}"
    if "reason" in row:
        ended = f"ended at {text(row['endedAt'])}: {text(row['endedBy'])}" if row["endedAt"] else "open"
        return f"hold {row['id']}: {sides}: {text(row['reason'])}; {ended}"
    ended = f"ended at {text(row['resolvedAt'])}: {text(row['resolvedBy'])}" if row["resolvedAt"] else "open"
    return f"conflict {row['id']}: {sides}, {text(row['cause'])} ({text(row['explanation'])}); {ended}"


def history(answer: Mapping[str, Any]) -> str:
    """Each change, newest first, with what made it and the evidence behind that below it."""
    lines: list[str] = []
    for change in answer["items"]:
        whose = "unattributed" if change["strategyId"] is None else text(change["strategyId"])
        lines.append(
            f"{text(change['at'])}  {text(change['symbol'])} {whose}: {change['before']} -> {change['after']}"
            f"  ({text(change['account'])}, row {change['positionId']}, change {change['seq']})"
        )
        lines += [f"    {line}" for line in _behind(change)]
    more = [f"{len(answer['items'])} of {answer['total']}; --limit shows more"] if answer["next"] else []
    return "\n".join([*(lines or ["none"]), *more])


def _behind(change: Mapping[str, Any]) -> list[str]:
    if change["who"] != "recond":
        return ["by the platform"]
    known = "" if change["proven"] else ", suspected"
    undone = "".join(f", undoing correction {each}" for each in change["reverses"])
    made = f"correction {change['correctionId']} of run {change['runId']} ({text(change['trigger'])})"
    lines = [f"by recond: {made}: {text(change['cause'])}{known}{undone}"]
    lines += [text(change["explanation"])] if change["explanation"] else []
    lines += [f"{text(change['laterCause'])}, {text(change['laterExplanation'])}"] if change["laterCause"] else []
    lines += [f"execution {_words(e, 'quantity price at orderId clientOrderId')}" for e in change["executions"]]
    lines += [f"activity {_words(a, 'type subType quantity symbol at id')}" for a in change["activities"]]
    return lines


def _words(entry: Mapping[str, Any], names: str) -> str:
    return " ".join(text(entry[name]) for name in names.split())


def accounts(answer: Mapping[str, Any]) -> str:
    """The accounts that have a book, and what their keys opened when they were last the right ones."""
    rows = [
        {**account, "lastSeen": (account["brokerAccount"] or {}).get("id"), "status": _standing(account)}
        for account in answer["items"]
    ]
    faults = [
        f"{text(account['account'])}: {text(account['error']['message'])}\n  {text(account['error']['hint'])}"
        for account in answer["items"]
        if account["error"]
    ]
    return "\n".join([_table(rows, ACCOUNT), *faults])


def _standing(account: Mapping[str, Any]) -> str | None:
    broker = account["brokerAccount"]
    return "not configured" if not account["configured"] else broker["status"] if broker else None


def repinned(answer: Mapping[str, Any]) -> str:
    """What came of pinning an account anew."""
    to = text(answer["now"]) if answer["now"] else "whatever its keys open next"
    return (
        f"{text(answer['account'])}: kept for {text(answer['was'])} until now, and for {to} from now on; run"
        f" {answer['runId']} closed {answer['closed']} rows and ended {answer['conflicts']} conflicts and"
        f" {answer['holds']} holds"
    )


def dry_run(answer: Mapping[str, Any]) -> str:
    """What a pass would do."""
    return "\n".join(
        [
            f"a dry run, nothing was changed: {sentence(answer, answer, answer['conflicts'])}",
            *matters(answer, answer["conflicts"]),
            *(f"would hold {text(d['symbol'])}: {text(d['hold'])}" for d in answer["drifts"] if d["hold"]),
            *(
                f"would leave {text(d['symbol'])} to an operator ({d['wouldBe']}): {text(d['explanation'])}"
                for d in answer["drifts"]
                if d["resolution"] == "manual" and not d["hold"]
            ),
            "",
            "would correct:",
            _table(answer["corrections"], _WOULD_BE),
        ]
    )


def _noted(entry: Mapping[str, Any]) -> str:
    return f" ({text(entry['note'])})" if entry["note"] else ""


def gate(answer: Mapping[str, Any]) -> str:
    """The answer, and what speaks against trading."""
    return "\n".join([answer["state"], *_reasons(answer, "  {account}: {text}")])


def _reasons(gate: Mapping[str, Any], form: str) -> list[str]:
    return [form.format_map({name: text(value) for name, value in reason.items()}) for reason in gate["reasons"]]


def run(answer: Mapping[str, Any]) -> str:
    """One recorded pass with what it found and changed."""
    lists = {"drifts": _DRIFT, "corrections": _CORRECTION}
    lines = [f"{name:<16} {text(value)}" for name, value in answer.items() if name not in lists and value is not None]
    for name, columns in lists.items():
        lines += ["", f"{name}:", _table(answer[name], columns)]
    return "\n".join(lines)


def simulated(rest_url: str, stream_url: str, key: str, secret: str) -> str:
    """Where a simulated Alpaca is, and how to use it."""
    return f"""\
A simulated Alpaca answers at {rest_url} (stream: {stream_url}) until Ctrl-C.

Its account, for recond's config.toml:

[[accounts]]
name = "simulated"
user_id = 1
rest_url = "{rest_url}"
stream_url = "{stream_url}"

and for the environment of recond and of bots:

export ALPACA_API_KEY={key}
export ALPACA_SECRET_KEY={secret}

Make something happen:

curl -d '{{"symbol": "AAPL", "side": "buy", "qty": 5}}' {rest_url}/control/trade
curl -d '{{"endpoint": "positions", "kind": "hang", "count": 1}}' {rest_url}/control/fault
curl -d '{{}}' {rest_url}/control/clear
curl {rest_url}/control     # accounts, faults, and all operations
"""


def page(answer: Mapping[str, Any], columns: str) -> str:
    """The rows of a page in these columns."""
    rows = answer["items"]
    more = f"\n{len(rows)} of {answer['total']}; --limit shows more" if answer["next"] else ""
    return _table(rows, columns) + more


def _table(rows: Sequence[Mapping[str, Any]], columns: str) -> str:
    """Aligned columns, those of numbers to the right; "none" without rows."""
    if not rows:
        return "none"
    cells = [columns.split(), *([text(row.get(column)) for column in columns.split()] for row in rows)]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    right = [all(_NUMBER.fullmatch(cell) for cell in column[1:]) for column in zip(*cells, strict=True)]
    return "\n".join(
        "  ".join(
            cell.rjust(width) if to_right else cell.ljust(width)
            for cell, width, to_right in zip(line, widths, right, strict=True)
        ).rstrip()
        for line in cells
    )


def text(value: object) -> str:
    """A value on one line; "-" for null. What could steer the terminal is shown as "?"."""
    text = "-" if value is None else str(value).lower() if isinstance(value, bool) else str(value)
    return "".join(character if character.isprintable() else "?" for character in text)
