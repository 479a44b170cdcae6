"""`/members` and `/invitations`: roles of users in a tenant, and open offers of roles."""

from django.contrib.auth.validators import UnicodeUsernameValidator
from django.db.models import QuerySet
from django.utils import timezone
from drf_spectacular.utils import PolymorphicProxySerializer, extend_schema
from rest_framework import serializers, status
from rest_framework.mixins import ListModelMixin, RetrieveModelMixin
from rest_framework.request import Request
from rest_framework.response import Response

from tenants import invitations, services
from tenants.api.access import WHICH_TENANT, Role, TenantViewSet, is_operator
from tenants.api.member_serializers import InvitationSerializer, MemberSerializer
from tenants.models import Invitation, Membership, User


class RoleSerializer(serializers.Serializer[Membership]):
    role = serializers.ChoiceField(choices=Role.choices)


class NewMemberSerializer(RoleSerializer):
    """A membership by an operator, who must name an existing user."""

    user = serializers.SlugRelatedField[User](
        slug_field="username", queryset=User.objects.filter(is_active=True)
    )


class NewInvitationSerializer(RoleSerializer):
    """An invitation by an admin. The existence of the user is not checked."""

    user = serializers.CharField(max_length=150, validators=[UnicodeUsernameValidator()])


@extend_schema(parameters=[WHICH_TENANT])
class MembersViewSet(ListModelMixin, RetrieveModelMixin, TenantViewSet[Membership]):
    serializer_class = MemberSerializer
    min_role_to_write = Role.ADMIN

    def get_queryset(self) -> QuerySet[Membership]:
        return Membership.objects.select_related("tenant", "user")

    @extend_schema(
        request=NewInvitationSerializer,
        responses={
            201: PolymorphicProxySerializer(
                component_name="MemberOrInvitation",
                serializers=[MemberSerializer, InvitationSerializer],
                resource_type_field_name=None,
            )
        },
    )
    def create(self, request: Request) -> Response:
        """Give a user a role as an operator, or invite a user as an admin.

        The role of an existing member is changed. An invitation must be accepted; its response is
        the same whether or not the user exists.
        """
        tenant = self.target_tenant()
        if is_operator(request):
            return self.show_new(
                services.add_member(tenant=tenant, **self.validated(NewMemberSerializer))
            )
        data = self.validated(NewInvitationSerializer)
        member = self.get_queryset().filter(user__username=data["user"]).first()
        if member is not None:
            services.change_role(membership=member, role=data["role"])
            return self.show_new(member)
        invitation = invitations.invite(
            tenant=tenant, username=data["user"], role=data["role"], now=timezone.now()
        )
        body = InvitationSerializer(invitation).data
        return Response(body, status=status.HTTP_201_CREATED)

    @extend_schema(request=RoleSerializer)
    def partial_update(self, request: Request, pk: str) -> Response:
        """Change a member's role."""
        member = self.get_object()
        services.change_role(membership=member, role=self.validated(RoleSerializer)["role"])
        return self.show(member)

    @extend_schema(responses={204: None})
    def destroy(self, request: Request, pk: str) -> Response:
        """Remove a member from the tenant."""
        services.remove_member(membership=self.get_object())
        return Response(status=status.HTTP_204_NO_CONTENT)


@extend_schema(parameters=[WHICH_TENANT])
class InvitationsViewSet(ListModelMixin, RetrieveModelMixin, TenantViewSet[Invitation]):
    """Open invitations of a tenant."""

    serializer_class = InvitationSerializer
    min_role_to_read = Role.ADMIN
    min_role_to_write = Role.ADMIN

    def get_queryset(self) -> QuerySet[Invitation]:
        rows = Invitation.objects.filter(invitations.is_open(timezone.now()))
        return rows.select_related("tenant")

    @extend_schema(responses={204: None})
    def destroy(self, request: Request, pk: str) -> Response:
        """Withdraw an invitation."""
        invitations.withdraw_invitation(invitation=self.get_object())
        return Response(status=status.HTTP_204_NO_CONTENT)
