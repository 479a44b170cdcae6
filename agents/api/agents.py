"""`/agents`: agents with a draft each, and its publication as a revision."""

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
from agents.models.choices import BusyPolicy, Overflow, ResponseCacheMode
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
            *("is_paused", "capabilities", "capability_schemas", "placement"),
            *("subscriptions", "offered_over_mcp", "offered_over_a2a"),
            *("published_revision", "has_unpublished_changes", "created_at", "changed_at"),
        )
        read_only_fields = fields


class AgentDraftSerializer(serializers.Serializer[Agent]):
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
        required=False,
        help_text="Variables of the instructions, written as {{name}}, and the default of each.",
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
    response_cache = serializers.ChoiceField(choices=ResponseCacheMode.choices, required=False)
    cache_seconds = serializers.IntegerField(min_value=1, max_value=30 * 86_400, required=False)
    capabilities = serializers.ListField(
        child=serializers.CharField(max_length=63),
        required=False,
        help_text="What tasks may require of the agent, for example translate.de-en.",
    )
    capability_schemas = serializers.DictField(
        required=False,
        help_text="JSON schemas by capability: `{word: {input: schema, output: schema}}`.",
    )
    placement = serializers.DictField(
        required=False,
        help_text="The agent nodes of its background runs: `labels`, `zone`, `capabilities`, "
        "`replicas` and `weight`. Empty: all nodes.",
    )
    subscriptions = serializers.ListField(
        child=serializers.CharField(max_length=63),
        required=False,
        help_text="The topics whose messages the agent gets.",
    )
    offered_over_mcp = serializers.BooleanField(
        required=False, help_text="Whether MCP clients of the tenant may call it as a tool."
    )
    offered_over_a2a = serializers.BooleanField(
        required=False, help_text="Whether agents of others may send it tasks by A2A."
    )


class NewAgentSerializer(AgentDraftSerializer):
    slug = serializers.SlugField(max_length=50)
    name = serializers.CharField(max_length=200)
    route = serializers.SlugRelatedField[ModelRoute](
        slug_field="name", queryset=ModelRoute.objects.all()
    )


class PublicationSerializer(serializers.Serializer[Any]):
    note = serializers.CharField(
        max_length=200, required=False, allow_blank=True, help_text="What changed, and why."
    )


class DeploymentSerializer(serializers.Serializer[Any]):
    placement = serializers.DictField(
        default=dict, help_text="As the field of the agent. Empty: all nodes."
    )


class RollbackSerializer(serializers.Serializer[Any]):
    revision = serializers.IntegerField(
        min_value=1, max_value=MAX_INTEGER, help_text="Number of the revision to serve again."
    )


@extend_schema(parameters=[WHICH_TENANT])
class AgentsViewSet(ListModelMixin, RetrieveModelMixin, RevisionActions, RolloutActions):
    serializer_class = AgentSerializer

    def get_queryset(self) -> QuerySet[Agent]:
        return Agent.objects.select_related("tenant", "route", "published")

    @extend_schema(request=NewAgentSerializer, responses={201: AgentSerializer})
    def create(self, request: Request) -> Response:
        """Create an agent with a draft. It is not served until it is published."""
        tenant = self.target_tenant()
        data = self.validated(NewAgentSerializer)
        return self.show_new(services.create_agent(tenant=tenant, **data))

    @extend_schema(request=AgentDraftSerializer)
    def partial_update(self, request: Request, pk: str) -> Response:
        """Change the draft. The published revision does not change."""
        agent = self.get_object()
        for name, value in self.validated(AgentDraftSerializer).items():
            setattr(agent, name, value)
        services.save_draft(agent=agent)
        return self.show(agent)

    @extend_schema(responses={204: None})
    def destroy(self, request: Request, pk: str) -> Response:
        """Delete an agent and its revisions."""
        services.delete_agent(agent=self.get_object())
        return Response(status=status.HTTP_204_NO_CONTENT)

    @extend_schema(request=None, responses=AgentSerializer)
    @action(detail=True, methods=["post"])
    def pause(self, request: Request, pk: str) -> Response:
        """Refuse new requests. What the agent has accepted is executed."""
        services.pause_agent(agent=self.get_object())
        return self.show(self.get_object())

    @extend_schema(request=None, responses=AgentSerializer)
    @action(detail=True, methods=["post"])
    def resume(self, request: Request, pk: str) -> Response:
        """Accept requests again."""
        services.resume_agent(agent=self.get_object())
        return self.show(self.get_object())

    @extend_schema(request=DeploymentSerializer, responses=AgentSerializer)
    @action(detail=True, methods=["post"])
    def deploy(self, request: Request, pk: str) -> Response:
        """Set the agent nodes that execute the background runs of the agent."""
        data = self.validated(DeploymentSerializer)
        services.deploy_agent(agent=self.get_object(), **data)
        return self.show(self.get_object())

    @extend_schema(request=None, responses=AgentSerializer)
    @action(detail=True, methods=["post"])
    def undeploy(self, request: Request, pk: str) -> Response:
        """Remove the agent from all agent nodes. Its queued runs wait until it is deployed."""
        services.undeploy_agent(agent=self.get_object())
        return self.show(self.get_object())

    @extend_schema(request=PublicationSerializer, responses={201: RevisionSerializer})
    @action(detail=True, methods=["post"])
    def publish(self, request: Request, pk: str) -> Response:
        """Publish the draft as the next revision."""
        note = self.validated(PublicationSerializer).get("note", "")
        revision = services.publish(agent=self.get_object(), user=acting_user(request), note=note)
        return Response(RevisionSerializer(revision).data, status=status.HTTP_201_CREATED)

    @extend_schema(request=RollbackSerializer, responses=AgentSerializer)
    @action(detail=True, methods=["post"])
    def rollback(self, request: Request, pk: str) -> Response:
        """Serve an earlier revision again. The draft does not change."""
        agent = self.get_object()
        number = self.validated(RollbackSerializer)["revision"]
        revision = get_object_or_404(AgentRevision.objects, agent=agent, number=number)
        services.rollback(agent=agent, revision=revision)
        return self.show(agent)
