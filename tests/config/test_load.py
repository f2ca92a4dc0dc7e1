"""`config.toml` as shipped, and what is refused in one that is not right."""

from __future__ import annotations

import dataclasses
import re
import tomllib
from decimal import Decimal
from pathlib import Path

import pytest

from recond.config import Config, ConfigError, load, warnings
from recond.core.model import Cause, Resolution

SHIPPED = Path(__file__).parents[2] / "config.toml"


@pytest.fixture
def no_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A working directory without a config.toml."""
    monkeypatch.chdir(tmp_path)


def read(tmp_path: Path, text: str, environ: dict[str, str] | None = None) -> Config:
    """The configuration in a file with that text."""
    path = tmp_path / "config.toml"
    path.write_text(text, encoding="utf-8")
    return load(path, environ or {}, None)


def faults(tmp_path: Path, text: str, environ: dict[str, str] | None = None) -> dict[str, tuple[str | None, str]]:
    """Key → (value as written, what is expected) of everything refused in a file with that text."""
    with pytest.raises(ConfigError) as error:
        read(tmp_path, text, environ)
    assert error.value.hint
    return {fault.key: (fault.value, fault.expected) for fault in error.value.faults}


@pytest.mark.usefixtures("no_file")
def test_the_shipped_file_is_the_defaults() -> None:
    """Loading config.toml gives exactly what recond does without a file."""
    assert load(SHIPPED, {}, None) == load(None, {}, None)


def test_the_shipped_file_shows_every_key(tmp_path: Path) -> None:
    """Every key is in config.toml, those of an account as comments that load once uncommented."""
    text = SHIPPED.read_text(encoding="utf-8")
    shown = tomllib.loads(text)
    defaults = load(SHIPPED, {}, None)
    for name in ("daemon", "tolerance", "ledger", "http", "guards"):
        keys = {field.name.removesuffix("_s") for field in dataclasses.fields(getattr(defaults, name))}
        assert set(shown[name]) == keys - {"token"}
    head, example = text.split("# [[accounts]]\n")
    example = "[[accounts]]\n" + "\n".join(re.findall(r"^# (\w+ = .*)$", example, re.MULTILINE))
    keys = {field.name for field in dataclasses.fields(defaults.accounts[0])}
    assert set(tomllib.loads(example)["accounts"][0]) == keys - {"credentials"}
    account = read(tmp_path, head + example).accounts[0]
    assert (
        dataclasses.replace(account, key_env=None, secret_env=None)
        == read(tmp_path, '[[accounts]]\nname = "swing"\nuser_id = 1').accounts[0]
    )
    assert all(re.search(rf"\b{cause}\b", head) for cause in Cause)


@pytest.mark.usefixtures("no_file")
def test_without_a_file_there_is_one_paper_account() -> None:
    """No file, no keys: account `default` of user 1 on paper at Alpaca's addresses, without credentials."""
    (account,) = load(None, {}, None).accounts
    assert (account.name, account.user_id, account.environment) == ("default", 1, "paper")
    assert account.rest_url == "https://paper-api.alpaca.markets"
    assert account.stream_url == "wss://paper-api.alpaca.markets/stream"
    assert account.credentials is None


@pytest.mark.usefixtures("no_file")
@pytest.mark.parametrize(("value", "environment"), [("false", "live"), ("0", "live"), ("TRUE", "paper"), ("", "paper")])
def test_alpaca_paper_decides_for_the_account_from_the_environment(value: str, environment: str) -> None:
    """Only an outspoken no makes the account a live one."""
    (account,) = load(None, {"ALPACA_PAPER": value}, None).accounts
    assert account.environment == environment
    assert ("paper-" in account.rest_url) == (environment == "paper")


@pytest.mark.usefixtures("no_file")
def test_an_alpaca_paper_that_is_neither_is_refused() -> None:
    """`ALPACA_PAPER=maybe` is a fault: with real money nothing is guessed."""
    with pytest.raises(ConfigError, match=r'\$ALPACA_PAPER = "maybe": .*"true".*"false"'):
        load(None, {"ALPACA_PAPER": "maybe"}, None)


def test_the_first_place_wins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """--config is read before $RECOND_CONFIG, and that before ./config.toml."""
    monkeypatch.chdir(tmp_path)
    for name, seconds in (("config.toml", 1), ("variable.toml", 2), ("given.toml", 3)):
        (tmp_path / name).write_text(f'[daemon]\ninterval = "{seconds}s"')
    environ = {"RECOND_CONFIG": str(tmp_path / "variable.toml")}
    assert load(None, {}, None).daemon.interval_s == 1
    assert load(None, environ, None).daemon.interval_s == 2
    assert load(Path("given.toml"), environ, None).daemon.interval_s == 3
    assert load(Path("given.toml"), environ, None).source == Path("given.toml")


