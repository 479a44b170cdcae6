"""The serializer of tools. It never has a credential."""

from rest_framework import serializers

from agents.models import Tool


class ToolSerializer(serializers.ModelSerializer[Tool]):
    """A tool without its credential."""

    tenant = serializers.SlugRelatedField[Tool](slug_field="slug", read_only=True)
    has_credential = serializers.BooleanField(read_only=True)

    class Meta:
        model = Tool
        fields = (
            *("id", "tenant", "name", "kind", "description", "schema", "settings"),
            *("has_credential", "timeout_seconds", "needs_approval", "is_idempotent"),
            *("offered_over_mcp", "enabled", "created_at", "changed_at"),
        )
        read_only_fields = fields
