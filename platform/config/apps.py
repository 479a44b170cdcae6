"""The composition root as a Django app: it holds the commands and the console's admin site."""

from django.apps import AppConfig
from django.conf import settings
from django.contrib.admin.apps import AdminConfig


class ConfigConfig(AppConfig):
    name = "config"
    verbose_name = "Configuration"

    def ready(self) -> None:
        if settings.PLANE == "console":
            # Binds `shared_task.delay` to our broker. The gateway has no business with Celery.
            from config import celery  # noqa: F401


class ConsoleAdminConfig(AdminConfig):
    """Django's admin with our site."""

    default_site = "config.admin_site.ConsoleSite"
