"""Causes: no more is claimed than the evidence proves."""

from __future__ import annotations

import pytest

from recond.core.explain import explain
from recond.core.model import Baseline, Cause
from tests.core.strategies import NOW, drift_of, row

DRIFT = drift_of("AAPL", 7, row("AAPL", 3))
BASELINE = Baseline(DRIFT.instrument, DRIFT.broker - 5, DRIFT.ledger + 1, None, NOW)


def test_what_is_found_at_first_contact_is_adopted() -> None:
    """Before the account was ever settled, a position without baseline is no news to anybody."""
    assert explain(DRIFT, None, adopted=False).cause is Cause.ADOPTION


@pytest.mark.parametrize("adopted", [True, False])
def test_what_moved_since_an_agreement_is_unexplained_and_told_in_figures(adopted: bool) -> None:
    """With a baseline the text says when both agreed on what, and which side has moved by how much since."""
    explanation = explain(DRIFT, BASELINE, adopted)
    assert explanation.cause is Cause.UNEXPLAINED
    assert "agreement at 2 (2026-01-02 03:04:05 UTC)" in explanation.text
    assert "broker moved by 5, the ledger by -1" in explanation.text


def test_new_in_a_settled_account_is_unexplained() -> None:
    """Once settled, an instrument never seen before is not adopted in silence."""
    assert explain(DRIFT, None, adopted=True).cause is Cause.UNEXPLAINED
