"""Serializers of memberships and invitations."""

from rest_framework import serializers

from tenants.models import Invitation, Membership


class MemberSerializer(serializers.ModelSerializer[Membership]):
    tenant = serializers.SlugRelatedField[Membership](slug_field="slug", read_only=True)
    user = serializers.SlugRelatedField[Membership](slug_field="username", read_only=True)

    class Meta:
        model = Membership
        fields = ("id", "tenant", "user", "role", "created_at")


class InvitationSerializer(serializers.ModelSerializer[Invitation]):
    """An offer of a role. It does not reveal whether the user exists."""

    tenant = serializers.SlugRelatedField[Invitation](slug_field="slug", read_only=True)
    user = serializers.CharField(source="username", read_only=True)

    class Meta:
        model = Invitation
        fields = ("id", "tenant", "user", "role", "created_at", "expires_at")
        read_only_fields = fields
