"""Operations of an OpenAPI document (3.0 and 3.1) as HTTP tools. Pure.

The document is not trusted: references are followed only within it. An operation that cannot be
read is reported by itself, so that the others can be imported.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from agents.runtime.loop.tool_arguments import WrongArguments, ensure_schema
from agents.runtime.tools.http.openapi_draft import MAX_DESCRIPTION_CHARS, ToolDraft
from agents.runtime.tools.http.openapi_references import WrongReference, resolve, resolve_parts
from agents.runtime.tools.http.openapi_schema import argument_schema, listed
from agents.runtime.tools.http.openapi_servers import (
    NO_SERVER,
    NoServer,
    choose_server,
    join_path,
)
from agents.runtime.tools.http.openapi_text import WrongDocument, read_text
from agents.runtime.tools.http.settings import HttpSettings, ensure_http_settings
from agents.runtime.tools.settings import WrongSettings, read_settings
from agents.schema.imported_tool import ImportedTool, Skipped, unique

__all__ = ["Imported", "Skipped", "WrongDocument", "import_operations", "read_document"]

METHODS = ("get", "post", "put", "patch", "delete")
UNSUPPORTED_METHODS = ("head", "options", "trace")
MAX_OPERATIONS = 500
SWAGGER = (
    "This is Swagger 2.0, which is no OpenAPI 3 document. Convert it to OpenAPI 3 first, "
    "for example with swagger2openapi."
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Imported:
    """The operations of a document, as tools."""

    tools: tuple[ImportedTool, ...]
    skipped: tuple[Skipped, ...]
    server: str = ""
    """The host of the document, the only one that gets the credential; empty if there is none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Operation:
    """One operation of the document."""

    method: str
    path: str
    body: Mapping[str, Any]
    item: Mapping[str, Any]
    """The path item, with parameters and servers of all its operations."""

    @property
    def name(self) -> str:
        named = self.body.get("operationId")
        return named if isinstance(named, str) and named else f"{self.method}{self.path}"


def read_document(text: bytes) -> Mapping[str, Any]:
    """Return the document in `text`, which is JSON or YAML. Raises WrongDocument."""
    document = read_text(text)
    if isinstance(document, dict) and str(document.get("swagger", "")).startswith("2"):
        raise WrongDocument(SWAGGER)
    if not isinstance(document, dict) or not str(document.get("openapi", "")).startswith("3."):
        raise WrongDocument('This is no OpenAPI 3 document: "openapi" must begin with "3.".')
    if not isinstance(document.get("paths"), dict) or not document["paths"]:
        raise WrongDocument("The document has no paths, so there is nothing to call.")
    return document


def import_operations(document: Mapping[str, Any], *, source: str = "") -> Imported:
    """Return every operation as a tool. `source` is the URL of the document, for relative servers.

    Raises WrongDocument if there is no server to send requests to, or no operation.
    """
    tools, skipped, without_server = [], [], 0
    for operation in operations(document):
        if isinstance(operation, Skipped):
            skipped.append(operation)
        else:
            try:
                tools.append(as_tool(operation, document, source))
            except (WrongSettings, WrongArguments, WrongReference) as error:
                without_server += isinstance(error, NoServer)
                skipped.append(Skipped(name=operation.name, reason=str(error)))
        if len(tools) + len(skipped) > MAX_OPERATIONS:
            raise WrongDocument(f"The document has more than {MAX_OPERATIONS} operations.")
    if not tools and not skipped:
        raise WrongDocument("The document has no operations.")
    if without_server and not tools:
        raise WrongDocument(NO_SERVER)
    return Imported(
        tools=unique(tools), skipped=tuple(skipped), server=own_server(document, source)
    )


def own_server(document: Mapping[str, Any], source: str) -> str:
    try:
        return choose_server((document.get("servers"),), source=source)
    except WrongSettings:
        return ""


def operations(document: Mapping[str, Any]) -> Iterator[Operation | Skipped]:
    """Yield every operation, and a `Skipped` for each one that cannot be read."""
    paths = document.get("paths")
    for path, item in paths.items() if isinstance(paths, dict) else ():
        if not str(path).startswith("x-"):
            yield from operations_of(str(path), item, document)


def operations_of(
    path: str, item: Any, document: Mapping[str, Any]
) -> Iterator[Operation | Skipped]:
    try:
        whole = whole_item(item, document)
    except WrongReference as error:
        yield Skipped(name=path, reason=str(error))
        return
    if whole is None:
        yield Skipped(name=path, reason="The value at this path is not an object.")
        return
    for method in METHODS:
        body = whole.get(method)
        if isinstance(body, dict):
            yield Operation(method=method, path=path, body=body, item=whole)
        elif method in whole:
            yield Skipped(name=f"{method}{path}", reason="The operation is not an object.")
    for method in UNSUPPORTED_METHODS:
        if method in whole:
            reason = f"A tool cannot call the method {method.upper()}."
            yield Skipped(name=f"{method}{path}", reason=reason)


def whole_item(item: Any, document: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """Return a path item merged with its reference; its own members win. Raises WrongReference."""
    if not isinstance(item, dict):
        return None
    whole: dict[str, Any] = {}
    for part in resolve_parts(item, document):
        whole = {**part, **whole}
    return whole


def as_tool(operation: Operation, document: Mapping[str, Any], source: str) -> ImportedTool:
    """Return the tool of an operation. Raises WrongSettings, WrongArguments and WrongReference."""
    levels = (
        operation.body.get("servers"),
        operation.item.get("servers"),
        document.get("servers"),
    )
    url = join_path(choose_server(levels, source=source), operation.path)
    draft = ToolDraft(document, url=url, method=operation.method.upper())
    for parameter in parameters_of(operation, document):
        draft.add_parameter(parameter)
    draft.add_body(resolve(operation.body.get("requestBody"), document))
    missing = draft.missing_in_path()
    if missing:
        raise WrongSettings(f"The path's {min(missing)!r} is not described.")
    schema = argument_schema(draft.properties, draft.required, draft.definitions)
    ensure_schema(schema)
    ensure_http_settings(read_settings(draft.settings, HttpSettings))
    return ImportedTool(
        name=operation.name,
        description=description_of(operation),
        schema=schema,
        settings=draft.settings,
        notes=tuple(draft.notes),
    )


def parameters_of(operation: Operation, document: Mapping[str, Any]) -> Iterable[Mapping[str, Any]]:
    """Return the parameters; those of the operation replace those of its path.

    Raises WrongReference.
    """
    found = {}
    for each in (
        *listed(operation.item.get("parameters")),
        *listed(operation.body.get("parameters")),
    ):
        parameter = resolve(each, document)
        found[str(parameter.get("name")), str(parameter.get("in"))] = parameter
    return found.values()


def description_of(operation: Operation) -> str:
    texts = (operation.body.get("summary"), operation.body.get("description"))
    description = "\n".join(text for text in texts if isinstance(text, str) and text)
    return description[:MAX_DESCRIPTION_CHARS] or f"{operation.method.upper()} {operation.path}"
