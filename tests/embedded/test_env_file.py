"""Files that hold secrets are for their owner, and are never half written."""

import subprocess
from pathlib import Path

import pytest

from kernel.env_file import read_env_file, write_env_file, write_exports


def test_what_is_written_is_read_back(tmp_path: Path):
    write_env_file(tmp_path / "a.env", {"A": "1", "B": "x=y"}, about="test")
    assert read_env_file(tmp_path / "a.env") == {"A": "1", "B": "x=y"}


def test_only_the_owner_may_read_it(tmp_path: Path):
    write_env_file(tmp_path / "a.env", {"A": "1"}, about="test")
    assert (tmp_path / "a.env").stat().st_mode & 0o777 == 0o600


def test_a_file_that_others_could_read_becomes_private(tmp_path: Path):
    (tmp_path / "a.env").write_text("A=0")
    (tmp_path / "a.env").chmod(0o644)
    write_env_file(tmp_path / "a.env", {"A": "1"}, about="test")
    assert (tmp_path / "a.env").stat().st_mode & 0o777 == 0o600


def test_nothing_is_left_beside_it(tmp_path: Path):
    write_env_file(tmp_path / "a.env", {"A": "1"}, about="test")
    assert [path.name for path in tmp_path.iterdir()] == ["a.env"]


def test_a_line_break_is_refused(tmp_path: Path):
    with pytest.raises(ValueError, match="line break"):
        write_env_file(tmp_path / "a.env", {"A": "1\nB=2"}, about="test")


def test_a_missing_file_holds_nothing(tmp_path: Path):
    assert read_env_file(tmp_path / "none.env") == {}


def test_a_shell_can_source_it(tmp_path: Path):
    write_env_file(tmp_path / "a.env", {"URL": "http://127.0.0.1:8080"}, about="To `source`.")
    command = f". {tmp_path}/a.env && echo $URL"
    said = subprocess.run(["sh", "-c", command], check=True, capture_output=True, text=True)
    assert said.stdout.strip() == "http://127.0.0.1:8080"


def test_what_is_exported_is_read_back(tmp_path: Path):
    write_exports(tmp_path / "a.env", {"A": "1", "B": "x=y"}, about="test")
    assert read_env_file(tmp_path / "a.env") == {"A": "1", "B": "x=y"}


def test_programs_of_a_shell_that_sourced_it_have_what_is_exported(tmp_path: Path):
    write_exports(tmp_path / "a.env", {"URL": "http://127.0.0.1:8080"}, about="To `source`.")
    command = f". {tmp_path}/a.env && sh -c 'echo $URL'"
    said = subprocess.run(["sh", "-c", command], check=True, capture_output=True, text=True)
    assert said.stdout.strip() == "http://127.0.0.1:8080"
