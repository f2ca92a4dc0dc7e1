"""Where keys and tokens come from, and that they go nowhere."""

from __future__ import annotations

import copy
import dataclasses
import pickle
from pathlib import Path

import pytest

from recond.config import Config, ConfigError, load, require_credentials

ALPACA = {"ALPACA_API_KEY": "alpaca-key", "ALPACA_SECRET_KEY": "alpaca-secret"}
APCA = {"APCA_API_KEY_ID": "apca-key", "APCA_API_SECRET_KEY": "apca-secret"}
NAMED = {"A_KEY": "named-key", "A_SECRET": "named-secret"}
FILE = '[[accounts]]\nname = "a"\nuser_id = 1\nkey_env = "A_KEY"\nsecret_env = "A_SECRET"\n'


def read(tmp_path: Path, environ: dict[str, str], credentials: dict[str, str], text: str = FILE) -> Config:
    """The configuration in that file, environment and folder of credentials."""
    folder = tmp_path / "credentials"
    folder.mkdir(exist_ok=True)
    for name, value in credentials.items():
        (folder / name).write_text(value)
    (tmp_path / "config.toml").write_text(text)
    return load(tmp_path / "config.toml", environ, folder)


def keys(config: Config, account: str = "a") -> tuple[str, str]:
    """The pair found for an account."""
    found = require_credentials(config)[account]
    return found.key.reveal(), found.secret.reveal()


def test_the_first_place_that_has_a_pair_wins(tmp_path: Path) -> None:
    """systemd credentials come before the named variables, these before ALPACA_*, and these before APCA_*."""
    assert keys(read(tmp_path, APCA, {})) == ("apca-key", "apca-secret")
    assert keys(read(tmp_path, ALPACA, {})) == ("alpaca-key", "alpaca-secret")
    assert keys(read(tmp_path, {**NAMED, **ALPACA, **APCA}, {})) == ("named-key", "named-secret")
    given = {"a-key": "file-key\n", "a-secret": "file-secret\n"}
    config = read(tmp_path, {**NAMED, **ALPACA}, given)
    assert keys(config) == ("file-key", "file-secret")
    assert require_credentials(config)["a"].origin == "credential a-key, credential a-secret"


def test_the_names_of_credentials_can_be_chosen(tmp_path: Path) -> None:
    """`key_credential` and `secret_credential` name the files to look for."""
    text = '[[accounts]]\nname = "a"\nuser_id = 1\nkey_credential = "k"\nsecret_credential = "s"'
    assert keys(read(tmp_path, {}, {"k": "1", "s": "2"}, text)) == ("1", "2")


def test_variables_without_an_account_are_for_one_account_only(tmp_path: Path) -> None:
    """With two accounts ALPACA_* belongs to neither; who lacks keys is named with the places looked at."""
    text = f'{FILE}[[accounts]]\nname = "b"\nuser_id = 2'
    config = read(tmp_path, {**ALPACA, **NAMED}, {}, text)
    with pytest.raises(ConfigError) as error:
        require_credentials(config)
    (fault,) = error.value.faults
    assert fault.key == "keys of account b"
    assert "b-key and b-secret" in fault.expected
    assert "ALPACA_API_KEY" not in str(error.value)


def test_without_keys_everything_else_still_loads(tmp_path: Path) -> None:
    """Commands that only talk to the daemon need no keys; others are told all places looked at."""
    config = read(tmp_path, {}, {})
    with pytest.raises(ConfigError) as error:
        require_credentials(config)
    for place in ("a-key and a-secret", "$A_KEY and $A_SECRET", "$ALPACA_API_KEY", "$APCA_API_SECRET_KEY"):
        assert place in error.value.faults[0].expected
    assert "demo" in error.value.hint


@pytest.mark.parametrize(
    ("environ", "credentials", "missing"),
    [
        ({}, {"a-key": "x"}, "credential a-secret"),
        ({"A_SECRET": "x"}, {}, "$A_KEY"),
        ({"ALPACA_API_KEY": "x", "ALPACA_SECRET_KEY": " "}, {}, "$ALPACA_SECRET_KEY"),
        ({**ALPACA, "APCA_API_SECRET_KEY": "x"}, {}, "$APCA_API_KEY_ID"),
    ],
)
def test_half_a_pair_is_a_fault(
    tmp_path: Path, environ: dict[str, str], credentials: dict[str, str], missing: str
) -> None:
    """A pair of which one half is missing is refused with the name of that half."""
    with pytest.raises(ConfigError) as error:
        read(tmp_path, environ, credentials)
    assert [fault.key for fault in error.value.faults] == [missing]


