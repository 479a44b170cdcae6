"""The gateway as an ASGI application, for uvicorn."""

import os

os.environ["DJANGO_SETTINGS_MODULE"] = "config.settings.gateway"

import django

from config.error_exit import exit_on_configuration_error

with exit_on_configuration_error():
    django.setup()

from config.gateway.composition import GatewayWorker
from config.gateway.routing import route

application = route(GatewayWorker())
