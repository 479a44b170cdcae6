"""What an operator does to an endpoint: from its page, from the list, and from the fleet's page."""

from dataclasses import replace
from typing import Any

from django import forms
from django.contrib import messages
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from unfold.decorators import action
from unfold.widgets import UnfoldAdminTextInputWidget

from inference.admin.ways import FROM
from inference.endpoints import states as endpoint_states
from inference.endpoints.breaker_override import AUTOMATIC, CLOSED, OPEN, force_breaker
from inference.models import ModelEndpoint
from inference.probes.result import ask_now
from kernel.admin.base import ConsoleAdmin, Question

State = ModelEndpoint.State

DRAIN = Question(
    title="Drain this endpoint?",
    explains="It gets no new requests; what runs on it finishes.",
    verb="Drain",
    applies=lambda endpoint: endpoint.state in {State.READY, State.UNHEALTHY},
    otherwise="This endpoint is not in use, so there is nothing to drain.",
)
DRAIN_SELECTED = replace(
    DRAIN,
    title="Drain these endpoints?",
    explains="They get no new requests; what runs on them finishes.",
)
ACTIVATE = Question(
    title="Activate this endpoint?",
    explains="It gets requests again within a second.",
    verb="Activate",
    applies=lambda endpoint: endpoint.state == State.DRAINING,
    otherwise="This endpoint is not draining.",
)
ACTIVATE_SELECTED = replace(
    ACTIVATE,
    title="Activate these endpoints?",
    explains="They get requests again within a second.",
)
EJECT = Question(
    title="Leave this endpoint out?",
    explains="Its breaker is forced open: within a second it gets no new requests, however well it "
    "is, until somebody sets it back to automatic. What runs on it goes on.",
    verb="Eject",
    dangerous=True,
    applies=lambda endpoint: endpoint.forced != OPEN,
    otherwise="The breaker of this endpoint is forced open already.",
)
HOLD_CLOSED = Question(
    title="Use this endpoint whatever happens?",
    explains="Its breaker is forced closed: it gets requests even while they fail, until somebody "
    "sets it back to automatic. Right while you look into a failure, or if its probes are wrong.",
    verb="Force closed",
    dangerous=True,
    applies=lambda endpoint: endpoint.forced != CLOSED,
    otherwise="The breaker of this endpoint is forced closed already.",
)
RELEASE = Question(
    title="Let its breaker go by itself again?",
    explains="It opens after failures and closes when the endpoint is well, as its pool says.",
    verb="Back to automatic",
    applies=lambda endpoint: endpoint.forced != AUTOMATIC,
    otherwise="The breaker of this endpoint is automatic already.",
)
PROBE = Question(
    title="Probe this endpoint now?",
    explains="The console asks its probe path and tells what it answered.",
    verb="Probe now",
)


class ReasonForm(forms.Form):
    reason = forms.CharField(
        max_length=200,
        widget=UnfoldAdminTextInputWidget,
        help_text="Why. It is kept in the audit log.",
    )


class EndpointActions(ConsoleAdmin):
    """The actions, each a service's; every one asks first, unless its button has posted."""

    @action(description="Drain", icon="water_drop")
    def drain(self, request: HttpRequest, object_id: str) -> HttpResponse:
        def act(endpoint: ModelEndpoint) -> HttpResponse:
            moved = endpoint_states.drain_endpoint(endpoint=endpoint)
            said = "is draining" if moved else "was not ready; nothing changed"
            return self.done(request, endpoint, f"{endpoint.address} {said}.")

        return self.ask(request, object_id, question=DRAIN, act=act)

    @action(description="Activate", icon="play_arrow")
    def activate(self, request: HttpRequest, object_id: str) -> HttpResponse:
        def act(endpoint: ModelEndpoint) -> HttpResponse:
            moved = endpoint_states.activate_endpoint(endpoint=endpoint)
            said = "is ready" if moved else "was not draining; nothing changed"
            return self.done(request, endpoint, f"{endpoint.address} {said}.")

        return self.ask(request, object_id, question=ACTIVATE, act=act)

    @action(description="Eject", icon="block")
    def eject(self, request: HttpRequest, object_id: str) -> HttpResponse:
        def act(endpoint: ModelEndpoint, *, reason: str) -> HttpResponse:
            force_breaker(endpoint=endpoint, breaker=OPEN, reason=reason)
            return self.done(request, endpoint, f"{endpoint.address} is left out: {reason}")

        return self.ask(request, object_id, question=EJECT, act=act, form=ReasonForm)

    @action(description="Force closed", icon="lock")
    def hold_closed(self, request: HttpRequest, object_id: str) -> HttpResponse:
        def act(endpoint: ModelEndpoint, *, reason: str) -> HttpResponse:
            force_breaker(endpoint=endpoint, breaker=CLOSED, reason=reason)
            said = f"{endpoint.address} is used whatever happens: {reason}"
            return self.done(request, endpoint, said)

        return self.ask(request, object_id, question=HOLD_CLOSED, act=act, form=ReasonForm)

    @action(description="Back to automatic", icon="autorenew")
    def release(self, request: HttpRequest, object_id: str) -> HttpResponse:
        def act(endpoint: ModelEndpoint) -> HttpResponse:
            moved = force_breaker(endpoint=endpoint, breaker=AUTOMATIC)
            said = "goes by itself again" if moved else "was not forced; nothing changed"
            return self.done(request, endpoint, f"The breaker of {endpoint.address} {said}.")

        return self.ask(request, object_id, question=RELEASE, act=act)

    @action(description="Probe now", icon="network_check")
    def probe(self, request: HttpRequest, object_id: str) -> HttpResponse:
        def act(endpoint: ModelEndpoint) -> HttpResponse:
            answer = ask_now(endpoint)
            level = messages.SUCCESS if answer.healthy else messages.ERROR
            outcome = f"{endpoint.address}, {answer.milliseconds:,.0f} ms: {answer.detail}"
            self.message_user(request, outcome, level)
            return HttpResponseRedirect(self.way_back(request, endpoint))

        return self.ask(request, object_id, question=PROBE, act=act)

    def ask(self, request: HttpRequest, object_id: str, **question: Any) -> HttpResponse:
        """As `ask_first`; a no leads back to where the action was chosen."""
        endpoint = self.find(request, object_id)
        back = {"back": self.way_back(request, endpoint)}
        return self.ask_first(request, object_id, context=back, **question)

    def done(self, request: HttpRequest, row: Any, message: str) -> HttpResponse:
        super().done(request, row, message)
        return HttpResponseRedirect(self.way_back(request, row))

    def way_back(self, request: HttpRequest, endpoint: ModelEndpoint) -> str:
        """The page on which the action was chosen."""
        match request.GET.get(FROM):
            case "fleet":
                return reverse("admin:fleet")
            case "pool":
                return reverse("admin:fleet_pool", args=(endpoint.pool.name,))
        return self.address_of(endpoint)
