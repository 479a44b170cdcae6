"""The gateway as an ASGI application, for uvicorn."""

import os

os.environ["DJANGO_SETTINGS_MODULE"] = "config.settings.gateway"

import django

from config.error_exit import exit_on_configuration_error

with exit_on_configuration_error():
    django.setup()

from config.gateway.composition import GatewayWorker
from config.gateway.worker_lifecycle import application_of

application = application_of(GatewayWorker())
