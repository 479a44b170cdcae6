"""The revisions of an agent, and the differences between two configurations."""

from typing import Any

from django.shortcuts import get_object_or_404
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import serializers
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from agents.models import Agent, AgentRevision
from agents.models.agent import FROZEN
from agents.revisions.diff import diff
from kernel.errors import NotFound
from tenants.api.access import TenantViewSet

CONFIGURATION = tuple(name.removesuffix("_id") for name in FROZEN)
DRAFT = "draft"
SIDE = "The number of a revision, or `draft`."


class RevisionSerializer(serializers.ModelSerializer[AgentRevision]):
    route = serializers.SlugRelatedField[AgentRevision](slug_field="name", read_only=True)
    published_by = serializers.SlugRelatedField[AgentRevision](
        slug_field="username", read_only=True, allow_null=True
    )

    class Meta:
        model = AgentRevision
        fields = ("number", *CONFIGURATION, "note", "published_by", "published_at")
        read_only_fields = fields


class LineSerializer(serializers.Serializer[Any]):
    kind = serializers.CharField(help_text="`added`, `removed`, `place` or `same`")
    text = serializers.CharField()


class DifferencesSerializer(serializers.Serializer[Any]):
    lines = LineSerializer(many=True, help_text="Empty if both configurations are equal.")


class RevisionActions(TenantViewSet[Agent]):
    """The actions of `/agents/{pk}` on revisions."""

    @extend_schema(responses=RevisionSerializer(many=True))
    @action(detail=True, methods=["get"])
    def revisions(self, request: Request, pk: str) -> Response:
        """List the revisions of the agent, newest first."""
        revisions = AgentRevision.objects.filter(agent=self.get_object())
        # The paginator is typed for agents, but paginates any rows.
        rows: Any = revisions.select_related("route", "published_by")
        page: Any = self.paginate_queryset(rows)
        return self.get_paginated_response(RevisionSerializer(page, many=True).data)

    @extend_schema(responses=RevisionSerializer)
    @action(detail=True, methods=["get"], url_path=r"revisions/(?P<number>\d{1,9})")
    def revision(self, request: Request, pk: str, number: str) -> Response:
        """Show one revision. Clients address it as `model: "<slug>@<number>"`."""
        rows = AgentRevision.objects.select_related("route", "published_by")
        row = get_object_or_404(rows, agent=self.get_object(), number=int(number))
        return Response(RevisionSerializer(row).data)

    @extend_schema(
        parameters=[
            OpenApiParameter("old", str, description=SIDE + " Default: the published revision."),
            OpenApiParameter("new", str, description=SIDE + " Default: `draft`."),
        ],
        responses=DifferencesSerializer,
    )
    @action(detail=True, methods=["get"])
    def differences(self, request: Request, pk: str) -> Response:
        """Compare two configurations line by line: what `new` removes from `old` and adds."""
        agent = self.get_object()
        old, new = (request.query_params.get(name, "") for name in ("old", "new"))
        served = side_of(agent, old) if old else agent.published
        lines = diff(served=served, draft=side_of(agent, new or DRAFT))
        return Response({"lines": [{"kind": each.kind, "text": each.text} for each in lines]})


def side_of(agent: Agent, name: str) -> Agent | AgentRevision:
    """Raises NotFound for a revision that this agent does not have."""
    if name == DRAFT:
        return agent
    number = int(name) if name.isascii() and name.isdecimal() and len(name) <= 9 else 0  # noqa: PLR2004 - what the column holds
    row = AgentRevision.objects.select_related("route").filter(agent=agent, number=number).first()
    if row is None:
        raise NotFound("This agent has no such revision.")
    return row
