"""The agent node as an ASGI application, for uvicorn."""

import os

os.environ["DJANGO_SETTINGS_MODULE"] = "config.settings.node"

import django

from config.error_exit import exit_on_configuration_error

with exit_on_configuration_error():
    django.setup()

from config.gateway.composition import GatewayWorker
from config.gateway.worker_lifecycle import node_application_of

application = node_application_of(GatewayWorker(is_agent_node=True))
