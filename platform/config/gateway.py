"""The gateway as an ASGI application, for uvicorn."""

import os

os.environ["DJANGO_SETTINGS_MODULE"] = "config.settings.gateway"

import django

from config.edge import configuration_errors_as_sentences

with configuration_errors_as_sentences():
    django.setup()

from config.routing import route
from config.worker import Worker

application = route(Worker())
