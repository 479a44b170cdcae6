"""The console as an ASGI application, for Daphne."""

import os

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings.console")

from channels.routing import ProtocolTypeRouter
from django.core.asgi import get_asgi_application

from config.console_channel import bound_clients
from config.edge import configuration_errors_as_sentences
from kernel.asgi import refuse_socket

bound_clients()
with configuration_errors_as_sentences():
    application = ProtocolTypeRouter(
        {"http": get_asgi_application(), "websocket": refuse_socket},
    )
