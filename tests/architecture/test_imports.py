"""Contexts point one way, and chains of imports stay short."""

import os
import subprocess
import sys
from functools import cache
from pathlib import Path

import grimp
import pytest

from tests.architecture.source import PACKAGES, ROOT, product

pytestmark = pytest.mark.slow

MAX_DEPTH = 13
"""Modules in the longest chain of imports, from a value up to the composition root."""
MAX_DEPTH_BELOW_THE_ROOT = 10
"""The same without `config` and the console's pages, which put everything together."""
OURS = tuple(Path(package).name for package in PACKAGES)


def imported_at_once():
    """Per module of ours, which others it imports while it is itself being imported."""
    graph = grimp.build_graph(*OURS, cache_dir=None)
    return {
        source.module: {
            detail["imported"]
            for other in graph.find_modules_directly_imported_by(source.module)
            for detail in graph.get_import_details(importer=source.module, imported=other)
            if detail["line_number"] in top_lines(source)
        }
        for source in product()
    }


def top_lines(source):
    """Numbers of the lines that are not inside a function."""
    inside = {
        line
        for function in source.functions()
        for line in range(function.lineno, (function.end_lineno or 0) + 1)
    }
    return set(range(1, source.lines + 1)) - inside


@pytest.fixture(scope="module")
def graph():
    return imported_at_once()


def test_the_import_contracts_hold():
    done = subprocess.run(
        [Path(sys.executable).with_name("lint-imports"), "--no-cache"],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'platform'}"},
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 0, done.stdout + done.stderr


def test_no_module_imports_itself_over_a_detour(graph):
    assert cycle(graph) is None


def test_chains_of_imports_are_short(graph):
    longest = max(chains(graph).values(), key=len)

    assert len(longest) <= MAX_DEPTH, " < ".join(longest)


def test_chains_of_imports_below_the_composition_root_are_shorter(graph):
    below = (chain for module, chain in chains(graph).items() if not is_root(module))
    longest = max(below, key=len)

    assert len(longest) <= MAX_DEPTH_BELOW_THE_ROOT, " < ".join(longest)


def is_root(module):
    context, _, inside = module.partition(".")
    return context == "config" or inside.split(".")[0] == "admin"


def chains(graph):
    """Per module the longest chain of imports that ends in it."""
    if cycle(graph) is not None:
        pytest.skip("depth has no meaning while there is a cycle")

    @cache
    def chain(module):
        return (*max(map(chain, graph[module]), key=len, default=()), module)

    return {module: chain(module) for module in graph}


def cycle(graph):
    """One cycle as a list of modules; None if there is none."""
    done: set[str] = set()
    path: list[str] = []

    def visit(module):
        if module in path:
            return [*path[path.index(module) :], module]
        if module in done:
            return None
        path.append(module)
        found = next(filter(None, map(visit, sorted(graph[module]))), None)
        path.pop()
        done.add(module)
        return found

    return next(filter(None, map(visit, sorted(graph))), None)
