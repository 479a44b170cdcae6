"""Actions on an endpoint, from its page, the list and the fleet's page."""

from dataclasses import replace
from typing import Any

from django.contrib import messages
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from unfold.decorators import action

from inference.admin.return_link import FROM_PARAMETER
from inference.endpoints import states as endpoint_states
from inference.endpoints.breaker_override import AUTOMATIC, CLOSED, OPEN, force_breaker
from inference.models import ModelEndpoint
from inference.probes.result import probe_endpoint
from kernel.admin.base import ConsoleAdmin, Question
from kernel.admin.forms import reason_form

State = ModelEndpoint.State

DRAIN = Question(
    title="Drain this endpoint?",
    explains="It gets no new requests; running requests finish.",
    verb="Drain",
    applies=lambda endpoint: endpoint.state in {State.READY, State.UNHEALTHY},
    otherwise="This endpoint is not in use, so there is nothing to drain.",
)
DRAIN_SELECTED = replace(
    DRAIN,
    title="Drain these endpoints?",
    explains="They get no new requests; running requests finish.",
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
    title="Eject this endpoint?",
    explains="Its circuit breaker is forced open: from the next second on it gets no new requests, "
    "even if it is healthy, until an operator sets it back to automatic. Running requests "
    "continue.",
    verb="Eject",
    dangerous=True,
    applies=lambda endpoint: endpoint.breaker_override != OPEN,
    otherwise="The breaker of this endpoint is forced open already.",
)
HOLD_CLOSED = Question(
    title="Force the circuit breaker closed?",
    explains="The endpoint gets requests even while they fail, until an operator sets it back to "
    "automatic. Use it while you investigate a failure, or if its probes are wrong.",
    verb="Force closed",
    dangerous=True,
    applies=lambda endpoint: endpoint.breaker_override != CLOSED,
    otherwise="The breaker of this endpoint is forced closed already.",
)
RELEASE = Question(
    title="Set the circuit breaker back to automatic?",
    explains="It opens after failures and closes when the endpoint recovers, by the settings of "
    "its pool.",
    verb="Back to automatic",
    applies=lambda endpoint: endpoint.breaker_override != AUTOMATIC,
    otherwise="The breaker of this endpoint is automatic already.",
)
PROBE = Question(
    title="Probe this endpoint now?",
    explains="The console requests its probe path and shows the result, which does not count: "
    "only the probes of Celery's worker change the state.",
    verb="Probe now",
)


ReasonForm = reason_form(max_chars=200, required=True)


class EndpointActions(ConsoleAdmin):
    """The actions; each calls one service, after a confirmation unless its button has posted."""

    @action(description="Drain", icon="water_drop")
    def drain(self, request: HttpRequest, object_id: str) -> HttpResponse:
        def act(endpoint: ModelEndpoint) -> HttpResponse:
            moved = endpoint_states.drain_endpoint(endpoint=endpoint)
            outcome = "is draining" if moved else "was not ready; nothing changed"
            return self.redirect_with_message(request, endpoint, f"{endpoint.address} {outcome}.")

        return self.confirm_action(request, object_id, question=DRAIN, act=act)

    @action(description="Activate", icon="play_arrow")
    def activate(self, request: HttpRequest, object_id: str) -> HttpResponse:
        def act(endpoint: ModelEndpoint) -> HttpResponse:
            moved = endpoint_states.activate_endpoint(endpoint=endpoint)
            outcome = "is ready" if moved else "was not draining; nothing changed"
            return self.redirect_with_message(request, endpoint, f"{endpoint.address} {outcome}.")

        return self.confirm_action(request, object_id, question=ACTIVATE, act=act)

    @action(description="Eject", icon="block")
    def eject(self, request: HttpRequest, object_id: str) -> HttpResponse:
        def act(endpoint: ModelEndpoint, *, reason: str) -> HttpResponse:
            force_breaker(endpoint=endpoint, breaker=OPEN, reason=reason)
            return self.redirect_with_message(
                request, endpoint, f"{endpoint.address} is ejected: {reason}"
            )

        return self.confirm_action(request, object_id, question=EJECT, act=act, form=ReasonForm)

    @action(description="Force closed", icon="lock")
    def hold_closed(self, request: HttpRequest, object_id: str) -> HttpResponse:
        def act(endpoint: ModelEndpoint, *, reason: str) -> HttpResponse:
            force_breaker(endpoint=endpoint, breaker=CLOSED, reason=reason)
            outcome = f"{endpoint.address} receives requests in any state: {reason}"
            return self.redirect_with_message(request, endpoint, outcome)

        return self.confirm_action(
            request, object_id, question=HOLD_CLOSED, act=act, form=ReasonForm
        )

    @action(description="Back to automatic", icon="autorenew")
    def release(self, request: HttpRequest, object_id: str) -> HttpResponse:
        def act(endpoint: ModelEndpoint) -> HttpResponse:
            moved = force_breaker(endpoint=endpoint, breaker=AUTOMATIC)
            outcome = "is automatic again" if moved else "was not forced; nothing changed"
            return self.redirect_with_message(
                request, endpoint, f"The breaker of {endpoint.address} {outcome}."
            )

        return self.confirm_action(request, object_id, question=RELEASE, act=act)

    @action(description="Probe now", icon="network_check")
    def probe(self, request: HttpRequest, object_id: str) -> HttpResponse:
        def act(endpoint: ModelEndpoint) -> HttpResponse:
            answer = probe_endpoint(endpoint)
            level = messages.SUCCESS if answer.healthy else messages.ERROR
            outcome = f"{endpoint.address}, {answer.milliseconds:,.0f} ms: {answer.detail}"
            self.message_user(request, outcome, level)
            return HttpResponseRedirect(self.return_address(request, endpoint))

        return self.confirm_action(request, object_id, question=PROBE, act=act)

    def confirm_action(self, request: HttpRequest, object_id: str, **question: Any) -> HttpResponse:
        """Call `confirm` with a cancel link to the page of the action's button."""
        endpoint = self.find(request, object_id)
        back = {"back": self.return_address(request, endpoint)}
        return self.confirm(request, object_id, context=back, **question)

    def redirect_with_message(self, request: HttpRequest, row: Any, message: str) -> HttpResponse:
        super().redirect_with_message(request, row, message)
        return HttpResponseRedirect(self.return_address(request, row))

    def return_address(self, request: HttpRequest, endpoint: ModelEndpoint) -> str:
        """Return the address of the page of the action's button."""
        match request.GET.get(FROM_PARAMETER):
            case "fleet":
                return reverse("admin:fleet")
            case "pool":
                return reverse("admin:fleet_pool", args=(endpoint.pool.name,))
        return self.address_of(endpoint)
