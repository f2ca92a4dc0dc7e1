"""Every error is problem details, and shows nothing that an operator has no use for."""

from __future__ import annotations

from pathlib import Path

from tests.web.house import house


class Buggy:
    """A ledger with a bug in it."""

    async def list(self, query: object) -> object:
        """Raise what nobody foresaw."""
        raise RuntimeError("secret detail")


async def test_there_is_nothing_where_nothing_is(tmp_path: Path) -> None:
    """Unknown paths are 404, FastAPI's own pages and a slash too many among them."""
    async with house(tmp_path) as at:
        for path in ("/nothing", "/docs", "/redoc", "/openapi.json", "/api/runs/", "//healthz"):
            answer = await at.ask(path)
            assert (answer.status, answer.type) == (404, "application/problem+json"), path
            assert (answer.json["status"], answer.json["title"]) == (404, "Not Found")
            assert "openapi" in answer.json["hint"]


async def test_a_method_that_is_not_possible_says_which_are(tmp_path: Path) -> None:
    """405 names every method of the path."""
    async with house(tmp_path) as at:
        for path, allow in (("/api/positions/reconcile", "GET, HEAD, POST"), ("/healthz", "GET, HEAD")):
            answer = await at.ask(path, "PUT")
            assert (answer.status, answer.type, answer.headers["Allow"]) == (405, "application/problem+json", allow)


async def test_all_faults_of_a_request_are_named_at_once(tmp_path: Path) -> None:
    """Each on its own in `errors`."""
    async with house(tmp_path) as at:
        answer = await at.ask("/api/positions?limit=0&offset=x&colour=red")
        assert answer.status == 422
        assert [error.partition(":")[0] for error in answer.json["errors"]] == ["limit", "offset", "colour"]


async def test_a_bug_shows_no_traceback(tmp_path: Path) -> None:
    """What nobody foresaw is a plain 500, and the server goes on."""
    async with house(tmp_path, ledger=Buggy()) as at:  # type: ignore[arg-type]
        answer = await at.ask("/api/positions")
        assert (answer.status, answer.type) == (500, "application/problem+json")
        assert b"secret detail" not in answer.body
        assert b"Traceback" not in answer.body
        assert (await at.ask("/healthz")).status == 200


async def test_head_is_get_without_a_body(tmp_path: Path) -> None:
    """HEAD has GET's status and headers, length included."""
    async with house(tmp_path) as at:
        for path in ("/healthz", "/readyz", "/api/runs", "/metrics", "/api/openapi.json", "/api/gate"):
            get, head = await at.ask(path), await at.ask(path, "HEAD")
            assert (head.status, head.body) == (get.status, b""), path
            assert head.headers["Content-Length"] == str(len(get.body))
            assert head.headers["Content-Type"] == get.headers["Content-Type"]
