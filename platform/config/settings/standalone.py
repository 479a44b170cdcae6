"""Settings of commands that need neither database nor secrets (`manage.py` lists them).

They start the processes that do, or run on machines (GPU hosts) that must not have them.
"""

import os
import socket

from config.env import Environment
from kernel.logs import logging_config

env = Environment(os.environ)

INSTALLED_APPS = [
    "config.standalone_apps.ConfigCommands",
    "config.standalone_apps.InferenceCommands",
]
USE_TZ = True
TIME_ZONE = "UTC"
LOG_FORMAT = env.choice(
    "TENANTRY_LOG_FORMAT",
    default="json",
    options=("json", "text"),
    description="One JSON object per line, or lines for people.",
)
LOG_LEVEL = env.choice(
    "TENANTRY_LOG_LEVEL",
    default="INFO",
    options=("DEBUG", "INFO", "WARNING", "ERROR"),
    description="Least severity that is logged.",
)
LOGGING = logging_config(
    form=LOG_FORMAT, level=LOG_LEVEL, fields={"plane": "host", "pod": socket.gethostname()}
)
