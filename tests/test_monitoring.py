"""The alerts: complete, tested both ways, and accepted by Prometheus' own tool."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
RULES = {
    chunk.split("\n", 1)[0]: chunk
    for chunk in (ROOT / "monitoring" / "alerts.yml").read_text(encoding="utf-8").split("- alert: ")[1:]
}
CASES = (ROOT / "monitoring" / "alerts_test.yml").read_text(encoding="utf-8")


def test_there_are_the_alerts_that_the_design_asks_for() -> None:
    """Not running, no success, blocked, failing, drift, conflict, open conflict and open hold each have one."""
    assert set(RULES) == {
        "RecondNotRunning",
        "RecondNoSuccess",
        "RecondAccountBlocked",
        "RecondPassesFailing",
        "RecondDriftFound",
        "RecondConflictFound",
        "RecondConflictOpen",
        "RecondHoldOpen",
    }


@pytest.mark.parametrize("name", RULES)
def test_an_alert_tells_what_to_do(name: str) -> None:
    """Each has a severity, a summary, a description, and a link to its own heading in the README's runbook."""
    rule = RULES[name]
    assert re.search(r"severity: (critical|warning)$", rule, re.MULTILINE)
    assert re.search(r"summary: \S.*\.$", rule, re.MULTILINE)
    assert "description: >-" in rule
    assert f"runbook_url: https://github.com/recond/recond#{name.lower()}\n" in f"{rule}\n"
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    assert re.search(rf"^#+ {name}$", readme, re.MULTILINE)


@pytest.mark.parametrize("name", RULES)
def test_an_alert_is_tested_both_ways(name: str) -> None:
    """Each has a case in which it fires and one in which it keeps still."""
    assert re.search(rf"alertname: {name}\n\s+exp_alerts:\n", CASES)
    assert f"alertname: {name}}}" in CASES


@pytest.mark.parametrize("word", ["adoption", "split", "crypto_fee"])
def test_what_is_no_news_is_in_the_quiet_case(word: str) -> None:
    """Adoption, a proven split and a fee are among the inputs of the case in which nothing fires."""
    quiet = CASES.split("- name: ")[1]
    assert f'cause="{word}"' in quiet
    assert "exp_alerts" not in quiet


@pytest.mark.skipif(shutil.which("promtool") is None, reason="promtool is not installed")
def test_promtool_runs_the_cases() -> None:
    """`promtool check rules` and `promtool test rules` are content."""
    done = subprocess.run([ROOT / ".ci" / "monitoring"], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
