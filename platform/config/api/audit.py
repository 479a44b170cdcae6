"""`/audit`: the audit log, for operators."""

from auditlog.models import LogEntry
from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers
from rest_framework.mixins import ListModelMixin, RetrieveModelMixin

from tenants.api.access import OperatorViewSet


class AuditSerializer(serializers.ModelSerializer[LogEntry]):
    """One change. Fields that hold secrets are never logged."""

    actor = serializers.SlugRelatedField[LogEntry](
        slug_field="username", read_only=True, allow_null=True
    )
    action = serializers.CharField(source="get_action_display", read_only=True)
    kind = serializers.CharField(source="content_type.model", read_only=True)
    changes = serializers.SerializerMethodField()

    class Meta:
        model = LogEntry
        fields = (
            *("id", "timestamp", "actor", "action", "kind", "object_pk", "object_repr"),
            *("changes", "remote_addr"),
        )
        read_only_fields = fields

    @extend_schema_field({"type": "object", "additionalProperties": {"type": "array"}})
    def get_changes(self, entry: LogEntry) -> dict[str, list[str]]:
        return dict(entry.changes_dict)


class AuditViewSet(ListModelMixin, RetrieveModelMixin, OperatorViewSet[LogEntry]):
    serializer_class = AuditSerializer
    queryset = LogEntry.objects.select_related("actor", "content_type")
    http_method_names = ["get", "head", "options"]
