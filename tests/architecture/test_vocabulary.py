"""One word per thing, and it is the field's: retired words do not come back as names.

To retire a word, rename what has it and add it here.
"""

import ast
import re
from collections import defaultdict

import pytest

from tests.architecture.source import product

RETIRED = {
    "bell": "pubsub",
    "begun": "started, created",
    "canary": "heartbeat",
    "departure": "shutdown",
    "gossip": "worker_sync",
    "heard": "received",
    "hear": "receive, consume",
    "journey": "route_trace",
    "leak": "ramp",
    "leash": "process_guard",
    "longest": "max",
    "machinery": "dependencies",
    "manners": "behavior",
    "most": "max, with the unit",
    "narrator": "recorder",
    "nobody": "the null implementation",
    "orphan": "abandoned",
    "patience": "timeout_seconds",
    "said": "what it is: message, output, note, item",
    "shelf": "store",
    "somebody": "caller, client, operator",
    "standing": "status",
    "tell": "emit, publish, send",
    "told": "what it is: data, facts, report, message",
    "verdict": "decision, result, status",
    "whoever": "caller, client, operator",
    "wish": "context",
    "workshop": "tool_dependencies",
}
RETIRED_IN_CONSTANTS = {
    "largest": "MAX_…, with the unit",
    "least": "MIN_…, with the unit",
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


def test_no_name_has_a_retired_word():
    found = {
        f"{source.name}: {name}": words
        for source in product()
        for name in names_in(source)
        if (words := retired_words(name))
    }

    assert not found


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("LARGEST_ITEM", {"largest"}), ("GossipReader", {"gossip"}), ("read_wish", {"wish"}),
        ("at_least", set()), ("LEAST_REQUESTS", set()), ("worker_sync", set()),
    ],
)  # fmt: skip
def test_words_are_found_inside_names(name, words):
    assert retired_words(name) == words


SHARED_CLASS_NAMES = {
    "Command": "Django looks for it in each management command",
}
"""Class names that more than one module may define, and why."""


def test_a_class_name_stands_for_one_thing():
    modules = defaultdict(list)
    for source in product():
        for node in source.tree.body:
            if isinstance(node, ast.ClassDef) and node.name not in SHARED_CLASS_NAMES:
                modules[node.name].append(source.name)

    assert not {name: where for name, where in modules.items() if len(where) > 1}
