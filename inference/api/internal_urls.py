"""Paths of the internal API of engines."""

from django.urls import path

from inference.api.internal import Heartbeats, Registrations, RegistrationView
from inference.api.scale_host import Replicas

urlpatterns = [
    path("replicas", Replicas.as_view(), name="scale-host"),
    path("endpoints", Registrations.as_view(), name="engine-registrations"),
    path("endpoints/<slug:public_id>", RegistrationView.as_view(), name="engine-registration"),
    path("endpoints/<slug:public_id>/heartbeat", Heartbeats.as_view(), name="engine-heartbeats"),
]
