"""The Celery application: timed work, on the console's settings."""

import os

from celery import Celery
from celery.schedules import schedule

from config.edge import configuration_errors_as_sentences

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings.console")

app = Celery("tenantry")
with configuration_errors_as_sentences():
    app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks()
app.conf.beat_schedule = {
    "expire-silent-endpoints": {
        "task": "inference.tasks.expire_silent_endpoints",
        "schedule": schedule(5.0),
        # A check that nobody made in time is pointless: the next one sees the same rows.
        "options": {"expires": 5.0},
    },
    "canary": {
        "task": "config.tasks.sing",
        "schedule": schedule(15.0),
        "options": {"expires": 15.0},
    },
}
