"""Pages say each thing once, lead somewhere, and name files that exist."""

import re

import pytest

from tests.architecture.markdown import Page, faults_of
from tests.architecture.source import DOCS, PACKAGES, ROOT

PAGES = [
    *sorted(ROOT.glob("*.md")),
    *sorted(DOCS.rglob("*.md")),
    ROOT / "deploy" / "README.md",
    ROOT / "tests" / "cases" / "README.md",
]


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_a_page_has_no_fault(path):
    page = Page(path, path.read_text(encoding="utf-8"))

    assert not faults_of(page, root=ROOT)


@pytest.mark.parametrize(
    ("planted", "fault"),
    [
        ("## Chat\n\n### Chat\n", "the heading 'chat' is there twice"),
        ("| a | b |\n|---|---|\n| x | 1 |\n| x | 2 |\n", "a table has two rows for 'x'"),
        (
            "| m |\n|---|\n| `tenantry_up` |\n\n| m |\n|---|\n| `tenantry_up` |\n",
            "`tenantry_up` has rows in two tables",
        ),
        ("See [there](gone.md).\n", "the link gone.md leads nowhere"),
        ("See [there](../../../etc/hosts).\n", "the link ../../../etc/hosts leads nowhere"),
        (
            "See [there](tools.md#no-such-heading).\n",
            "the link tools.md#no-such-heading names a heading that is not there",
        ),
        ("# One\n\n[Here](#two).\n", "the link #two names a heading that is not there"),
        ("Read `agents/gone.py`.\n", "there is no agents/gone.py"),
        ("Start `config.gone`.\n", "there is no module config.gone"),
        ("Call `no_such_task` in\n`agents/tasks.py`.\n", "agents/tasks.py has no no_such_task"),
    ],
)
def test_a_planted_fault_is_found(planted, fault):
    assert faults_of(Page(DOCS / "page.md", planted), root=ROOT) == [fault]


@pytest.mark.parametrize(
    "text",
    [
        "```sh\n# Chat\n# Chat\n```\n",
        "# One\n\n[Here](#one), [there](tools.md#kinds), [elsewhere](https://example.org/#x).\n",
        "Read `agents/tasks.py`, `agents/runtime/` and `config.settings.console`.\n",
        "A path such as `agents/doors/<noun>.py` is a pattern, `/v1/chat` an address.\n",
    ],
)
def test_what_is_right_is_no_fault(text):
    assert not faults_of(Page(DOCS / "page.md", text), root=ROOT)


def test_numbers_of_decisions_are_given_once():
    numbers = [path.name[:4] for path in (DOCS / "adr").glob("[0-9]*.md")]

    assert len(numbers) == len(set(numbers))


CITATION = re.compile(r'\b([a-z]+\.md), "([^"]+)"')
"""How code names a part of a page: (protocols.md, "Errors")."""


def test_code_cites_parts_of_pages_that_exist():
    paths = [path for package in PACKAGES for path in (ROOT / package).rglob("*.*")]
    texts = [p.read_text(encoding="utf-8") for p in paths if p.suffix in {".py", ".lua"}]
    cited = {found for text in texts for found in CITATION.findall(re.sub(r"\s+", " ", text))}

    assert cited, "the pattern finds nothing"
    for name, title in cited:
        page = Page(DOCS / name, (DOCS / name).read_text(encoding="utf-8"))
        assert title in {heading[-1] for heading in page.headings()}, (name, title)
