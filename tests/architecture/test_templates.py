"""Templates use components instead of repeating long class attributes, and names that exist."""

import ast
import itertools
import re
from collections import Counter
from functools import cache

import pytest
from django.template.base import Lexer, TokenType

from tests.architecture.source import ROOT, product

MAX_CLASS_CHARS = 40
MAX_REPETITIONS = 3
CONTEXTS = ("agents", "inference", "tenants", "platform")
CLASS = re.compile(r'class="([^"{]+)"')
COMPONENTS = sorted((ROOT / "templates/console/components").glob("*.html"))


def sources():
    """Templates, and modules that render HTML."""
    yield from (ROOT / "templates").rglob("*.html")
    for context in CONTEXTS:
        yield from (ROOT / context).rglob("*.py")


def repeated(texts):
    """Long class attributes that are written too often, in any order of their classes."""
    found = Counter(
        " ".join(sorted(classes.split()))
        for text in texts
        for classes in CLASS.findall(text)
        if len(classes) > MAX_CLASS_CHARS
    )
    return {classes for classes, count in found.items() if count > MAX_REPETITIONS}


def test_no_long_class_attribute_is_repeated():
    assert not repeated(path.read_text() for path in sources()), "make or use a component"


def test_a_repeated_class_attribute_is_found():
    classes = "border border-base-200 font-medium px-3 py-2 rounded-default"
    reordered = " ".join(reversed(classes.split()))
    assert repeated([f'<a class="{classes}">' * 3]) == set()
    assert repeated([f'<a class="{classes}">' * 3, f'<b class="{reordered}">']) != set()


@pytest.mark.parametrize("path", COMPONENTS, ids=lambda path: path.name)
def test_a_component_names_its_arguments_and_is_used(path):
    assert path.read_text().startswith("{# ")
    name = f"console/components/{path.name}"
    assert any(name in other.read_text() for other in (ROOT / "templates").rglob("*.html"))


FRAMEWORK = frozenset(
    {
        *("forloop", "parentloop", "HTTP_USER_AGENT", "get_full_path", "lookup_val"),
        *("hidden_fields", "visible_fields", "id_for_label", "is_readonly"),
        *("has_active_filters", "has_filters", "is_dataset"),
        *("favicon_href", "script_url"),
        *("swagger_ui_bundle", "swagger_ui_css", "swagger_ui_standalone"),
    }
)
"""Names of Django, of its admin's theme and of the API's documentation page."""
DISPLAY = re.compile(r"get_(\w+)_display")
STRING = re.compile(r"\"[^\"]*\"|'[^']*'")
DOTTED = re.compile(r"(?<![\w\"'/.-])[a-zA-Z_]\w*(?:\.\w+)+(?![\w\"'/-])")
BOUND = re.compile(r"\b(\w+)=|\bas (\w+)|^for ([\w, ]+) in ")


def tags(text):
    """Variables and blocks of a template, without the texts of their strings."""
    for token in Lexer(text).tokenize():
        if token.token_type in (TokenType.VAR, TokenType.BLOCK):
            yield token.token_type, STRING.sub('""', token.contents)


def bound_in(text):
    """The names that a template binds itself: loops, `with`, arguments of components."""
    for _, tag in tags(text):
        for found in BOUND.finditer(tag):
            yield from re.split(r"[, ]+", next(filter(None, found.groups())))


def read_in(text):
    """The names of the variables and attributes that a template reads."""
    for kind, tag in tags(text):
        paths = [tag.split("|")[0].strip()] if kind == TokenType.VAR else DOTTED.findall(tag)
        for path in paths:
            yield from filter(str.isidentifier, path.split("."))


@cache
def names_of_the_product():
    """Every identifier of the product, and every string that could be one: a key of a context."""
    found = set()
    for node in itertools.chain.from_iterable(ast.walk(each.tree) for each in product()):
        found |= {getattr(node, field, None) for field in ("id", "attr", "arg", "name")}
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            found.add(node.value)
    return found


def unknown(text, *, bound=frozenset()):
    known = names_of_the_product() | FRAMEWORK | set(bound_in(text)) | bound
    return {
        name
        for name in read_in(text)
        if name not in known and not ((field := DISPLAY.fullmatch(name)) and field[1] in known)
    }


def test_templates_read_only_what_exists():
    """A variable that was renamed in Python only would be drawn as nothing."""
    texts = {path: path.read_text() for path in (ROOT / "templates").rglob("*.html")}
    passed = {name for text in texts.values() for name in bound_in(text)}
    found = {path.name: unknown(text, bound=passed) for path, text in texts.items()}
    assert {name: names for name, names in found.items() if names} == {}


def test_a_variable_that_does_not_exist_is_found():
    text = '{% for row in rows %}{{ row.usage }}{{ row.usaje|default:"x" }}{% endfor %}'
    assert unknown(text) == {"usaje"}
    assert unknown('{% if page.totl > 3 %}{{ "no.name" }}{% endif %}') == {"totl"}
