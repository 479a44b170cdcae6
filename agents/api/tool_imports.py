"""Imports of `/tools`: list the tools of a document or a server, and create some of them.

Nothing is stored between the two requests: the second one names tools of the same source.
"""

from collections.abc import Callable
from typing import Any

from django.core.exceptions import ValidationError
from drf_spectacular.utils import extend_schema
from rest_framework import serializers, status
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from agents.api.tool_serializers import ToolSerializer
from agents.models import Tool
from agents.schema.tool_candidates import Credential, ToolCandidates
from agents.tool_library.discovery import (
    fetch_document,
    find_on_server,
    find_operations,
)
from agents.tool_library.imports import ImportOptions, candidates_of, import_tools
from tenants.api.access import TenantViewSet

MAX_URL_CHARS = 2000
Find = Callable[[dict[str, Any]], ToolCandidates]
"""Raises ValidationError."""


class CandidateSerializer(serializers.Serializer[Any]):
    """A tool that can be imported."""

    name = serializers.CharField()
    method = serializers.CharField()
    where = serializers.CharField()
    description = serializers.CharField()
    problem = serializers.CharField(
        help_text="Why the tool cannot be imported. Empty if it can be."
    )
    host = serializers.CharField(help_text="Scheme, host and port that the tool calls.")
    is_credential_host = serializers.BooleanField(
        help_text="Whether this is the document's own server, which gets the credential. Other "
        "hosts get it only if `credential_hosts` names them."
    )
    notes = serializers.ListField(
        child=serializers.CharField(), help_text="Parts of the operation that the tool leaves out."
    )


class SkippedSerializer(serializers.Serializer[Any]):
    name = serializers.CharField()
    reason = serializers.CharField()


class OfferSerializer(serializers.Serializer[Any]):
    """The tools that can be imported, and the skipped operations."""

    tools = CandidateSerializer(many=True)
    skipped = SkippedSerializer(many=True)


class OfferRequestSerializer(serializers.Serializer[Any]):
    """The name prefix and the credential of the tools."""

    prefix = serializers.RegexField(
        r"\A[A-Za-z0-9_-]{0,30}\Z", required=False, allow_blank=True, default=""
    )
    credential = serializers.CharField(
        max_length=10_000, required=False, allow_blank=True, default="", write_only=True
    )
    credential_header = serializers.CharField(
        max_length=100, required=False, default="authorization"
    )
    credential_prefix = serializers.CharField(
        max_length=100,
        required=False,
        default="Bearer ",
        allow_blank=True,
        trim_whitespace=False,
    )


class DocumentSerializer(OfferRequestSerializer):
    url = serializers.CharField(
        max_length=MAX_URL_CHARS,
        required=False,
        default="",
        allow_blank=True,
        help_text="URL of the document, or the URL that the text came from.",
    )
    document = serializers.CharField(
        required=False,
        default="",
        allow_blank=True,
        trim_whitespace=False,
        help_text="Text of the document, JSON or YAML. Empty: it is fetched from `url`.",
    )


class ServerSerializer(OfferRequestSerializer):
    url = serializers.CharField(max_length=MAX_URL_CHARS)


class ChoiceSerializer(serializers.Serializer[Any]):
    names = serializers.ListField(
        child=serializers.CharField(max_length=64), min_length=1, max_length=500
    )
    needs_approval = serializers.BooleanField(required=False, default=False)
    timeout_seconds = serializers.IntegerField(
        min_value=1, max_value=600, required=False, default=20
    )


class ImportDocumentSerializer(ChoiceSerializer, DocumentSerializer):
    """A document, and the names of the tools to create."""

    credential_hosts = serializers.ListField(
        child=serializers.CharField(max_length=MAX_URL_CHARS),
        max_length=100,
        required=False,
        default=list,
        help_text="Hosts that get the credential besides the document's own server, written as "
        "`host` of a listed tool.",
    )


class ImportServerSerializer(ChoiceSerializer, ServerSerializer):
    """An MCP server, and the names of the tools to create."""


class ToolImportsViewSet(TenantViewSet[Tool]):
    @extend_schema(request=DocumentSerializer, responses=OfferSerializer)
    @action(detail=False, methods=["post"], url_path="find-openapi")
    def find_openapi(self, request: Request) -> Response:
        """List the tools that can be created from an OpenAPI document. Nothing is stored."""
        data = self.validated(DocumentSerializer)
        return self.show_offer(data, offered_by_document)

    @extend_schema(request=ImportDocumentSerializer, responses={201: ToolSerializer(many=True)})
    @action(detail=False, methods=["post"], url_path="import-openapi")
    def import_openapi(self, request: Request) -> Response:
        """Create tools from operations of an OpenAPI document: all that are named, or none."""
        data = self.validated(ImportDocumentSerializer)
        return self.make(data, offered_by_document)

    @extend_schema(request=ServerSerializer, responses=OfferSerializer)
    @action(detail=False, methods=["post"], url_path="find-mcp")
    def find_mcp(self, request: Request) -> Response:
        """List the tools that can be created from an MCP server. Nothing is stored."""
        data = self.validated(ServerSerializer)
        return self.show_offer(data, offered_by_server)

    @extend_schema(request=ImportServerSerializer, responses={201: ToolSerializer(many=True)})
    @action(detail=False, methods=["post"], url_path="import-mcp")
    def import_mcp(self, request: Request) -> Response:
        """Create tools from those of an MCP server: all that are named, or none."""
        data = self.validated(ImportServerSerializer)
        return self.make(data, offered_by_server)

    def show_offer(self, data: dict[str, Any], find: Find) -> Response:
        tenant = self.target_tenant()
        offer = find(data)
        candidates = candidates_of(offer, tenant=tenant, prefix=data["prefix"])
        return Response(OfferSerializer({"tools": candidates, "skipped": offer.skipped}).data)

    def make(self, data: dict[str, Any], find: Find) -> Response:
        tenant = self.target_tenant()
        options = ImportOptions(
            prefix=data["prefix"],
            secret=data["credential"],
            credential_hosts=frozenset(data.get("credential_hosts", ())),
            needs_approval=data["needs_approval"],
            timeout_seconds=data["timeout_seconds"],
        )
        made = import_tools(tenant=tenant, offer=find(data), names=data["names"], options=options)
        rows = self.get_queryset().filter(pk__in=[tool.pk for tool in made])
        data = ToolSerializer(rows, many=True).data
        return Response(data, status=status.HTTP_201_CREATED)


def credential_of(data: dict[str, Any]) -> Credential:
    return Credential(
        secret=data["credential"],
        header=data["credential_header"],
        prefix=data["credential_prefix"],
    )


def offered_by_document(data: dict[str, Any]) -> ToolCandidates:
    """Raises ValidationError."""
    if not data["document"] and not data["url"]:
        raise ValidationError({"url": "Provide a URL or a text."})
    text = data["document"].encode(errors="replace") or fetch_document(url=data["url"])
    return find_operations(text=text, source=data["url"], credential=credential_of(data))


def offered_by_server(data: dict[str, Any]) -> ToolCandidates:
    """Raises ValidationError."""
    return find_on_server(url=data["url"], credential=credential_of(data))
