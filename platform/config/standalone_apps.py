"""Apps reduced to their management commands, for commands that must work without a database."""

from django.apps import AppConfig


class CommandsOnly(AppConfig):
    """Offers an app's commands without its models, which need settings and secrets."""

    def import_models(self) -> None:
        self.models = {}


class ConfigCommands(CommandsOnly):
    name = "config"


class InferenceCommands(CommandsOnly):
    name = "inference"
