"""Where the daemon is found, from what an operator has set."""

from __future__ import annotations

from pathlib import Path

import pytest

from recond.cli.asking import Misconfigured, find_daemon


def test_an_address_everywhere_is_asked_on_this_machine(tmp_path: Path) -> None:
    """A daemon that listens everywhere is asked over loopback; without `listen` it is where the default says."""
    config = tmp_path / "config.toml"
    for written, url in (
        ('[http]\nlisten = "0.0.0.0:5001"', "http://127.0.0.1:5001"),
        ('[http]\nlisten = "[::]:5001"', "http://[::1]:5001"),
        ('[http]\nlisten = "10.0.0.5:5001"', "http://10.0.0.5:5001"),
        ("[daemon]\ninterval = 5", "http://127.0.0.1:5000"),
    ):
        config.write_text(written)
        assert find_daemon(config, None, {}) == (url, None)


def test_a_url_is_taken_before_any_file(tmp_path: Path) -> None:
    """With a URL no file is read; a token from the environment goes with it."""
    given = find_daemon(tmp_path / "missing.toml", "https://recond.lan", {"RECOND_TOKEN": " t "})
    assert given == ("https://recond.lan", "t")
    for wrong in ("recond.lan:5000", "http://[::1", "http://", "http://recond.lan:port", "http://recond.lan:99999"):
        with pytest.raises(Misconfigured):
            find_daemon(None, wrong, {})


@pytest.mark.parametrize("written", ["[http", "[http]\nlisten = 5", '[http]\nlisten = "here"', "http = 1", b"\xff"])
def test_a_file_that_does_not_say_is_refused(tmp_path: Path, written: str | bytes) -> None:
    """A file that is broken or has no usable `listen` is a fault of the configuration, not a crash."""
    config = tmp_path / "config.toml"
    config.write_bytes(written if isinstance(written, bytes) else written.encode())
    with pytest.raises(Misconfigured) as caught:
        find_daemon(config, None, {})
    assert str(config) in caught.value.message
    assert caught.value.exit_code == 78
