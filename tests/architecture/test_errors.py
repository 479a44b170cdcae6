"""Every expected failure has its own code, a sentence for people and a form in each protocol."""

import importlib
import json
import re

import pytest

from kernel.errors import MethodNotAllowed, PlatformError, every_leaf
from tests.architecture.source import product

# Every leaf of the tree sets `code = "…"` in its class.
DEFINES_A_CODE = re.compile(r'^    code(: ClassVar\[str\])? = "', re.MULTILINE)


def load_every_leaf():
    for source in product():
        if DEFINES_A_CODE.search(source.text):
            importlib.import_module(source.module)
    return [leaf for leaf in every_leaf() if "tests" not in leaf.__module__]


LEAVES = load_every_leaf()


def make(leaf):
    """One as it is raised most simply."""
    return leaf(allow="GET") if issubclass(leaf, MethodNotAllowed) else leaf()


def test_codes_are_unique():
    codes = [leaf.code for leaf in LEAVES]

    assert sorted(codes) == sorted(set(codes))


@pytest.mark.parametrize("leaf", LEAVES, ids=lambda leaf: leaf.code)
def test_a_leaf_has_its_own_code_and_sentence(leaf):
    assert leaf is PlatformError or "code" in vars(leaf), "a leaf without a code of its own"
    assert leaf.__doc__
    assert make(leaf).message.endswith("."), "the docstring is a sentence for the caller"
    assert leaf.code.replace("_", "").isalnum()
    assert leaf.code.islower()


@pytest.mark.parametrize("leaf", LEAVES, ids=lambda leaf: leaf.code)
def test_statuses_are_those_of_errors(leaf):
    assert 400 <= leaf.status < 600
    assert leaf.kind.endswith(("_error", "_quota"))


@pytest.mark.parametrize("leaf", LEAVES, ids=lambda leaf: leaf.code)
def test_every_protocol_can_tell_it(leaf):
    rendering = pytest.importorskip("agents.doors.base.rendering")
    error = make(leaf)

    body = rendering.error_object(error)
    event = rendering.error_event(error)
    frame = rendering.error_frame(error)

    assert body["error"]["code"] == (leaf.sdk_code or leaf.code)
    assert body["error"].get("reason", leaf.code) == leaf.code
    assert event.startswith(b"event: error\n")
    assert json.loads(event.split(b"data: ")[1]) == body
    assert (frame["type"], frame["status"]) == ("error", leaf.status)


@pytest.mark.parametrize("leaf", LEAVES, ids=lambda leaf: leaf.code)
def test_headers_are_bytes_in_lower_case(leaf):
    for name, value in make(leaf).headers():
        assert name == name.lower()
        assert isinstance(value, bytes)


@pytest.mark.parametrize("name", ["kernel", "tenants", "inference", "agents"])
def test_the_tree_at_the_top_of_a_file_has_every_leaf(name):
    module = importlib.import_module(f"{name}.errors")
    drawn = set(re.findall(r"\b[A-Z]\w+", module.__doc__))

    own = {leaf.__name__ for leaf in LEAVES if leaf.__module__ == module.__name__}
    assert own <= drawn
