"""`/agents`: drafts, published as revisions that tenants are served."""

from typing import Any

from django.db.models import QuerySet
from django.shortcuts import get_object_or_404
from drf_spectacular.utils import extend_schema
from rest_framework import serializers, status
from rest_framework.decorators import action
from rest_framework.mixins import ListModelMixin, RetrieveModelMixin
from rest_framework.request import Request
from rest_framework.response import Response

from agents import services
from agents.api.revisions import CONFIGURATION, RevisionActions, RevisionSerializer
from agents.api.rollouts import MAX_INTEGER, RolloutActions
from agents.models import Agent, AgentRevision
from agents.models.agent import MAX_INSTRUCTIONS_CHARS, validate_parameters
from agents.models.choices import BusyPolicy, Overflow, ResponseCache
from inference.models import ModelRoute
from tenants.api.access import WHICH_TENANT, acting_user


class AgentSerializer(serializers.ModelSerializer[Agent]):
    tenant = serializers.SlugRelatedField[Agent](slug_field="slug", read_only=True)
    route = serializers.SlugRelatedField[Agent](slug_field="name", read_only=True)
    published_revision = serializers.IntegerField(
        source="published.number", read_only=True, allow_null=True, default=None
    )
    has_unpublished_changes = serializers.BooleanField(read_only=True)

    class Meta:
        model = Agent
        fields = (
            *("id", "tenant", "slug", "name", "description", *CONFIGURATION),
            *("published_revision", "has_unpublished_changes", "created_at", "changed_at"),
        )
        read_only_fields = fields


class DraftSerializer(serializers.Serializer[Agent]):
    name = serializers.CharField(max_length=200, required=False)
    description = serializers.CharField(max_length=500, required=False, allow_blank=True)
    route = serializers.SlugRelatedField[ModelRoute](
        slug_field="name", queryset=ModelRoute.objects.all(), required=False
    )
    instructions = serializers.CharField(
        max_length=MAX_INSTRUCTIONS_CHARS, required=False, allow_blank=True, trim_whitespace=False
    )
    parameters = serializers.JSONField(validators=[validate_parameters], required=False)
    variables = serializers.DictField(
        required=False, help_text="Names used as {{name}} in the instructions, with their defaults."
    )
    tools = serializers.ListField(
        child=serializers.CharField(max_length=64), max_length=128, required=False
    )
    max_steps = serializers.IntegerField(min_value=1, max_value=100, required=False)
    max_tool_calls = serializers.IntegerField(min_value=0, max_value=1000, required=False)
    max_run_seconds = serializers.IntegerField(min_value=1, max_value=86_400, required=False)
    max_run_tokens = serializers.IntegerField(
        min_value=0, max_value=MAX_INTEGER, required=False, allow_null=True
    )
    busy_policy = serializers.ChoiceField(
        choices=BusyPolicy.choices, required=False, allow_blank=True
    )
    overflow = serializers.ChoiceField(choices=Overflow.choices, required=False)
    response_cache = serializers.ChoiceField(choices=ResponseCache.choices, required=False)
    cache_seconds = serializers.IntegerField(min_value=1, max_value=30 * 86_400, required=False)


class NewAgentSerializer(DraftSerializer):
    slug = serializers.SlugField(max_length=50)
    name = serializers.CharField(max_length=200)
    route = serializers.SlugRelatedField[ModelRoute](
        slug_field="name", queryset=ModelRoute.objects.all()
    )


class PublicationSerializer(serializers.Serializer[Any]):
    note = serializers.CharField(
        max_length=200, required=False, allow_blank=True, help_text="What changed, and why."
    )


class RollbackSerializer(serializers.Serializer[Any]):
    revision = serializers.IntegerField(
        min_value=1, max_value=MAX_INTEGER, help_text="The number to serve again."
    )


@extend_schema(parameters=[WHICH_TENANT])
class AgentsViewSet(ListModelMixin, RetrieveModelMixin, RevisionActions, RolloutActions):
    serializer_class = AgentSerializer

    def get_queryset(self) -> QuerySet[Agent]:
        return Agent.objects.select_related("tenant", "route", "published")

    @extend_schema(request=NewAgentSerializer, responses={201: AgentSerializer})
    def create(self, request: Request) -> Response:
        """Make a draft; tenants see it when it is published."""
        tenant = self.tenant_meant()
        data = self.validated(NewAgentSerializer)
        return self.show_new(services.create_agent(tenant=tenant, **data))

    @extend_schema(request=DraftSerializer)
    def partial_update(self, request: Request, pk: str) -> Response:
        """Change the draft. What tenants are served stays as it is."""
        agent = self.get_object()
        for name, value in self.validated(DraftSerializer).items():
            setattr(agent, name, value)
        services.save_draft(agent=agent)
        return self.show(agent)

    @extend_schema(responses={204: None})
    def destroy(self, request: Request, pk: str) -> Response:
        """Delete an agent and its revisions."""
        services.delete_agent(agent=self.get_object())
        return Response(status=status.HTTP_204_NO_CONTENT)

    @extend_schema(request=PublicationSerializer, responses={201: RevisionSerializer})
    @action(detail=True, methods=["post"])
    def publish(self, request: Request, pk: str) -> Response:
        """Freeze the draft as the next revision and serve it."""
        note = self.validated(PublicationSerializer).get("note", "")
        revision = services.publish(agent=self.get_object(), user=acting_user(request), note=note)
        return Response(RevisionSerializer(revision).data, status=status.HTTP_201_CREATED)

    @extend_schema(request=RollbackSerializer, responses=AgentSerializer)
    @action(detail=True, methods=["post"])
    def rollback(self, request: Request, pk: str) -> Response:
        """Serve an earlier revision again. The draft stays as it is."""
        agent = self.get_object()
        number = self.validated(RollbackSerializer)["revision"]
        revision = get_object_or_404(AgentRevision.objects, agent=agent, number=number)
        services.rollback(agent=agent, revision=revision)
        return self.show(agent)
