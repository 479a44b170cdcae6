"""Renamed request fields, whose old names are accepted for one version.

A response to an old name has `Deprecation` (RFC 9745), a `Link` to the document of the API, and a
`Warning` for each old name, as in Kubernetes. Response bodies have only the new names.
"""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, ClassVar

from django.urls import reverse
from drf_spectacular.extensions import OpenApiSerializerExtension
from rest_framework import serializers
from rest_framework.response import Response

DEPRECATED_AT = datetime(2026, 11, 30, tzinfo=UTC)
"""Date of the deprecation of the old names."""


class RenamedFields(serializers.Serializer[Any]):
    """A serializer whose `renamed_fields` maps old names to the fields that replace them."""

    renamed_fields: ClassVar[Mapping[str, str]] = {}

    def to_internal_value(self, data: Any) -> Any:
        """Convert old names. Raises ValidationError if the value of a new name differs."""
        if isinstance(data, Mapping):
            data = self.with_new_names(data)
        return super().to_internal_value(data)

    def with_new_names(self, data: Mapping[str, Any]) -> Mapping[str, Any]:
        used = {old: new for old, new in self.renamed_fields.items() if old in data}
        for old, new in used.items():
            if new in data and data[new] != data[old]:
                raise serializers.ValidationError(
                    {old: f"{old} is the old name of {new} and has another value. Send only {new}."}
                )
        view = self.context.get("view")
        if used and view is not None:
            view.deprecated_fields = {**view.deprecated_fields, **used}
        rest = {name: value for name, value in data.items() if name not in used}
        return {**rest, **{new: data[old] for old, new in used.items()}}


def add_deprecation_headers(response: Response, deprecated: Mapping[str, str]) -> None:
    """Add headers that list the deprecated fields of the request and their new names."""
    if deprecated:
        warnings = (f'299 - "{old} is deprecated: use {new}"' for old, new in deprecated.items())
        response["Deprecation"] = f"@{int(DEPRECATED_AT.timestamp())}"
        response["Link"] = f'<{reverse("docs")}>; rel="deprecation"; type="text/html"'
        response["Warning"] = ", ".join(warnings)


class RenamedFieldsExtension(OpenApiSerializerExtension):  # type: ignore[no-untyped-call]
    """Describes the old names as deprecated properties; drf-spectacular finds the subclass."""

    target_class = RenamedFields
    match_subclasses = True

    def map_serializer(self, auto_schema: Any, direction: Any) -> Any:
        schema = auto_schema._map_serializer(self.target, direction, bypass_extensions=True)  # noqa: SLF001 - documented
        properties = schema["properties"]
        for old, new in self.target.renamed_fields.items():
            properties[old] = {
                **{name: fact for name, fact in properties[new].items() if name != "default"},
                "deprecated": True,
                "writeOnly": True,
                "description": f"The old name of `{new}`.",
            }
        return schema
