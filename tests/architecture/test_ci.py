"""`.ci/run` fails for what is wrong with us, and skips only a vLLM that cannot be had."""

import os
import subprocess
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).resolve().parents[2]
MAKE = """#!/bin/sh
echo "make $1 for ${TENANTRY_REQUIRE-nobody} and ${TENANTRY_VLLM_PYTHON-nothing}" >> "$SAID"
case "$1" in
  check) exit "$CHECK" ;;
  vllm-cpu) sleep "$BUILDING"; exit "$BUILD" ;;
  test-vllm) exit "$TESTS" ;;
esac
"""


@pytest.fixture
def run(tmp_path):
    """What `.ci/run` ended with and said, and what it made."""
    (tmp_path / "make").write_text(MAKE)
    for name in ("make", "chromium"):
        (tmp_path / name).touch()
        (tmp_path / name).chmod(0o755)

    def start(**how):
        told = {"CHECK": "0", "BUILD": "0", "TESTS": "0", "BUILDING": "0", **how}
        path = f"{tmp_path}:{os.environ['PATH']}"
        env = {"PATH": path, "HOME": str(tmp_path), "SAID": str(tmp_path / "said"), **told}
        done = subprocess.run(
            [CHECKOUT / ".ci" / "run"], env=env, check=False, capture_output=True, text=True
        )
        made = [line.split()[1] for line in (tmp_path / "said").read_text().splitlines()]
        return done.returncode, done.stdout + done.stderr, made

    return start


EVERYTHING = ["check", "vllm-cpu", "test-vllm"]


def test_everything_is_run(run):
    code, said, made = run()

    assert (code, made) == (0, EVERYTHING)
    assert "SKIPPED" not in said


@pytest.mark.parametrize(
    ("how", "made"),
    [({"CHECK": "2"}, EVERYTHING[:1]), ({"TESTS": "2"}, EVERYTHING)],
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
    assert (code, "vLLM is required" in said) == (1, True)


def test_the_checks_do_not_start_a_vllm(run, tmp_path):
    run(TENANTRY_REQUIRE="browser,vllm", TENANTRY_VLLM_PYTHON="python")

    assert (tmp_path / "said").read_text().splitlines()[0] == "make check for browser, and nothing"
