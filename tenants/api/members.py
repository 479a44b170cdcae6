"""`/members`: who may do what for a tenant."""

from django.db.models import QuerySet
from drf_spectacular.utils import extend_schema
from rest_framework import serializers, status
from rest_framework.mixins import ListModelMixin, RetrieveModelMixin
from rest_framework.request import Request
from rest_framework.response import Response

from tenants import services
from tenants.api.access import WHICH_TENANT, Role, TenantViewSet
from tenants.models import Membership, User


class MemberSerializer(serializers.ModelSerializer[Membership]):
    tenant = serializers.SlugRelatedField[Membership](slug_field="slug", read_only=True)
    user = serializers.SlugRelatedField[Membership](slug_field="username", read_only=True)

    class Meta:
        model = Membership
        fields = ("id", "tenant", "user", "role", "created_at")


class RoleSerializer(serializers.Serializer[Membership]):
    role = serializers.ChoiceField(choices=Role.choices)


class NewMemberSerializer(RoleSerializer):
    user = serializers.SlugRelatedField[User](
        slug_field="username", queryset=User.objects.filter(is_active=True)
    )


@extend_schema(parameters=[WHICH_TENANT])
class MembersViewSet(ListModelMixin, RetrieveModelMixin, TenantViewSet[Membership]):
    serializer_class = MemberSerializer
    least_role_to_write = Role.ADMIN

    def get_queryset(self) -> QuerySet[Membership]:
        return Membership.objects.select_related("tenant", "user")

    @extend_schema(request=NewMemberSerializer, responses={201: MemberSerializer})
    def create(self, request: Request) -> Response:
        """Give a user a role in the tenant; a second time changes the role."""
        told = self.told(NewMemberSerializer)
        return self.show_new(services.add_member(tenant=self.tenant_meant(), **told))

    @extend_schema(request=RoleSerializer)
    def partial_update(self, request: Request, pk: str) -> Response:
        """Change a member's role."""
        member = self.get_object()
        role = self.told(RoleSerializer)["role"]
        return self.show(services.add_member(tenant=member.tenant, user=member.user, role=role))

    @extend_schema(responses={204: None})
    def destroy(self, request: Request, pk: str) -> Response:
        """Take a user's role away."""
        services.remove_member(membership=self.get_object())
        return Response(status=status.HTTP_204_NO_CONTENT)
