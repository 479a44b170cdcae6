"""The form of a pool: its settings in tabs, with help texts."""

from typing import Any

from django import forms
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

from inference.admin.strategy_help import STRATEGIES
from inference.models import ModelPool

HELP = {
    "strategy": "How the endpoint for each request is chosen; see the list above. A change takes "
    "effect within a second and does not affect running requests.",
    "slow_start_seconds": "The share of a new or recovered endpoint grows to its full size over "
    "this many seconds, so that its caches can fill. 0: full share at once.",
    "hedge_after": "If there is no token after this many seconds, the request is also sent to "
    "another endpoint, and the first response is used. It costs engines extra work. Empty: never.",
    "max_in_flight": "Maximum number of requests in flight in the whole pool; more are queued. "
    "Empty: the sum of its endpoints.",
    "queue_length": "Maximum number of queued requests. Tenants share the queue by the weights of "
    "their plans. 0: no queue, and a full pool refuses at once.",
    "queue_seconds": "A request that was queued for this many seconds is refused with 503 and "
    "Retry-After.",
    "sends_priority": "Send the priority of each request to the engine, so that tenants get their "
    "share inside the engine too. Only for vLLM with --scheduling-policy priority, which "
    "serve_model sets.",
    "probe_path": "Path of the health probe: /health for vLLM and llama.cpp.",
    "probe_seconds": "Seconds between two probes of an endpoint.",
    "probe_rise": "Successful probes in a row after which an endpoint is ready.",
    "probe_fall": "Failed probes in a row after which an endpoint is unhealthy.",
    "completion_probe_seconds": "Seconds between two requests for one real token, which also "
    "detect an engine that is healthy but does not generate. Empty: never.",
    "eject_after": "Failures of requests in a row after which the circuit breaker opens. Errors of "
    "the caller do not count. At most half of the pool is ejected.",
    "eject_seconds": "Seconds until an ejected endpoint gets one trial request. They double with "
    "each further ejection.",
}


def described(words: str) -> SafeString:
    """Return the description of a tab as HTML."""
    return format_html('<p class="console-described">{}</p>', words)


FIELDSETS = (
    (None, {"fields": ("name", "engine")}),
    (
        "Load balancing",
        {
            "classes": ["tab"],
            "fields": ("strategy", "slow_start_seconds", "hedge_after"),
            "description": format_html(
                '<details class="console-described"><summary>Which strategy for what?</summary>'
                '<ul class="console-list">{}</ul></details>',
                format_html_join(
                    "",
                    "<li><b>{}</b> picks {}. {}</li>",
                    (
                        (name.label, words.picks, words.when_to_use)
                        for name, words in STRATEGIES.items()
                    ),
                ),
            ),
        },
    ),
    (
        "Queue",
        {
            "classes": ["tab"],
            "fields": ("max_in_flight", "queue_length", "queue_seconds", "sends_priority"),
            "description": described("Requests are queued while all endpoints are at capacity."),
        },
    ),
    (
        "Probes",
        {
            "classes": ["tab"],
            "fields": (
                *("probe_path", "probe_seconds", "probe_rise", "probe_fall"),
                "completion_probe_seconds",
            ),
            "description": described("The platform probes the health of endpoints."),
        },
    ),
    (
        "Registration",
        {
            "classes": ["tab"],
            "fields": ("max_registered_endpoints", "engine_networks"),
            "description": described(
                "Limits for engines that register with a join token of this pool, which contain "
                "the damage if a token leaks. Endpoints that operators add are not limited."
            ),
        },
    ),
    (
        "Failures",
        {
            "classes": ["tab"],
            "fields": ("eject_after", "eject_seconds"),
            "description": described(
                "The circuit breaker ejects an endpoint for a time when its requests fail."
            ),
        },
    ),
    (
        "Timeouts",
        {
            "classes": ["tab"],
            "fields": ("connect_timeout", "first_token_timeout", "token_timeout"),
            "description": described("Timeouts of requests to engines, in seconds."),
        },
    ),
)
SETTINGS = tuple(name for title, options in FIELDSETS if title for name in options["fields"])


class PoolForm(forms.ModelForm):  # type: ignore[type-arg]
    """The form of a pool, with help texts."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        for name, words in HELP.items():
            if name in self.fields:
                self.fields[name].help_text = words
        self.fields["max_registered_endpoints"].required = False

    def clean_max_registered_endpoints(self) -> int:
        """Return the stored value for an empty field."""
        limit: int | None = self.cleaned_data["max_registered_endpoints"]
        return self.instance.max_registered_endpoints if limit is None else limit

    class Meta:
        model = ModelPool
        fields = ("name", "engine", *SETTINGS)
