"""Everything that changes tools. Edges call these; nothing else writes."""

from django.core.exceptions import ValidationError
from django.db import transaction

from agents.models import Tool
from agents.pointing import agents_topic
from kernel.publishing import publish as publish_topics
from tenants.scoping import tenant_scope


@transaction.atomic
def save_tool(*, tool: Tool) -> None:
    """Check and store a tool; every gateway calls it so from now on. Raises ValidationError."""
    with tenant_scope(tool.tenant_id):
        tool.full_clean()
        for name in ("schema", "settings"):
            if not isinstance(getattr(tool, name), dict):
                raise ValidationError({name: "This is a JSON object."})
        tool.save()
        publish_topics(agents_topic(tool.tenant_id))


@transaction.atomic
def delete_tool(*, tool: Tool) -> None:
    """Remove a tool. Agents that name it go on without."""
    with tenant_scope(tool.tenant_id):
        tool.delete()
        publish_topics(agents_topic(tool.tenant_id))
