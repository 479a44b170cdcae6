"""What makes code readable and can be measured. Each limit may be lifted by name, with a reason."""

import ast
import statistics
from collections import Counter
from pathlib import Path

from tests.architecture.source import length, product

MAX_FILE_LINES = 500
MAX_FUNCTION_LINES = 60
MAX_MODULES_PER_FOLDER = 15
NAMES_THAT_SAY_NOTHING = {"utils", "util", "helpers", "helper", "common", "misc"}

CATCHES_EVERYTHING = {
    "agents/doors/base/door.py": "the edge of a request: a bug becomes a 500 and is logged",
    "agents/doors/http/mcp/server.py": "the edge of a call: a bug is a result and is logged",
    "agents/runtime/execution/active_run.py": "a bug must end its run with an event",
    "inference/relay/relay.py": "accounts for the exchange whatever ends it, and raises it again",
    "tenants/walks.py": "one tenant's failure must not hold up thousands; logged and counted",
    "platform/config/gateway/lifespan.py": "the protocol wants a failed start reported, not raised",
}
"""Modules that may say `except Exception`, and why."""

PRODUCT = product()


def test_modules_are_short():
    assert not {each.name: each.lines for each in PRODUCT if each.lines > MAX_FILE_LINES}


def test_the_name_of_a_module_says_something():
    assert not [each.name for each in PRODUCT if each.path.stem in NAMES_THAT_SAY_NOTHING]


def test_the_first_line_of_a_module_says_what_it_is():
    modules = (each for each in PRODUCT if each.text.strip() and not each.is_package)

    assert not [each.name for each in modules if not ast.get_docstring(each.tree)]


def test_functions_are_short():
    long = {
        f"{source.name}:{each.lineno}": length(each)
        for source in PRODUCT
        for each in source.functions()
        if length(each) > MAX_FUNCTION_LINES
    }

    assert not long


def test_no_folder_has_more_modules_than_a_listing_shows_at_once():
    modules = Counter(source.path.parent for source in PRODUCT if not source.is_package)

    assert not {folder for folder, count in modules.items() if count > MAX_MODULES_PER_FOLDER}


def test_most_functions_are_very_short():
    lengths = [length(each) for source in PRODUCT for each in source.functions()]

    assert statistics.median(lengths) <= 8
    assert statistics.quantiles(lengths, n=10)[-1] <= 30


def test_only_the_listed_edges_catch_everything():
    catching = {source.name for source in PRODUCT if catches_everything(source.tree)}

    assert catching <= set(CATCHES_EVERYTHING), "narrow it, or list it with the reason"


def test_the_list_of_edges_is_in_step():
    names = {source.name for source in PRODUCT if catches_everything(source.tree)}

    assert set(CATCHES_EVERYTHING) <= names, "listed, but catches nothing broad any more"


def catches_everything(tree):
    handlers = (node for node in ast.walk(tree) if isinstance(node, ast.ExceptHandler))
    return any(is_broad(handler.type) for handler in handlers)


def is_broad(kind):
    if kind is None:
        return True
    if isinstance(kind, ast.Tuple):
        return any(is_broad(each) for each in kind.elts)
    return isinstance(kind, ast.Name) and kind.id in {"Exception", "BaseException"}


def test_test_files_have_different_names():
    """Tests are files, not packages: two of one name cannot be imported in one process."""
    names = Counter(path.name for path in Path(__file__).resolve().parents[1].rglob("test_*.py"))

    assert [name for name, count in names.items() if count > 1] == []