def test_everything_is_read(tmp_path: Path) -> None:
    """A full file arrives as typed values: seconds, exact decimals, canonical symbols, laid-over policies."""
    config = read(
        tmp_path,
        """
        [daemon]
        interval = "1h30m"
        confirm_after = "500ms"
        [tolerance]
        us_equity = 0.1
        crypto = 1e-12
        [http]
        listen = "[::1]:0"
        hosts = ["Recond.LAN:5000"]
        [guards]
        vanish_fraction = 0.3
        [policy]
        default = "manual"
        split = "use_broker"
        [[accounts]]
        name = "a"
        user_id = 7
        environment = "live"
        stream = false
        ignore = ["brk.b", "btc/usd", "BTCUSD"]
        strategies = { mean = "mean-", trend = "tr-" }
        policy = { split = "manual", fill = "use_broker" }
        [[accounts]]
        name = "b"
        user_id = 8
        rest_url = "http://127.0.0.1:8080"
        stream_url = "ws://localhost:8080/stream"
        """,
    )
    assert config.daemon.interval_s == 5400
    assert config.daemon.confirm_after_s == 0.5
    assert config.tolerance.us_equity == Decimal("0.1")
    assert config.tolerance.crypto == Decimal("0.000000000001")
    assert config.guards.vanish_fraction == Decimal("0.3")
    assert (config.http.host, config.http.port, config.http.hosts) == ("::1", 0, ("recond.lan:5000",))
    first, second = config.accounts
    assert (first.user_id, first.rest_url) == (7, "https://api.alpaca.markets")
    assert first.ignore == ("BRK.B", "BTCUSD")
    assert first.strategies == {"mean": "mean-", "trend": "tr-"}
    assert first.policy.default is Resolution.MANUAL
    assert first.policy.causes == {Cause.SPLIT: Resolution.MANUAL, Cause.FILL: Resolution.USE_BROKER}
    assert second.policy == config.policy
    assert (second.environment, second.stream) == ("paper", True)
    assert (second.rest_url, second.stream_url) == ("http://127.0.0.1:8080", "ws://localhost:8080/stream")


def test_all_faults_at_once(tmp_path: Path) -> None:
    """Faults in every table are listed together, each with its key, its value, and what is expected."""
    found = faults(
        tmp_path,
        """
        intervall = 3
        [deamon]
        [daemon]
        settle = "soon"
        intervall = "5m"
        [tolerance]
        us_equity = "1"
        [ledger]
        journal = "fast"
        [http]
        listen = "5000"
        [guards]
        vanish_min = 0
        [policy]
        splitt = "manual"
        fill = "use_db"
        [[accounts]]
        name = "Swing"
        environment = "papper"
        [[accounts]]
        name = "b"
        user_id = "1"
        [[accounts]]
        name = "b"
        user_id = 2
        secret_env = "B_SECRET"
        """,
    )
    assert {key: value for key, (value, _) in found.items()} == {
        "intervall": "3",
        "deamon": "a table",
        "daemon.settle": '"soon"',
        "daemon.intervall": '"5m"',
        "tolerance.us_equity": '"1"',
        "ledger.journal": '"fast"',
        "http.listen": '"5000"',
        "guards.vanish_min": "0",
        "policy.splitt": '"manual"',
        "policy.fill": '"use_db"',
        "accounts[0].name": '"Swing"',
        "accounts[0].environment": '"papper"',
        "accounts[0].user_id": None,
        "accounts[1:b].user_id": '"1"',
        "accounts[2:b].name": '"b"',
        "accounts[2:b].key_env": None,
    }
    assert found["daemon.intervall"][1] == 'unknown; did you mean "interval"?'
    assert found["deamon"][1] == 'unknown; did you mean "daemon"?'
    assert found["policy.splitt"][1] == 'unknown; did you mean "split"?'
    assert found["daemon.settle"][1].startswith('a duration from "0s" to "1h"')
    assert found["ledger.journal"][1] == 'one of "wal", "delete"'


