"""A configuration at fault is refused at once and as a whole."""

from __future__ import annotations

from pathlib import Path

from tests.end_to_end.process import RUN, Child, Setting

EXIT_CONFIG = 78


async def test_every_fault_is_named_and_the_code_is_78(tmp_path: Path) -> None:
    """All faults are told at once, each with its key and value; nothing is started and no ledger is made."""
    config = tmp_path / "config.toml"
    config.write_text(
        '[daemon]\ninterval = "5 minutes"\nsetle = "3s"\nlog_level = 7\n'
        '[ledger]\npath = "made.db"\njournal = "off"\n'
        '[http]\nlisten = "0.0.0.0:5000"\n'
        '[[accounts]]\nname = "Swing"\nenvironment = "demo"\nsecret_key = "tellnobody"\n'
    )
    child = Child((*RUN, str(config)), tmp_path, Setting(tmp_path).variables())
    try:
        code = await child.ended()
    finally:
        child.kill()

    assert code == EXIT_CONFIG
    for fault in (
        'daemon.interval = "5 minutes"',
        'did you mean "settle"',
        "daemon.log_level = 7",
        'ledger.journal = "off"',
        "http.listen",
        'accounts[0].name = "Swing"',
        "accounts[0].user_id: required",
        'environment = "demo"',
        "accounts[0].secret_key",
        str(config),
    ):
        assert fault in child.text, fault
    assert "tellnobody" not in child.text
    assert "Traceback" not in child.text
    assert not (tmp_path / "made.db").exists()


async def test_missing_keys_are_a_fault_of_the_configuration(tmp_path: Path) -> None:
    """Without keys recond ends with 78 and names the places where it looked."""
    setting = Setting(tmp_path)
    child = Child((*RUN, str(setting.write())), tmp_path, setting.variables())
    try:
        code = await child.ended()
    finally:
        child.kill()

    assert code == EXIT_CONFIG
    assert "keys of account default" in child.text
    assert "$DEFAULT_KEY" in child.text
    assert "Traceback" not in child.text
