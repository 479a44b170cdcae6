"""Each lock holds what pyproject.toml asks for: `pip --require-hashes` stops at the first gap."""

import re
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parents[2]
LOCKED = re.compile(r"^([A-Za-z0-9._-]+)==([^\s;\\]+)", re.MULTILINE)
EXTRAS = {
    "base": (),
    "embedded": ("embedded",),
    "cluster": ("mcp", "a2a", "kubernetes"),
    "dev": ("embedded", "mcp", "a2a", "kubernetes", "dev"),
}


@pytest.mark.parametrize("name", EXTRAS)
def test_a_lock_holds_what_is_asked_for(name):
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    asked = list(project["dependencies"])
    for extra in EXTRAS[name]:
        asked += project["optional-dependencies"][extra]
    text = (ROOT / "requirements" / f"{name}.txt").read_text()
    locked = {canonicalize_name(found[1]): found[2] for found in LOCKED.finditer(text)}

    for requirement in map(Requirement, asked):
        version = locked.get(canonicalize_name(requirement.name))
        assert version is not None, f"{requirement} is not locked; run `make lock`"
        assert requirement.specifier.contains(version, prereleases=True), requirement
