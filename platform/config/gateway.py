"""The gateway as an ASGI application, for uvicorn."""

import os

os.environ["DJANGO_SETTINGS_MODULE"] = "config.settings.gateway"

import django

django.setup()

from config.routing import route  # noqa: E402 - Django comes first
from config.worker import Worker  # noqa: E402 - the same

application = route(Worker())