def test_two_pairs_that_differ_are_a_fault(tmp_path: Path) -> None:
    """ALPACA_* and APCA_* may both be set only when they say the same."""
    with pytest.raises(ConfigError, match=r"ALPACA_API_KEY and .APCA_API_KEY_ID: both pairs are set and differ"):
        read(tmp_path, {**ALPACA, **APCA}, {})
    same = {"APCA_API_KEY_ID": "alpaca-key", "APCA_API_SECRET_KEY": "alpaca-secret"}
    assert keys(read(tmp_path, {**ALPACA, **same}, {})) == ("alpaca-key", "alpaca-secret")


def test_the_token_comes_from_the_credential_first(tmp_path: Path) -> None:
    """The credential `recond-token` wins over RECOND_TOKEN; a token that can be guessed is refused."""
    environ = {"RECOND_TOKEN": "from-the-environment"}
    token = read(tmp_path, environ, {}).http.token
    assert token is not None
    assert token.reveal() == "from-the-environment"
    token = read(tmp_path, environ, {"recond-token": "from-the-credential\n"}).http.token
    assert token is not None
    assert token.reveal() == "from-the-credential"
    with pytest.raises(ConfigError, match=r"http\.token: at least 16 characters"):
        read(tmp_path, {}, {"recond-token": "short"})


@pytest.mark.parametrize("content", ["", "two words", "two\nlines", "ü"])
def test_a_credential_that_is_no_key_is_a_fault(tmp_path: Path, content: str) -> None:
    """What could not go into a header (blanks, other letters, nothing) is refused unseen."""
    with pytest.raises(ConfigError) as error:
        read(tmp_path, {}, {"a-key": content, "a-secret": "x"})
    assert [(fault.key, fault.value) for fault in error.value.faults] == [("credential a-key", None)]


def test_a_credential_that_cannot_be_read_is_a_fault(tmp_path: Path) -> None:
    """A credential that is there and unreadable is reported, not taken for absent."""
    (tmp_path / "credentials" / "a-key").mkdir(parents=True)
    with pytest.raises(ConfigError, match="credential a-key: a readable file"):
        read(tmp_path, {}, {"a-secret": "x"})


SECRETS = ("PKSECRETKEYID0123456", "c" * 40, "token-0123456789-token")


def test_a_secret_goes_nowhere(tmp_path: Path) -> None:
    """No text, dictionary or copy of the configuration shows a secret, and it cannot be pickled."""
    environ = {"A_KEY": SECRETS[0], "A_SECRET": SECRETS[1], "RECOND_TOKEN": SECRETS[2]}
    config = read(tmp_path, environ, {})
    assert keys(config) == SECRETS[:2]
    for copied in (config, dataclasses.asdict(config), copy.deepcopy(config), require_credentials(config)):
        assert not any(secret in f"{copied} {copied!r}" for secret in SECRETS)
    with pytest.raises(TypeError):
        pickle.dumps(config)


@pytest.mark.parametrize(
    "text",
    [
        'token = "{}"',
        '[http]\ntoken = "{}"',
        '[alpaca]\nkey_id = "{}"',
        '[daemon]\ninterval = "{}"',
        '[daemon]\nkeys = ["{}"]',
        '[[account]]\nsecret = "{}"',
        '[[accounts]]\nname = "a"\nuser_id = 1\nkey = "{}"',
        '[[accounts]]\nname = "a"\nuser_id = 1\napi_secret = "{}"',
        '[[accounts]]\nname = "a"\nuser_id = 1\nkey_env = "{}"\nsecret_env = "B"',
        '[[accounts]]\nname = "a"\nuser_id = 1\nsecret_credential = "{}/"',
        '[[accounts]]\nname = "a"\nuser_id = 1\nrest_url = "https://x:{}@api.alpaca.markets"',
        '[[accounts]]\nname = "{}"\nuser_id = 1',
    ],
)
@pytest.mark.parametrize("secret", SECRETS[:2])
def test_a_secret_in_the_file_is_refused_without_showing_it(tmp_path: Path, text: str, secret: str) -> None:
    """Whatever key a secret is written under, the refusal names the key and not the value."""
    with pytest.raises(ConfigError) as error:
        read(tmp_path, {}, {}, text.format(secret))
    assert secret not in f"{error.value} {error.value!r} {error.value.faults!r} {error.value.hint}"


def test_a_secret_in_the_file_is_told_where_it_belongs(tmp_path: Path) -> None:
    """The refusal of a key in the file names credentials and variables as its place."""
    with pytest.raises(ConfigError) as error:
        read(tmp_path, {}, {}, FILE + 'api_key = "x"\n[http]\ntoken = "x"')
    found = {fault.key: fault.expected for fault in error.value.faults}
    assert "key_credential" in found["accounts[0:a].api_key"]
    assert "RECOND_TOKEN" in found["http.token"]
