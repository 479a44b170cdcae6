"""`platform/` is a source root: the standard library's `platform` must survive it (ADR 0001)."""

import importlib
import importlib.util
import subprocess
import sys
from pathlib import Path

import pytest

from tests.architecture.source import PACKAGES, ROOT


def test_platform_is_not_a_package():
    assert not (ROOT / "platform" / "__init__.py").exists()


def test_the_standard_librarys_platform_survives():
    import platform

    assert platform.python_version() == sys.version.split()[0].rstrip("+")
    assert not Path(platform.__file__).is_relative_to(ROOT)


def test_it_survives_in_the_folder_of_the_checkout():
    code = "import platform, uuid; print(platform.system(), uuid.uuid4())"

    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, check=False)

    assert done.returncode == 0, done.stderr.decode()


@pytest.mark.parametrize("package", PACKAGES)
def test_our_packages_are_ours(package):
    """`agents` and `inference` are import names of packages on PyPI, too."""
    spec = importlib.util.find_spec(Path(package).name)

    assert spec is not None
    assert Path(spec.origin).parent == ROOT / package


def test_nothing_of_ours_is_named_like_a_module_of_the_standard_library():
    """But `platform` itself, which is no package."""
    ours = {path.stem for path in [*ROOT.glob("*.py"), *(ROOT / "platform").glob("*")]}

    assert not ours & sys.stdlib_module_names
