"""The product's source files, for tests that read them."""

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = (
    *("platform/config", "platform/kernel", "platform/embedded"),
    *("tenants", "inference", "agents"),
)
DOCS = ROOT / "platform" / "docs"

Function = ast.FunctionDef | ast.AsyncFunctionDef


@dataclass(frozen=True)
class Source:
    """One Python file of the product."""

    path: Path

    @property
    def name(self) -> str:
        return self.path.relative_to(ROOT).as_posix()

    @property
    def is_package(self) -> bool:
        """Whether it is the `__init__.py` of a folder."""
        return self.path.name == "__init__.py"

    @property
    def module(self) -> str:
        """The name under which it is imported."""
        parts = self.path.relative_to(ROOT).with_suffix("").parts
        inner = parts[1:] if parts[0] == "platform" else parts
        return ".".join(inner[:-1] if inner[-1] == "__init__" else inner)

    @cached_property
    def text(self) -> str:
        return self.path.read_text(encoding="utf-8")

    @cached_property
    def lines(self) -> int:
        return len(self.text.splitlines())

    @cached_property
    def tree(self) -> ast.Module:
        return ast.parse(self.text, filename=self.name)

    def functions(self) -> Iterator[Function]:
        for node in ast.walk(self.tree):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                yield node


@cache
def product() -> list[Source]:
    """Every module of the product, read once; migrations are written by Django."""
    paths = (path for package in PACKAGES for path in sorted((ROOT / package).rglob("*.py")))
    return [Source(path) for path in paths if "migrations" not in path.parts]


def length(function: Function) -> int:
    """In lines, with its decorators and docstring."""
    return (function.end_lineno or function.lineno) - function.lineno + 1
