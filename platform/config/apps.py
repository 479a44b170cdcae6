"""The composition root as a Django app: it holds the commands and the console's admin site."""

from django.apps import AppConfig
from django.conf import settings
from django.contrib.admin.apps import AdminConfig


class ConfigConfig(AppConfig):
    name = "config"
    verbose_name = "Configuration"

    def ready(self) -> None:
        if settings.PLANE == "console":
            self.prepare_console()

    def prepare_console(self) -> None:
        """Set up the task broker and the audit log, which the gateway does not use."""
        import agents.auditing
        import inference.auditing
        import tenants.auditing
        from agents.messages import metrics_exporter as messages_exporter
        from agents.nodes import metrics_exporter as nodes_exporter
        from config import (
            celery,  # noqa: F401 - binds `shared_task.delay` to our broker
            worker_heartbeat,
        )
        from inference.scaling import metrics_exporter
        from kernel.storage import stored_counts

        for context in (tenants, inference, agents):
            context.auditing.register()
        metrics_exporter.register()
        messages_exporter.register()
        nodes_exporter.register()
        stored_counts.register()
        worker_heartbeat.register()


class ConsoleAdminConfig(AdminConfig):
    """Django's admin with the site of the console."""

    default_site = "config.console.admin_site.ConsoleSite"
