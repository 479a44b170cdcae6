"""`/remote-agents`: agents of others that a tenant's agents may call."""

from typing import Any

from django.db.models import BooleanField, Case, QuerySet, Value, When
from drf_spectacular.utils import extend_schema
from rest_framework import serializers, status
from rest_framework.decorators import action
from rest_framework.mixins import ListModelMixin, RetrieveModelMixin
from rest_framework.request import Request
from rest_framework.response import Response

from agents.a2a.remote_agents import (
    delete_remote_agent,
    refresh_remote_agent,
    save_remote_agent,
)
from agents.models import RemoteAgent
from tenants.api.access import WHICH_TENANT, TenantViewSet


class RemoteAgentSerializer(serializers.ModelSerializer[RemoteAgent]):
    """A remote agent without its credential."""

    tenant = serializers.SlugRelatedField[RemoteAgent](slug_field="slug", read_only=True)
    has_credential = serializers.BooleanField(read_only=True)
    capabilities = serializers.ListField(
        child=serializers.CharField(), read_only=True, help_text="The ids of its skills."
    )

    class Meta:
        model = RemoteAgent
        fields = (
            *("id", "tenant", "name", "card_url", "card", "capabilities", "interface_url"),
            *("binding", "has_credential", "credential_header", "credential_prefix", "enabled"),
            *("fetched_at", "created_at"),
        )
        read_only_fields = fields


class RemoteAgentChangesSerializer(serializers.Serializer[RemoteAgent]):
    card_url = serializers.CharField(max_length=500, required=False)
    credential = serializers.CharField(
        max_length=10_000,
        required=False,
        allow_blank=True,
        write_only=True,
        help_text="Sent with each message. Empty: none. It is never returned.",
    )
    credential_header = serializers.CharField(max_length=100, required=False)
    credential_prefix = serializers.CharField(
        max_length=100, required=False, allow_blank=True, trim_whitespace=False
    )
    enabled = serializers.BooleanField(required=False)


class NewRemoteAgentSerializer(RemoteAgentChangesSerializer):
    name = serializers.CharField(max_length=64, help_text="Tools name it.")
    card_url = serializers.CharField(max_length=500)


@extend_schema(parameters=[WHICH_TENANT])
class RemoteAgentsViewSet(ListModelMixin, RetrieveModelMixin, TenantViewSet[RemoteAgent]):
    serializer_class = RemoteAgentSerializer

    def get_queryset(self) -> QuerySet[RemoteAgent]:
        has_one: Any = Case(
            When(credential="", then=Value(value=False)),
            default=Value(value=True),
            output_field=BooleanField(),
        )
        rows = RemoteAgent.objects.select_related("tenant").defer("credential")
        return rows.annotate(has_credential=has_one)

    def show_row(self, agent: RemoteAgent, *, code: int = status.HTTP_200_OK) -> Response:
        row = self.get_queryset().get(pk=agent.pk)
        return Response(RemoteAgentSerializer(row).data, status=code)

    @extend_schema(request=NewRemoteAgentSerializer, responses={201: RemoteAgentSerializer})
    def create(self, request: Request) -> Response:
        """Register an agent by its agent card, which is fetched and checked."""
        data = self.validated(NewRemoteAgentSerializer)
        agent = RemoteAgent(tenant=self.target_tenant(), **data)
        save_remote_agent(agent=agent)
        return self.show_row(agent, code=status.HTTP_201_CREATED)

    @extend_schema(request=RemoteAgentChangesSerializer)
    def partial_update(self, request: Request, pk: str) -> Response:
        """Change a remote agent. Another card URL is fetched."""
        agent = self.get_object()
        for name, value in self.validated(RemoteAgentChangesSerializer).items():
            setattr(agent, name, value)
        save_remote_agent(agent=agent)
        return self.show_row(agent)

    @extend_schema(request=None, responses=RemoteAgentSerializer)
    @action(detail=True, methods=["post"])
    def refresh(self, request: Request, pk: str) -> Response:
        """Fetch the agent card again."""
        agent = self.get_object()
        refresh_remote_agent(agent=agent)
        return self.show_row(agent)

    @extend_schema(responses={204: None})
    def destroy(self, request: Request, pk: str) -> Response:
        """Delete a remote agent. Tools that name it answer with an error."""
        delete_remote_agent(agent=self.get_object())
        return Response(status=status.HTTP_204_NO_CONTENT)
