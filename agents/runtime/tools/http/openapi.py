"""Operations of an OpenAPI document (3.0 and 3.1) as HTTP tools. Pure.

The document is a stranger's: references are followed inside of it only, and what cannot be read is
said for each operation, so that the others can be imported.
"""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urljoin

from agents.runtime.arguments import WrongArguments, ensure_schema
from agents.runtime.imported_tool import ImportedTool, unique
from agents.runtime.tools.http.openapi_schema import (
    Definitions,
    WrongReference,
    argument_schema,
    resolve,
)
from agents.runtime.tools.http.openapi_text import WrongDocument, read_text
from agents.runtime.tools.http.settings import HttpSettings, ensure_makeable
from agents.runtime.tools.settings import WrongSettings, read_settings

__all__ = ["Imported", "Skipped", "WrongDocument", "import_operations", "read_document"]

METHODS = ("get", "post", "put", "patch", "delete")
MOST_OPERATIONS = 500
LONGEST_DESCRIPTION = 1000
BODIES = {"application/json": "json", "application/x-www-form-urlencoded": "form"}
PLACES: Mapping[Any, str] = {"query": "query", "header": "headers"}
NAME = re.compile(r"[A-Za-z0-9_.\-]{1,100}")
NOT_ARGUMENTS = frozenset({"accept", "content-type", "authorization"})
"""Header parameters that OpenAPI itself says to ignore."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Skipped:
    """An operation that cannot become a tool."""

    name: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Imported:
    """What a document holds."""

    tools: tuple[ImportedTool, ...]
    skipped: tuple[Skipped, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Operation:
    """One of the document, with what it shares with its path."""

    method: str
    path: str
    body: Mapping[str, Any]
    shared: Sequence[Any]
    """Parameters of its path."""

    @property
    def name(self) -> str:
        named = self.body.get("operationId")
        return named if isinstance(named, str) and named else f"{self.method}{self.path}"


def read_document(text: bytes) -> Mapping[str, Any]:
    """The document in `text`, which is JSON or YAML. Raises WrongDocument."""
    document = read_text(text)
    if not isinstance(document, dict) or not str(document.get("openapi", "")).startswith("3."):
        raise WrongDocument('This is no OpenAPI 3 document: "openapi" must begin with "3.".')
    if not isinstance(document.get("paths"), dict) or not document["paths"]:
        raise WrongDocument("The document has no paths, so there is nothing to call.")
    return document


def import_operations(document: Mapping[str, Any], *, source: str = "") -> Imported:
    """Every operation as a tool. `source` is where the document came from: servers may be relative.

    Raises WrongDocument if there is no server to send requests to, or no operation.
    """
    base = base_url(document, source)
    tools, skipped = [], []
    for operation in operations(document):
        try:
            tools.append(as_tool(operation, document, base))
        except (WrongSettings, WrongArguments, WrongReference) as error:
            skipped.append(Skipped(name=operation.name, reason=str(error)))
        if len(tools) + len(skipped) > MOST_OPERATIONS:
            raise WrongDocument(f"The document has more than {MOST_OPERATIONS} operations.")
    if not tools and not skipped:
        raise WrongDocument("The document has no operations.")
    return Imported(tools=unique(tools), skipped=tuple(skipped))


def base_url(document: Mapping[str, Any], source: str) -> str:
    """The first server's, its variables with their defaults."""
    servers = document.get("servers")
    first = servers[0] if isinstance(servers, list) and servers else {}
    url = first.get("url", "/") if isinstance(first, dict) else "/"
    variables = first.get("variables") if isinstance(first, dict) else None
    for name, variable in (variables or {}).items() if isinstance(variables, dict) else ():
        default = variable.get("default", "") if isinstance(variable, dict) else ""
        url = str(url).replace("{" + str(name) + "}", str(default))
    joined = urljoin(source, str(url))
    if not joined.startswith(("https://", "http://")):
        raise WrongDocument("The document names no server. Give the address it came from.")
    return joined.rstrip("/")


def operations(document: Mapping[str, Any]) -> Iterator[Operation]:
    paths = document.get("paths")
    for path, item in paths.items() if isinstance(paths, dict) else ():
        if not isinstance(item, dict):
            continue
        for method in METHODS:
            body = item.get(method)
            if isinstance(body, dict):
                yield Operation(
                    method=method, path=str(path), body=body, shared=listed(item.get("parameters"))
                )


def listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def as_tool(operation: Operation, document: Mapping[str, Any], base: str) -> ImportedTool:
    """Raises WrongSettings and WrongArguments for one that cannot be called."""
    draft = Draft(document, url=base + operation.path, method=operation.method.upper())
    for parameter in parameters_of(operation, document):
        draft.add_parameter(parameter)
    draft.add_body(resolve(operation.body.get("requestBody"), document))
    missing = set(re.findall(r"\{([^}]*)\}", operation.path)) - set(draft.properties)
    if missing:
        raise WrongSettings(f"The path's {min(missing)!r} is not described.")
    schema = argument_schema(draft.properties, draft.required, draft.definitions)
    ensure_schema(schema)
    ensure_makeable(read_settings(draft.settings, HttpSettings))
    return ImportedTool(
        name=operation.name,
        description=description_of(operation),
        schema=schema,
        settings=draft.settings,
    )


def parameters_of(operation: Operation, document: Mapping[str, Any]) -> Iterable[Mapping[str, Any]]:
    """One of the operation replaces one of its path. Raises WrongReference."""
    found = {}
    for each in (*operation.shared, *listed(operation.body.get("parameters"))):
        parameter = resolve(each, document)
        found[str(parameter.get("name")), str(parameter.get("in"))] = parameter
    return found.values()


class Draft:
    """A tool that is being made of an operation."""

    def __init__(self, document: Mapping[str, Any], *, url: str, method: str) -> None:
        self._document = document
        self.settings: dict[str, Any] = {"url": url, "method": method}
        self.properties: dict[str, Any] = {}
        self.required: list[str] = []
        self.definitions = Definitions(document)

    def add_parameter(self, parameter: Mapping[str, Any]) -> None:
        name, place = str(parameter.get("name", "")), parameter.get("in")
        if place == "header" and name.lower() in NOT_ARGUMENTS:
            return
        if place not in {"path", "query", "header"}:
            if parameter.get("required"):
                raise WrongSettings(f"The parameter {name[:100]!r} stands in a {place}.")
            return
        if NAME.fullmatch(name) is None:
            raise WrongSettings(f"The parameter {name[:100]!r} cannot be filled in.")
        self.properties[name] = self.definitions.adopt(parameter.get("schema"))
        if isinstance(parameter.get("description"), str):
            text = parameter["description"][:LONGEST_DESCRIPTION]
            self.properties[name].setdefault("description", text)
        if parameter.get("required") or place == "path":
            self.required.append(name)
        if place in PLACES:
            self.settings.setdefault(PLACES[place], {})[name] = "{" + name + "}"

    def add_body(self, body: Mapping[str, Any]) -> None:
        """Its properties become arguments beside the others; one that is no object, or has names
        that are taken, becomes the argument `body`.
        """
        content = body.get("content")
        content = content if isinstance(content, dict) else {}
        kind = next((kind for kind in BODIES if kind in content), None)
        self.settings["rest"] = "query"
        if kind is None:
            if body.get("required"):
                raise WrongSettings("Its body is neither JSON nor a form.")
            return
        schema = content[kind].get("schema") if isinstance(content[kind], dict) else None
        if not self._add_fields(resolve(schema, self._document), body, BODIES[kind]):
            if BODIES[kind] == "form":
                raise WrongSettings("Its form has no fields, or some named like parameters.")
            self.settings["body_argument"] = "body"
            self.properties["body"] = self.definitions.adopt(schema)
            self.required += ["body"] if body.get("required") else []

    def _add_fields(self, schema: Mapping[str, Any], body: Mapping[str, Any], rest: str) -> bool:
        own = schema.get("properties")
        if not isinstance(own, dict) or not own or set(own) & set(self.properties):
            return False
        self.settings["rest"] = rest
        self.properties |= {name: self.definitions.adopt(each) for name, each in own.items()}
        if body.get("required"):
            self.required += [each for each in listed(schema.get("required")) if each in own]
        return True


def description_of(operation: Operation) -> str:
    texts = (operation.body.get("summary"), operation.body.get("description"))
    said = "\n".join(text for text in texts if isinstance(text, str) and text)
    return said[:LONGEST_DESCRIPTION] or f"{operation.method.upper()} {operation.path}"
