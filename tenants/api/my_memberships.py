"""`/my-memberships` and `/my-invitations`: the user's own memberships and invitations."""

from typing import Any

from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils import timezone
from drf_spectacular.utils import extend_schema
from rest_framework import serializers, status
from rest_framework.decorators import action
from rest_framework.mixins import ListModelMixin, RetrieveModelMixin
from rest_framework.permissions import IsAuthenticated
from rest_framework.request import Request
from rest_framework.response import Response

from tenants import invitations
from tenants.api.access import ApiViewSet, M, acting_user
from tenants.api.member_serializers import InvitationSerializer, MemberSerializer
from tenants.models import Invitation, Membership
from tenants.scoping import every_tenant


class MyMembershipSerializer(MemberSerializer):
    is_default = serializers.SerializerMethodField(
        help_text="Whether this is the tenant of calls without `?tenant=`."
    )

    class Meta:
        model = Membership
        fields = (*MemberSerializer.Meta.fields, "is_default")

    def get_is_default(self, membership: Membership) -> bool:
        return membership.tenant_id == membership.user.default_tenant_id


class OwnViewSet(ListModelMixin, RetrieveModelMixin, ApiViewSet[M]):
    """A view of the user's own rows in every tenant. Each query set is limited to the user."""

    permission_classes = (IsAuthenticated,)

    def dispatch(self, request: HttpRequest, *args: Any, **kwargs: Any) -> Any:
        with every_tenant():
            return super().dispatch(request, *args, **kwargs)


class MyMembershipsViewSet(OwnViewSet[Membership]):
    serializer_class = MyMembershipSerializer

    def get_queryset(self) -> QuerySet[Membership]:
        mine = Membership.objects.filter(user=acting_user(self.request))
        return mine.select_related("tenant", "user")

    @extend_schema(request=None, responses=MyMembershipSerializer)
    @action(detail=True, methods=["post"], url_path="make-default")
    def make_default(self, request: Request, pk: str) -> Response:
        """Make this the tenant of your calls without `?tenant=`."""
        invitations.choose_default_tenant(membership=self.get_object())
        return self.show(self.get_object())

    @extend_schema(responses={204: None})
    def destroy(self, request: Request, pk: str) -> Response:
        """Leave the tenant. Your keys stay with it."""
        invitations.leave_tenant(membership=self.get_object())
        return Response(status=status.HTTP_204_NO_CONTENT)


class MyInvitationsViewSet(OwnViewSet[Invitation]):
    serializer_class = InvitationSerializer

    def get_queryset(self) -> QuerySet[Invitation]:
        return invitations.open_invitations(user=acting_user(self.request), now=timezone.now())

    @extend_schema(request=None, responses={201: MemberSerializer})
    @action(detail=True, methods=["post"])
    def accept(self, request: Request, pk: str) -> Response:
        """Accept the invitation. Your rights in other tenants do not change."""
        membership = invitations.accept_invitation(
            invitation=self.get_object(), user=acting_user(request), now=timezone.now()
        )
        return Response(MemberSerializer(membership).data, status=status.HTTP_201_CREATED)

    @extend_schema(request=None, responses={204: None})
    @action(detail=True, methods=["post"])
    def decline(self, request: Request, pk: str) -> Response:
        """Decline the invitation. The tenant is not notified."""
        invitations.decline_invitation(invitation=self.get_object(), now=timezone.now())
        return Response(status=status.HTTP_204_NO_CONTENT)