@pytest.mark.parametrize(
    "text",
    [
        '[daemon]\ninterval = "0s"',
        '[daemon]\ninterval = "999ms"',
        '[daemon]\ninterval = "2d"',
        "[daemon]\ninterval = 300",
        '[daemon]\nsettle = "-1s"',
        '[daemon]\nlog_level = "INFO"',
        '[ledger]\nretention = "1h"',
        '[ledger]\npath = ""',
        '[ledger]\npath = "folder/"',
        "[tolerance]\ncrypto = nan",
        "[tolerance]\ncrypto = -0.1",
        "[tolerance]\ncrypto = true",
        "[guards]\nvanish_min = true",
        "[guards]\nvanish_fraction = 0",
        "[guards]\nvanish_fraction = 1.5",
        "[http]\nlisten = 5000",
        '[http]\nlisten = "127.0.0.1:70000"',
        '[http]\nhosts = "recond.lan"',
        '[http]\nhosts = ["http://recond.lan"]',
        "accounts = 3",
        "[accounts]\nuser_id = 3",
        "daemon = 3",
    ],
)
def test_what_is_out_of_bounds_is_refused_and_not_bent(tmp_path: Path, text: str) -> None:
    """A value outside its bounds or of another type is the one fault that is reported."""
    assert len(faults(tmp_path, text)) == 1


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("user_id", "0"),
        ("user_id", "true"),
        ("stream", '"yes"'),
        ("ignore", '["SPY", 3]'),
        ("strategies", '{ a = "x", b = "xy" }'),
        ("strategies", '{ a = "" }'),
        ("rest_url", '"http://alpaca.example"'),
        ("rest_url", '"https://api.alpaca.markets/"'),
        ("rest_url", '"https://api.alpaca.markets?x=1"'),
        ("rest_url", '"https://api.alpaca.markets:port"'),
        ("rest_url", '"wss://api.alpaca.markets"'),
        ("rest_url", '"api.alpaca.markets"'),
        ("stream_url", '"ws://stream.example/stream"'),
        ("key_credential", '"../key"'),
        ("name", "3"),
        ("name", '["a"]'),
        ("policy", '"manual"'),
        ("policy", '{ default = "use_db" }'),
    ],
)
def test_a_bad_account_key_is_refused(tmp_path: Path, key: str, value: str) -> None:
    """Each key of an account has its rule; plain http leads to this machine only, prefixes are distinct."""
    given = {"name": '"a"', "user_id": "1", key: value}
    text = "[[accounts]]\n" + "\n".join(f"{name} = {written}" for name, written in given.items())
    (fault,) = faults(tmp_path, text)
    assert re.fullmatch(rf"accounts\[0(:a)?\]\.{key}.*", fault)


def test_a_syntax_error_names_the_line(tmp_path: Path) -> None:
    """A file that is not TOML is refused with the file, the line and the column."""
    (fault,) = faults(tmp_path, '[daemon]\ninterval "5m"')
    assert fault.endswith("config.toml")
    with pytest.raises(ConfigError, match=r"at line 2, column 10"):
        load(tmp_path / "config.toml", {}, None)


def test_a_file_that_is_named_must_be_there(tmp_path: Path) -> None:
    """A missing file, a folder and a file that is not text are faults, not a reason to run on defaults."""
    (tmp_path / "binary").write_bytes(b"\xff\xfe")
    for name in ("missing", ".", "binary"):
        with pytest.raises(ConfigError, match=r"a file that can be read|text in UTF-8"):
            load(tmp_path / name, {}, None)
        with pytest.raises(ConfigError, match=r"a file that can be read|text in UTF-8"):
            load(None, {"RECOND_CONFIG": str(tmp_path / name)}, None)


def test_nothing_is_reported_as_pending_before_it_can_be_judged(tmp_path: Path) -> None:
    """`pending_max` below `settle` is refused, with both values."""
    found = faults(tmp_path, '[daemon]\nsettle = "3m"')
    assert found == {"daemon.pending_max": ("120 s", "at least daemon.settle (180 s), before which nothing is judged")}


def test_other_machines_need_a_token(tmp_path: Path) -> None:
    """An address that is not loopback is refused without a token and accepted with one."""
    for listen in ("0.0.0.0:5000", "[::]:5000", "192.0.2.1:5000", "recond.lan:5000"):
        text = f'[http]\nlisten = "{listen}"'
        assert list(faults(tmp_path, text)) == ["http.listen"]
        token = read(tmp_path, text, {"RECOND_TOKEN": "0123456789abcdef"}).http.token
        assert token is not None
        assert token.reveal() == "0123456789abcdef"
    for listen in ("127.0.0.2:5000", "[::1]:5000", "localhost:5000"):
        assert read(tmp_path, f'[http]\nlisten = "{listen}"').http.token is None


def test_what_may_surprise_is_warned_of(tmp_path: Path) -> None:
    """Unsound times, a wildcard nobody can name and keys sent elsewhere get a warning each."""
    assert warnings(load(SHIPPED, {}, None)) == ()
    config = read(
        tmp_path,
        """
        [daemon]
        settle = "5s"
        broker_lag = "0s"
        [http]
        listen = "0.0.0.0:5000"
        [[accounts]]
        name = "a"
        user_id = 1
        rest_url = "https://proxy.example"
        """,
        {"RECOND_TOKEN": "0123456789abcdef"},
    )
    found = warnings(config)
    assert len(found) == 4
    for word, warning in zip(
        ("daemon.settle is 5 s", "daemon.broker_lag", "http.hosts", "proxy.example"), found, strict=True
    ):
        assert word in warning
