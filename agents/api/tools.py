"""`/tools`: tools that a tenant's agents may call. Credentials are write-only."""

from typing import Any

from django.db.models import BooleanField, Case, QuerySet, Value, When
from drf_spectacular.utils import extend_schema
from rest_framework import serializers, status
from rest_framework.mixins import ListModelMixin, RetrieveModelMixin
from rest_framework.request import Request
from rest_framework.response import Response

from agents.api.tool_imports import ToolImportsViewSet
from agents.api.tool_serializers import ToolSerializer
from agents.models import Tool
from agents.models.choices import ToolKind
from agents.tool_library.store import delete_tool, save_tool
from tenants.api.access import WHICH_TENANT


class ToolChangesSerializer(serializers.Serializer[Tool]):
    description = serializers.CharField(max_length=4000, required=False, allow_blank=True)
    schema = serializers.DictField(required=False)
    settings = serializers.DictField(required=False)
    credential = serializers.CharField(
        max_length=10_000,
        required=False,
        allow_blank=True,
        write_only=True,
        help_text="Sent with each call. Empty: none. It is never returned.",
    )
    timeout_seconds = serializers.IntegerField(min_value=1, max_value=600, required=False)
    needs_approval = serializers.BooleanField(
        required=False, help_text="Whether a person must approve each call before it is executed."
    )
    is_idempotent = serializers.BooleanField(
        required=False,
        help_text="Whether a call may be executed again after its agent node failed.",
    )
    offered_over_mcp = serializers.BooleanField(
        required=False, help_text="Whether MCP clients of the tenant may call the tool."
    )
    enabled = serializers.BooleanField(required=False)


class NewToolSerializer(ToolChangesSerializer):
    name = serializers.CharField(max_length=64, help_text="The function's name for the model.")
    kind = serializers.ChoiceField(choices=ToolKind.choices)


@extend_schema(parameters=[WHICH_TENANT])
class ToolsViewSet(ListModelMixin, RetrieveModelMixin, ToolImportsViewSet):
    serializer_class = ToolSerializer

    def get_queryset(self) -> QuerySet[Tool]:
        has_one: Any = Case(
            When(credential="", then=Value(value=False)),
            default=Value(value=True),
            output_field=BooleanField(),
        )
        rows = Tool.objects.select_related("tenant").defer("credential")
        return rows.annotate(has_credential=has_one)

    @extend_schema(request=NewToolSerializer, responses={201: ToolSerializer})
    def create(self, request: Request) -> Response:
        """Create a tool. Agents call it after a revision that names it is published."""
        tool = Tool(tenant=self.target_tenant(), **self.validated(NewToolSerializer))
        save_tool(tool=tool)
        return self.show(self.get_queryset().get(pk=tool.pk), code=status.HTTP_201_CREATED)

    @extend_schema(request=ToolChangesSerializer)
    def partial_update(self, request: Request, pk: str) -> Response:
        """Change a tool. The change applies to the next call of every agent that names it."""
        tool = self.get_object()
        for name, value in self.validated(ToolChangesSerializer).items():
            setattr(tool, name, value)
        save_tool(tool=tool)
        return self.show(self.get_queryset().get(pk=tool.pk))

    @extend_schema(responses={204: None})
    def destroy(self, request: Request, pk: str) -> Response:
        """Delete a tool. Agents that name it continue without it."""
        delete_tool(tool=self.get_object())
        return Response(status=status.HTTP_204_NO_CONTENT)
