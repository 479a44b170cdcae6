"""What tests read of a Markdown page: headings, rows of tables, links, names of files."""

import re
from collections.abc import Iterable, Iterator
from functools import cached_property
from pathlib import Path

FENCE = re.compile(r"^(```|~~~).*?^\1[^\n]*$", flags=re.MULTILINE | re.DOTALL)
HEADING = re.compile(r"^(#{1,6}) +(.+?) *$", flags=re.MULTILINE)
LINK = re.compile(r"!?\[(?:[^\]\[]|\[[^\]]*\])*\]\(([^)\s]+)\)")
TABLE = re.compile(r"(?:^\|.*\n?)+", flags=re.MULTILINE)
SPAN = re.compile(r"`([^`\n]+)`")
NAME_IN_FILE = re.compile(r"`([A-Za-z_][\w.]*)`(?:\(\))? (?:in|of) `([\w./-]+\.(?:py|lua))`")
TOP_FOLDERS = ("agents", "deploy", "inference", "platform", "requirements", "tenants", "tests")
UNDER_PLATFORM = ("config", "embedded", "kernel")
"""Pages may leave out `platform/`, as imports do."""
PATH = re.compile(rf"(?:{'|'.join((*TOP_FOLDERS, *UNDER_PLATFORM))})(?:/[\w.-]+)*/?")
MODULE = re.compile(r"(?:agents|config|embedded|inference|kernel|tenants)(?:\.[A-Za-z_]\w*)+")


class Page:
    """One page. Everything but links to other pages is read from the text alone."""

    def __init__(self, path: Path, text: str) -> None:
        self.path = path
        self.text = text

    @cached_property
    def prose(self) -> str:
        """The text without blocks of code, in which `#` and `|` mean something else."""
        return FENCE.sub("", self.text)

    def headings(self) -> list[tuple[str, ...]]:
        """Each heading with those above it."""
        found: list[tuple[str, ...]] = []
        above: dict[int, str] = {}
        for marks, title in HEADING.findall(self.prose):
            above = {level: text for level, text in above.items() if level < len(marks)}
            above[len(marks)] = title
            found.append(tuple(above[level] for level in sorted(above)))
        return found

    def anchors(self) -> list[str]:
        """The anchors of all headings, as GitHub and most other renderers make them."""
        return [anchor_of(path[-1]) for path in self.headings()]

    def tables(self) -> list[list[str]]:
        """The first cells of each table's rows, without its head."""
        return [
            [re.split(r"(?<!\\)\|", line)[1].strip() for line in table.splitlines()[2:]]
            for table in TABLE.findall(self.prose)
        ]

    def links(self) -> list[str]:
        """The targets of all links and images that are not on another host."""
        prose = SPAN.sub("", self.prose)
        return [link for link in LINK.findall(prose) if not re.match(r"[a-z]+:", link)]

    def paths(self) -> set[str]:
        """Files and folders of the checkout that the page names between backticks."""
        spans = SPAN.findall(self.prose)
        return {span for span in spans if "/" in span and PATH.fullmatch(span)}

    def modules(self) -> set[str]:
        """Dotted names of modules, or of what is in them."""
        return {span for span in SPAN.findall(self.prose) if MODULE.fullmatch(span)}

    def names_in_files(self) -> set[tuple[str, str]]:
        """What the page says is in a file: "`name` in `agents/tasks.py`"."""
        prose = re.sub(r"\s+", " ", self.prose)
        return set(NAME_IN_FILE.findall(prose))


def anchor_of(title: str) -> str:
    plain = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", title).replace("`", "")
    return re.sub(r"[^\w\- ]", "", plain.lower()).replace(" ", "-")


def twice(things: Iterable[object]) -> Iterator[object]:
    """Those that occurred before."""
    seen = set()
    for thing in things:
        if thing in seen:
            yield thing
        seen.add(thing)


def faults_of(page: Page, *, root: Path) -> list[str]:
    """What is wrong with the page, in words."""
    return [*repetitions(page), *dead_links(page, root=root), *missing_files(page, root=root)]


def repetitions(page: Page) -> Iterator[str]:
    # Each version of a changelog has the same headings.
    versions = page.path.name == "CHANGELOG.md"
    for heading in twice(page.headings() if versions else page.anchors()):
        yield f"the heading {heading!r} is there twice"
    for table in page.tables():
        for cell in twice(cell for cell in table if cell):
            yield f"a table has two rows for {cell!r}"
    for cell in twice(cell for table in page.tables() for cell in table if is_name(cell)):
        yield f"{cell} has rows in two tables"


def is_name(cell: str) -> bool:
    """Whether a cell is one setting, metric or code of an error, which is described once."""
    return re.fullmatch(r"`(tenantry_\w+|TENANTRY_\w+|[a-z]+_[a-z_]+)`(?: ¹)?", cell) is not None


def dead_links(page: Page, *, root: Path) -> Iterator[str]:
    for link in page.links():
        name, _, anchor = link.partition("#")
        target = (page.path.parent / name).resolve() if name else page.path
        if name and not (target.exists() and target.is_relative_to(root)):
            yield f"the link {link} leads nowhere"
        elif anchor and anchor not in anchors_of(page, target):
            yield f"the link {link} names a heading that is not there"


def anchors_of(page: Page, target: Path) -> list[str]:
    if target == page.path:
        return page.anchors()
    return Page(target, target.read_text(encoding="utf-8")).anchors()


def missing_files(page: Page, *, root: Path) -> Iterator[str]:
    for path in sorted(page.paths()):
        if not any((base / path).exists() for base in (root, root / "platform")):
            yield f"there is no {path}"
    for module in sorted(page.modules()):
        if not is_module(module, root=root):
            yield f"there is no module {module}"
    for name, path in sorted(page.names_in_files()):
        file = root / path
        if file.is_file() and not has_name(file, name.rpartition(".")[2]):
            yield f"{path} has no {name}"


def has_name(file: Path, name: str) -> bool:
    return re.search(rf"\b{re.escape(name)}\b", file.read_text(encoding="utf-8")) is not None


def is_module(name: str, *, root: Path) -> bool:
    """Whether `name` is a module, or what a module defines or imports."""
    parts = name.split(".")
    for base in (root, root / "platform"):
        place = base.joinpath(*parts)
        if place.with_suffix(".py").exists() or place.is_dir():
            return True
        owner = base.joinpath(*parts[:-1]).with_suffix(".py")
        if owner.exists() and has_name(owner, parts[-1]):
            return True
    return False
