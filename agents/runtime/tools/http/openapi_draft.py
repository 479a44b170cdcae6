"""Builds a tool from the parameters and the body of an operation. Pure."""

import re
from collections.abc import Mapping
from typing import Any

from agents.runtime.tools.http.openapi_bodies import Body, choose_body, has_fields
from agents.runtime.tools.http.openapi_parameters import (
    MAX_ARGUMENT_CHARS,
    UNFIT,
    ReadParameter,
    argument_name,
    as_settings,
    is_ignored,
    is_required,
    read_parameter,
    style_of,
)
from agents.runtime.tools.http.openapi_references import resolve
from agents.runtime.tools.http.openapi_schema import Definitions, listed
from agents.runtime.tools.http.parameters import Parameter
from agents.runtime.tools.http.settings import ensure_parameter
from agents.runtime.tools.settings import WrongSettings, read_settings

MAX_DESCRIPTION_CHARS = 1000
BODY = "body"
MAX_LISTED_CHARS = 200


class ToolDraft:
    """Collects the settings and the arguments of one tool."""

    def __init__(self, document: Mapping[str, Any], *, url: str, method: str) -> None:
        self._document = document
        self.settings: dict[str, Any] = {"url": url, "method": method, "rest": "query"}
        self.properties: dict[str, Any] = {}
        self.required: list[str] = []
        self.notes: list[str] = []
        """Sentences about what the tool omits."""
        self.definitions = Definitions(document)
        self._described: set[str] = set()

    def add_parameter(self, parameter: Mapping[str, Any]) -> None:
        """Add a parameter. An optional one that cannot be sent is omitted. Raises WrongSettings."""
        if is_ignored(parameter):
            return
        name, place = str(parameter.get("name", "")), str(parameter.get("in", ""))
        if place == "path" and f"{{{name}}}" not in self.settings["url"]:
            self.notes.append(f"The path has no {name[:100]!r}, so this parameter is left out.")
            return
        argument = argument_name(name, place, self.properties)
        try:
            read = read_parameter(parameter, argument=argument)
        except WrongSettings as error:
            if is_required(parameter):
                raise
            self.notes.append(f"{error} It is optional and left out.")
            return
        self._add(read, argument)

    def _add(self, read: ReadParameter, argument: str) -> None:
        described = self.definitions.adopt(read.schema)
        if read.description:
            described.setdefault("description", read.description[:MAX_DESCRIPTION_CHARS])
        self.properties[argument] = described
        if read.required:
            self.required.append(argument)
        stored = as_settings(read.parameter)
        if read.parameter.place == "path":
            name = read.parameter.wire_name
            self._described.add(argument)
            self.settings["url"] = self.settings["url"].replace(f"{{{name}}}", f"{{{argument}}}")
            if stored.keys() <= {"argument", "in"}:
                return
        self.settings.setdefault("parameters", []).append(stored)

    def missing_in_path(self) -> set[str]:
        """Placeholders that no parameter describes."""
        return set(re.findall(r"\{([^}]*)\}", self.settings["url"])) - self._described

    def add_body(self, body: Mapping[str, Any]) -> None:
        """Add a body. Its properties become arguments; a body that is no object, or whose names
        are used, becomes the argument `body`. Raises WrongSettings and WrongReference.
        """
        chosen = choose_body(body.get("content"))
        is_demanded = body.get("required") is True
        if chosen is None:
            kinds = ", ".join(map(str, listed_names(body.get("content"))))[:MAX_LISTED_CHARS]
            reason = f"Its body is neither JSON nor a form{kinds and f', but {kinds}'}."
            if is_demanded:
                raise WrongSettings(reason)
            if kinds:
                self.notes.append(f"{reason} It is optional and left out.")
            return
        if chosen.content_type:
            self.settings["content_type"] = chosen.content_type
        schema = resolve(chosen.schema, self._document)
        if not self._add_fields(schema, chosen, is_demanded=is_demanded):
            self._add_whole_body(chosen, is_demanded=is_demanded)

    def _add_fields(self, schema: Mapping[str, Any], body: Body, *, is_demanded: bool) -> bool:
        """Return whether the properties of the body could become arguments of their own."""
        hidden = (
            self.definitions.read_only_names(dict(schema)) if has_fields(schema) else frozenset()
        )
        own = {
            str(name): each
            for name, each in (schema["properties"] if has_fields(schema) else {}).items()
            if name not in hidden
        }
        unfit = [name for name in own if UNFIT.search(name) or len(name) > MAX_ARGUMENT_CHARS]
        if not has_fields(schema) or set(own) & set(self.properties):
            return False
        if body.rest == "json" and unfit:
            return False
        self.settings["rest"] = body.rest
        for name, each in own.items():
            argument = argument_name(name, "form", self.properties) if name in unfit else name
            self.properties[argument] = self.definitions.adopt(each)
            if body.rest == "form":
                self._add_encoding(name, argument, body.encoding.get(name))
            if is_demanded and name in listed(schema.get("required")):
                self.required.append(argument)
        if not is_demanded:
            self.settings["omit_empty_body"] = True
        return True

    def _add_encoding(self, name: str, argument: str, encoding: Any) -> None:
        """Add the parameter of a form field, if the document describes it. Raises WrongSettings."""
        options = encoding if isinstance(encoding, dict) else {}
        style = style_of(options, "form")
        if name == argument and not style:
            return
        named = {"name": name} if name != argument else {}
        parameter = read_settings({"argument": argument, "in": "form", **named, **style}, Parameter)
        ensure_parameter(parameter)
        self.settings.setdefault("parameters", []).append(as_settings(parameter))

    def _add_whole_body(self, body: Body, *, is_demanded: bool) -> None:
        if body.rest == "form":
            raise WrongSettings("Its form has no fields, or some named like parameters.")
        argument = argument_name(BODY, "whole", self.properties)
        self.settings["body_argument"] = argument
        self.properties[argument] = self.definitions.adopt(body.schema)
        self.required += [argument] if is_demanded else []


def listed_names(value: Any) -> list[str]:
    return list(value) if isinstance(value, dict) else []
