"""Settings from the environment: right values are read, wrong ones are named."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from config.env import ConfigurationError, Environment, read_env_file
from config.settings.base import database

KEY = "bm9ib2R5LWhhcy10aGlzLWtleS1ub2JvZHktaGFzLWk="
ROOT = Path(__file__).resolve().parents[2]


def env(**values) -> Environment:
    return Environment(values)


def refusal(read, **values) -> str:
    """What is said against the values."""
    with pytest.raises(ConfigurationError) as caught:
        read(env(**values))
    return str(caught.value)


def integer(values):
    return values.integer("N", default=5, at_least=2, description="A number.")


def port(values):
    return values.port("N", default=80, description="A port.")


def seconds(values):
    return values.seconds("N", default=1.5, description="A time.")


def boolean(values):
    return values.boolean("N", default=True, description="Whether.")


def choice(values):
    return values.choice("N", default="a", options=("a", "b"), description="Which.")


def listed(values):
    return values.listed("N", default="x", description="Some.")


def networks(values):
    return values.networks("N", default="127.0.0.1", description="Who.")


def url(values):
    return values.url("N", default="redis://d", schemes=("redis", "rediss"), description="Where.")


def secret(values):
    return values.secret("N", default="d", description="A secret.")


def required(values):
    return values.required_secret("N", min_chars=1, description="It is needed.")


def long(values):
    return values.required_secret("N", min_chars=8, description="It is needed.")


def long_each(values):
    return values.required_secrets("N", min_chars=8, description="They are needed.")


def fernet(values):
    return values.fernet_keys("N", description="They are needed.")


def address(values):
    return values.address("N", default="127.0.0.1", description="Where.")


def origins(values):
    return values.origins("N", description="Who.")


def web(values):
    return values.url("N", default="", schemes=("https", "http"), description="Where.")


READ = [
    *((integer, None, 5), (integer, "7", 7), (integer, " 7 ", 7), (integer, "", 5)),
    *((port, None, 80), (port, "1", 1), (port, "65535", 65535)),
    *((seconds, None, 1.5), (seconds, "0.25", 0.25), (seconds, "3", 3.0)),
    *((boolean, word, True) for word in (None, "1", "true", "Yes", "ON")),
    *((boolean, word, False) for word in ("0", "false", "No", "OFF")),
    *((choice, None, "a"), (choice, "b", "b")),
    *((listed, None, ["x"]), (listed, " a , b ,, ", ["a", "b"]), (listed, "a", ["a"])),
    *((networks, None, ["127.0.0.1"]), (networks, "10.1.0.0/16,::1", ["10.1.0.0/16", "::1"])),
    *((url, None, "redis://d"), (url, "rediss://:p@h/1", "rediss://:p@h/1")),
    *((fernet, KEY, [KEY]), (long, "12345678", "12345678"), (long_each, "12345678", ["12345678"])),
    *((address, None, "127.0.0.1"), (address, "::", "::"), (address, "localhost", "localhost")),
    *((origins, None, []), (origins, "*", ["*"]), (origins, "https://a.b:8", ["https://a.b:8"])),
    *((web, "https://a.b", "https://a.b"), (web, "http://[::1]:80", "http://[::1]:80")),
    *((secret, None, "d"), (secret, "s", "s"), (required, "s", "s")),
]


@pytest.mark.parametrize(("read", "raw", "value"), READ)
def test_a_right_value_is_read(read, raw, value):
    values = {} if raw is None else {"N": raw}

    assert read(env(**values)) == value


WRONG = [
    *((integer, raw) for raw in ("1", "-1", "two", "2.0", "2**3", "0x10")),
    *((port, raw) for raw in ("0", "65536", "-1", "http")),
    *((seconds, raw) for raw in ("0", "-1", "nan", "inf", "1e400", "soon", "1s")),
    *((boolean, raw) for raw in ("2", "maybe", "tru")),
    *((choice, raw) for raw in ("c", "A", "a,b")),
    *((networks, raw) for raw in ("*", "ingress", "10.0.0.0/33", "10.0.0.5/8", "::/0")),
    *((fernet, raw) for raw in ("notafernet", f"{KEY},x", KEY[:-4])),
    *((read, raw) for read in (long, long_each) for raw in ("1234567", "x")),
    *((address, raw) for raw in ("nonsense", "1.2.3", "127.0.0.1:80", "*")),
    *((origins, raw) for raw in ("a.example.org", "https://a/b", "ftp://a", "https://", "//a")),
    *((web, raw) for raw in ("foo", "http://", "https://:80", "http://a:99999", "ftp://a", "//a")),
    *((url, raw) for raw in ("http://x", "redis", "h:6379", "http://[::1", "//h")),
]


@pytest.mark.parametrize(("read", "raw"), WRONG)
def test_a_wrong_value_is_refused_with_its_name(read, raw):
    assert refusal(read, N=raw).startswith("N must be ")


def test_a_missing_secret_is_asked_for_by_name():
    message = refusal(required)

    assert message.startswith("N is not set: It is needed.")
    assert "N_FILE" in message


def test_a_wrong_url_is_not_repeated():
    assert "hunter2" not in refusal(url, N="http://user:hunter2@host")


def test_a_secret_may_come_from_a_file(tmp_path):
    path = tmp_path / "secret"
    path.write_text("from the file\n", encoding="utf-8")

    assert secret(env(N="from the variable", N_FILE=str(path))) == "from the file"
    assert required(env(N_FILE=str(path))) == "from the file"


def test_a_url_may_come_from_a_file(tmp_path):
    path = tmp_path / "url"
    path.write_text("redis://:s3@h\n", encoding="utf-8")

    assert url(env(N_FILE=str(path))) == "redis://:s3@h"


def test_an_empty_file_is_no_secret(tmp_path):
    path = tmp_path / "secret"
    path.write_text("\n", encoding="utf-8")

    assert refusal(required, N_FILE=str(path)).startswith("N is not set")


def test_a_file_that_cannot_be_read_is_named(tmp_path):
    binary = tmp_path / "binary"
    binary.write_bytes(b"\xff\xfe")

    for path in (tmp_path / "missing", tmp_path, binary):
        message = refusal(secret, N_FILE=str(path))

        assert message.startswith(f"N_FILE points to '{path}', which cannot be read")


def test_what_was_asked_for_is_remembered():
    values = env()
    integer(values)

    (variable,) = values.declared.values()
    assert (variable.name, variable.default, variable.description) == ("N", "5", "A number.")


def test_an_env_file_is_read_line_by_line(tmp_path):
    path = tmp_path / "stack.env"
    path.write_text("# note\nA=1\n\n B = two words \nC=x=y\nnothing\n#D=1\n", encoding="utf-8")

    assert read_env_file(path) == {"A": "1", "B": "two words", "C": "x=y"}


def test_without_an_env_file_there_is_nothing(tmp_path):
    assert read_env_file(tmp_path / "none") == {}


DATABASES = {
    "postgresql://u:p@h:5433/d": ("d", "u", "p", "h", "5433"),
    "postgres://u:p%40ss%2F@h/d": ("d", "u", "p@ss/", "h", ""),
    "postgresql://u@/d?host=/run/pg": ("d", "u", "", "/run/pg", ""),
    "postgresql://u:p@[::1]:5432/d": ("d", "u", "p", "::1", "5432"),
    "postgresql://u@a:1,b:2/d": ("d", "u", "", "a,b", "1,2"),
    "postgresql:///d": ("d", "", "", "", ""),
}


@pytest.mark.parametrize("address", DATABASES)
def test_a_database_address_is_taken_apart(address):
    made = database(address, pool_size=3)

    parts = tuple(made[name] for name in ("NAME", "USER", "PASSWORD", "HOST", "PORT"))
    assert parts == DATABASES[address]
    assert made["OPTIONS"]["pool"]["max_size"] == 3
    assert made["CONN_MAX_AGE"] == 0


def test_options_of_a_database_address_are_kept():
    options = database("postgresql://h/d?sslmode=require&connect_timeout=9", pool_size=1)["OPTIONS"]

    assert (options["sslmode"], options["connect_timeout"]) == ("require", "9")


@pytest.mark.parametrize("address", ["postgresql://u:hunter2@h/d?ssl=yes", "hunter2", "x://["])
def test_a_wrong_database_address_is_named_and_not_repeated(address):
    with pytest.raises(ConfigurationError, match="DATABASE_URL") as caught:
        database(address, pool_size=1)

    assert "hunter2" not in str(caught.value)


def settings_under(**values):
    """Load the settings in a process of their own."""
    secrets = {
        "TENANTRY_HOME": "/nonexistent",
        "TENANTRY_SECRET_KEY": "x" * 50,
        "TENANTRY_KEY_PEPPERS": "p" * 16,
        "TENANTRY_ENCRYPTION_KEYS": KEY,
        "DATABASE_URL": "postgresql:///d",
        "REDIS_URL": "redis://h",
    }
    code = "from config.settings import base as b; print(b.KEY_PEPPERS, b.ENCRYPTION_KEYS)"
    variables = {"PATH": os.environ["PATH"], "PYTHONPATH": f"{ROOT}:{ROOT / 'platform'}"}
    return subprocess.run(
        [sys.executable, "-c", code],
        env={**variables, **secrets, **values},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.slow
@pytest.mark.parametrize("name", ["DATABASE_URL", "REDIS_URL", "TENANTRY_SECRET_KEY"])
def test_without_what_is_required_nothing_starts(name):
    done = settings_under(**{name: ""})

    assert done.returncode == 1
    assert f"ConfigurationError: {name} is not set" in done.stderr


@pytest.mark.slow
def test_blanks_and_empty_places_between_peppers_are_no_peppers():
    new, old = "n" * 16, "o" * 16
    done = settings_under(
        TENANTRY_KEY_PEPPERS=f"{new}, {old},", TENANTRY_ENCRYPTION_KEYS=f"{KEY} , {KEY},"
    )

    assert done.stdout == f"{[new, old]} {[KEY, KEY]}\n"


@pytest.mark.slow
@pytest.mark.parametrize("name", ["TENANTRY_KEY_PEPPERS", "TENANTRY_ENCRYPTION_KEYS"])
def test_a_list_of_nothing_is_no_secret(name):
    done = settings_under(**{name: " , "})

    assert f"ConfigurationError: {name} is not set" in done.stderr
