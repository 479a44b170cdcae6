"""`/alert-recipients`: recipients of notifications about quotas. Only operators change them."""

from django.db.models import QuerySet
from drf_spectacular.utils import extend_schema
from rest_framework import serializers, status
from rest_framework.decorators import action
from rest_framework.mixins import ListModelMixin, RetrieveModelMixin
from rest_framework.request import Request
from rest_framework.response import Response

from kernel.errors import Conflict
from tenants.api.access import WHICH_TENANT, LimitsViewSet, Role
from tenants.models import AlertRecipient
from tenants.notifications import recipients


class RecipientSerializer(serializers.ModelSerializer[AlertRecipient]):
    """A recipient, without its secret."""

    tenant = serializers.SlugRelatedField[AlertRecipient](slug_field="slug", read_only=True)

    class Meta:
        model = AlertRecipient
        fields = (
            *("id", "tenant", "kind", "address", "enabled", "on_reset"),
            *("last_delivered_at", "last_error", "created_at"),
        )
        read_only_fields = fields


class NewSecretSerializer(RecipientSerializer):
    """A recipient with its new signing secret, which cannot be read again; empty if unchanged."""

    secret = serializers.CharField()

    class Meta:
        model = AlertRecipient
        fields = (*RecipientSerializer.Meta.fields, "secret")
        read_only_fields = fields


class RecipientChangesSerializer(serializers.Serializer[AlertRecipient]):
    address = serializers.CharField(max_length=500, required=False)
    enabled = serializers.BooleanField(required=False)
    on_reset = serializers.BooleanField(required=False)


class NewRecipientSerializer(RecipientChangesSerializer):
    kind = serializers.ChoiceField(choices=AlertRecipient.Kind.choices)
    address = serializers.CharField(max_length=500)


@extend_schema(parameters=[WHICH_TENANT])
class AlertRecipientsViewSet(ListModelMixin, RetrieveModelMixin, LimitsViewSet[AlertRecipient]):
    serializer_class = RecipientSerializer
    # The address of a webhook often contains a secret.
    min_role_to_read = Role.ADMIN

    def get_queryset(self) -> QuerySet[AlertRecipient]:
        return AlertRecipient.objects.select_related("tenant").defer("secret")

    @extend_schema(request=NewRecipientSerializer, responses={201: NewSecretSerializer})
    def create(self, request: Request) -> Response:
        """Add an e-mail address or a webhook. The `secret` of a webhook cannot be read again."""
        data = self.validated(NewRecipientSerializer)
        recipient = AlertRecipient(tenant=self.target_tenant(), **data)
        secret = recipients.save_recipient(recipient=recipient)
        return self.show_new(recipient, secret=secret)

    @extend_schema(request=RecipientChangesSerializer, responses=NewSecretSerializer)
    def partial_update(self, request: Request, pk: str) -> Response:
        """Change a recipient. A webhook with a new address gets a new `secret`."""
        recipient = self.get_object()
        for name, value in self.validated(RecipientChangesSerializer).items():
            setattr(recipient, name, value)
        secret = recipients.save_recipient(recipient=recipient)
        body = {**self.get_serializer(recipient).data, "secret": secret}
        return Response(body, headers={"Cache-Control": "no-store"})

    @extend_schema(responses={204: None})
    def destroy(self, request: Request, pk: str) -> Response:
        """Delete a recipient with its pending notifications."""
        recipients.delete_recipient(recipient=self.get_object())
        return Response(status=status.HTTP_204_NO_CONTENT)

    @extend_schema(request=None, responses={201: NewSecretSerializer})
    @action(detail=True, methods=["post"], url_path="new-secret")
    def new_secret(self, request: Request, pk: str) -> Response:
        """Replace the signing secret. The new one is valid at once and cannot be read again."""
        recipient = self.get_object()
        if recipient.kind != AlertRecipient.Kind.WEBHOOK:
            raise Conflict("Only messages to webhooks are signed. E-mail has no secret.")
        secret = recipients.rotate_signing_secret(recipient=recipient)
        return self.show_new(recipient, secret=secret)
