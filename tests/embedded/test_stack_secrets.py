"""Secrets are drawn once: losing them would lose what they encrypt."""

from pathlib import Path

from cryptography.fernet import Fernet

from embedded.stack_secrets import GENERATORS, ensure_secrets
from kernel.env_file import write_env_file


def test_they_are_the_same_at_every_start(tmp_path: Path):
    assert ensure_secrets(tmp_path / "s.env") == ensure_secrets(tmp_path / "s.env")


def test_they_differ_between_installations(tmp_path: Path):
    first, second = ensure_secrets(tmp_path / "a.env"), ensure_secrets(tmp_path / "b.env")
    assert all(first[name] != second[name] for name in GENERATORS)


def test_only_the_owner_may_read_them(tmp_path: Path):
    ensure_secrets(tmp_path / "s.env")
    assert (tmp_path / "s.env").stat().st_mode & 0o777 == 0o600


def test_a_missing_one_is_added_and_the_others_stay(tmp_path: Path):
    write_env_file(tmp_path / "s.env", {"TENANTRY_SECRET_KEY": "kept"}, about="test")
    secrets = ensure_secrets(tmp_path / "s.env")
    assert secrets["TENANTRY_SECRET_KEY"] == "kept"
    assert secrets.keys() == GENERATORS.keys()


def test_the_encryption_key_is_one(tmp_path: Path):
    Fernet(ensure_secrets(tmp_path / "s.env")["TENANTRY_ENCRYPTION_KEYS"])


def test_the_session_key_is_long_enough_for_django(tmp_path: Path):
    assert len(ensure_secrets(tmp_path / "s.env")["TENANTRY_SECRET_KEY"]) >= 50
