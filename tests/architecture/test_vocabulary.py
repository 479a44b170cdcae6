"""One word per thing, and it is the field's: retired words do not come back as names.

To retire a word, rename what has it and add it here.
"""

import ast
import re

import pytest

from tests.architecture.source import product

RETIRED = {
    "bell": "pubsub",
    "departure": "shutdown",
    "gossip": "worker_sync",
    "journey": "route_trace",
    "leash": "process_guard",
    "machinery": "dependencies",
    "narrator": "recorder",
    "told": "what it is: data, facts, report, message",
    "wish": "context",
    "workshop": "tool_dependencies",
}
RETIRED_IN_CONSTANTS = {
    "largest": "MAX_…, with the unit",
    "least": "MIN_…, with the unit",
    "longest": "MAX_…, with the unit",
    "most": "MAX_…, with the unit",
    "patience": "…_TIMEOUT_SECONDS",
}
NAMED_BY_OTHERS = {"LEAST_REQUESTS", "WEIGHTED_LEAST_REQUESTS"}
"""Strategies that are called so everywhere."""
WORD = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+")


def names_in(source):
    """Whatever a module gives a name to, itself included."""
    yield source.path.stem
    for node in ast.walk(source.tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            yield node.name
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            yield node.id
        elif isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store):
            yield node.attr
        elif isinstance(node, ast.arg):
            yield node.arg
        elif isinstance(node, ast.alias) and node.asname:
            yield node.asname


def retired_words(name):
    words = {word.lower() for word in WORD.findall(name)}
    banned = RETIRED.keys()
    if name.isupper() and name not in NAMED_BY_OTHERS:
        banned |= RETIRED_IN_CONSTANTS.keys()
    return words & banned


@pytest.mark.parametrize("source", product(), ids=lambda source: source.name)
def test_no_name_has_a_retired_word(source):
    assert not {name: words for name in names_in(source) if (words := retired_words(name))}


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("MOST_ITEMS", {"most"}), ("GossipReader", {"gossip"}), ("read_wish", {"wish"}),
        ("most_recent", set()), ("LEAST_REQUESTS", set()), ("worker_sync", set()),
    ],
)  # fmt: skip
def test_words_are_found_inside_names(name, words):
    assert retired_words(name) == words
