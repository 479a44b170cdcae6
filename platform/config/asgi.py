"""The console as an ASGI application, for Daphne."""

import os

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings.console")

from channels.routing import ProtocolTypeRouter
from django.core.asgi import get_asgi_application

from config.console.connection_limits import limit_clients
from config.error_exit import exit_on_configuration_error
from kernel.asgi import refuse_socket

limit_clients()
with exit_on_configuration_error():
    application = ProtocolTypeRouter(
        {"http": get_asgi_application(), "websocket": refuse_socket},
    )
