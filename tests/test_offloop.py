"""What many rows are worked on and let go of in."""

from __future__ import annotations

import threading

import pytest

from recond.offloop import SMALL, let_go, off_loop


class Row:
    """Something that says where it was freed."""

    def __init__(self, freed_in: list[int]) -> None:
        self._freed_in = freed_in

    def __del__(self) -> None:
        self._freed_in.append(threading.get_ident())


@pytest.mark.parametrize(("size", "here"), [(SMALL - 1, True), (SMALL, False)])
async def test_many_rows_are_worked_on_in_a_thread(size: int, here: bool) -> None:
    """Few are worked on at once, many beside the event loop; the rule gets its arguments either way."""
    where, said = await off_loop(size, lambda *args, **kwargs: (threading.get_ident(), (args, kwargs)), 1, b=2)
    assert (where == threading.get_ident()) is here
    assert said == ((1,), {"b": 2})


@pytest.mark.parametrize(("size", "here"), [(SMALL - 1, True), (SMALL, False)])
async def test_many_rows_are_freed_in_a_thread(size: int, here: bool) -> None:
    """The list is empty afterwards, and freeing what only it referred to was not the event loop's work."""
    freed_in: list[int] = []
    kept = Row(freed_in)
    spent: list[object] = [kept, *(Row(freed_in) for _ in range(size - 1))]
    await let_go(spent)
    assert spent == []
    assert len(freed_in) == size - 1
    assert (set(freed_in) == {threading.get_ident()}) is here
