"""What would fail later is refused before anything starts."""

from pathlib import Path

import pytest

from embedded.errors import CannotStart
from embedded.preflight import require_free_space


def test_a_full_disk_is_refused(tmp_path: Path):
    with pytest.raises(CannotStart, match="TENANTRY_HOME"):
        require_free_space(tmp_path, at_least=10**18)


def test_a_disk_with_space_is_accepted(tmp_path: Path):
    require_free_space(tmp_path, at_least=1)
