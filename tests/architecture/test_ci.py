"""`.ci/run` fails for what is wrong with us, and skips only environments that cannot be had."""

import os
import subprocess
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

CHECKOUT = Path(__file__).resolve().parents[2]
MAKE = """#!/bin/sh
echo "make $1 for ${TENANTRY_REQUIRE-nobody} and ${TENANTRY_VLLM_PYTHON-nothing}" >> "$SAID"
case "$1" in
  check) exit "$CHECK" ;;
  vllm-cpu) sleep "$BUILDING"; exit "$BUILD" ;;
  test-vllm) exit "$TESTS" ;;
  clients) exit "$CLIENTS" ;;
  test-clients) exit "$CLIENT_TESTS" ;;
esac
"""
CLIENTS = {"CLIENTS": "0", "CLIENT_TESTS": "0"}


@pytest.fixture
def run(tmp_path):
    """What `.ci/run` ended with and said, and what it made."""
    (tmp_path / "make").write_text(MAKE)
    for name in ("make", "chromium"):
        (tmp_path / name).touch()
        (tmp_path / name).chmod(0o755)

    def start(**how):
        told = {"CHECK": "0", "BUILD": "0", "TESTS": "0", "BUILDING": "0", **CLIENTS, **how}
        path = f"{tmp_path}:{os.environ['PATH']}"
        env = {"PATH": path, "HOME": str(tmp_path), "SAID": str(tmp_path / "said"), **told}
        done = subprocess.run(
            [CHECKOUT / ".ci" / "run"], env=env, check=False, capture_output=True, text=True
        )
        made = [line.split()[1] for line in (tmp_path / "said").read_text().splitlines()]
        return done.returncode, done.stdout + done.stderr, made

    return start


EVERYTHING = ["check", "vllm-cpu", "test-vllm", "clients", "test-clients"]


def test_everything_is_run(run):
    code, said, made = run()

    assert (code, made) == (0, EVERYTHING)
    assert "SKIPPED" not in said


@pytest.mark.parametrize(
    ("how", "made"),
    [
        ({"CHECK": "2"}, EVERYTHING[:1]),
        ({"TESTS": "2"}, EVERYTHING[:3]),
        ({"CLIENT_TESTS": "2"}, EVERYTHING),
    ],
)
def test_what_fails_fails(run, how, made):
    code, said, done = run(**how)

    assert (code != 0, done) == (True, made)
    assert "SKIPPED" not in said


@pytest.mark.parametrize(
    "how",
    [{"BUILD": "1"}, {"BUILDING": "30", "TENANTRY_CI_SECONDS": "301"}, {"TESTS": "124"}],
    ids=["not built", "no time", "not ended"],
)
def test_a_vllm_that_cannot_be_had_is_skipped_unless_it_is_required(run, how):
    code, said, _ = run(**how)
    assert (code, "SKIPPED: the tests with a real vLLM" in said) == (0, True)

    code, said, _ = run(**how, TENANTRY_REQUIRE="browser,vllm")
    assert (code, "with a real vLLM are required" in said) == (1, True)


@pytest.mark.parametrize("how", [{"CLIENTS": "1"}, {"CLIENT_TESTS": "124"}])
def test_client_libraries_that_cannot_be_had_are_skipped_unless_they_are_required(run, how):
    code, said, made = run(**how)
    assert (code, made[:3]) == (0, EVERYTHING[:3])
    assert said.count("SKIPPED") == said.count("SKIPPED: the tests with client libraries") == 1

    code, said, _ = run(**how, TENANTRY_REQUIRE="browser,clients")
    assert (code, "with client libraries are required" in said) == (1, True)


def test_client_libraries_are_tested_without_a_vllm(run):
    code, _, made = run(BUILD="1")

    assert (code, made) == (0, ["check", "vllm-cpu", "clients", "test-clients"])


def test_the_checks_do_not_start_a_vllm(run, tmp_path):
    run(TENANTRY_REQUIRE="browser,vllm,clients", TENANTRY_VLLM_PYTHON="python")

    assert (tmp_path / "said").read_text().splitlines()[0] == "make check for browser,, and nothing"
