"""Runs all tests, and the failed ones once more by themselves.

    python tests/run_all.py [arguments of pytest]

On a busy machine some of the thousands of tests fail by chance. A test that passes by itself after
it has failed among the others is reported as FLAKY, and does not fail the run. More than
MAX_REPEATED failures are not repeated: they are no chance.
"""

import json
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
FAILED = ROOT / ".pytest_cache" / "v" / "cache" / "lastfailed"
TESTS_FAILED = 1
"""pytest's exit code if tests failed, and nothing else went wrong."""
MAX_REPEATED = 5
GROUP = re.compile(r"@[^\[\]]+$")
"""What pytest-xdist adds to the id of a test in a group."""


def pytest(*arguments: str) -> int:
    """Return the exit code of pytest."""
    return subprocess.call([sys.executable, "-m", "pytest", *arguments], cwd=ROOT)


def failed_tests() -> list[str]:
    """Return the ids of the tests that failed in the last run."""
    return sorted(GROUP.sub("", each) for each in read_cache(FAILED))


def read_cache(path: Path) -> list[str]:
    return list(json.loads(path.read_text())) if path.exists() else []


def run_all(arguments: list[str]) -> int:
    """Return the exit code: 0 if every test has passed, at the latest by itself."""
    FAILED.unlink(missing_ok=True)
    code = pytest("-n", "auto", "--dist", "loadgroup", *arguments)
    failed = failed_tests()
    if code != TESTS_FAILED or not 0 < len(failed) <= MAX_REPEATED:
        return code
    print(f"\nRepeating {len(failed)} failed tests by themselves ...", flush=True)
    code = pytest("-n", "0", *failed)
    for test in sorted(set(failed) - set(failed_tests())):
        print(f"FLAKY: {test} failed among the others, and passed by itself.")
    return code


if __name__ == "__main__":
    sys.exit(run_all(sys.argv[1:]))
