"""The form of a pool: every setting under a heading, with help in plain words."""

from typing import Any

from django import forms
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

from inference.admin.strategy_help import STRATEGIES
from inference.models import ModelPool

HELP = {
    "strategy": "How the endpoint for each request is chosen. The list above says when to use "
    "which; changing it is in force within a second and harms no running request.",
    "slow_start_seconds": "A new or returned endpoint gets little at first and its full share "
    "after so many seconds, so that its caches can fill. 0: its full share at once.",
    "hedge_after": "If no token has come after so many seconds, another endpoint is asked too and "
    "the first answer counts. Costs engines extra work. Empty: never.",
    "max_in_flight": "Most requests that run in the whole pool at once; further ones wait. "
    "Empty: what its endpoints take together.",
    "queue_length": "How many requests may wait for a free place. Tenants take turns by the "
    "weights of their plans. 0: none waits, and a full pool refuses at once.",
    "queue_seconds": "A request that has waited so long is refused with 503 and Retry-After.",
    "sends_priority": "Tell engines whose turn it is, so that tenants get their share inside the "
    "engine too. Only for vLLM with --scheduling-policy priority, which serve_model sets.",
    "probe_path": "Asked regularly to see whether an endpoint lives: /health for vLLM and "
    "llama.cpp.",
    "probe_seconds": "Seconds between two probes of an endpoint.",
    "probe_rise": "So many good probes in a row bring an endpoint back.",
    "probe_fall": "So many bad probes in a row take an endpoint out.",
    "completion_probe_seconds": "Now and then ask for one real token, which also finds an engine "
    "that lives and answers nothing. Seconds between two of them. Empty: never.",
    "eject_after": "So many failures in a row, of real requests, leave an endpoint out. What is "
    "the caller's fault does not count. Never more than half of the pool is left out.",
    "eject_seconds": "Seconds for which it is left out the first time; the second time twice as "
    "long, and so on. Then one request is tried.",
}


def described(words: str) -> SafeString:
    """A sentence above the fields of a tab."""
    return format_html('<p class="console-described">{}</p>', words)


FIELDSETS = (
    (None, {"fields": ("name", "engine")}),
    (
        "Spreading",
        {
            "classes": ["tab"],
            "fields": ("strategy", "slow_start_seconds", "hedge_after"),
            "description": format_html(
                '<details class="console-described"><summary>Which strategy for what?</summary>'
                '<ul class="console-list">{}</ul></details>',
                format_html_join(
                    "",
                    "<li><b>{}</b> picks {}. {}</li>",
                    ((name.label, words.picks, words.use_it) for name, words in STRATEGIES.items()),
                ),
            ),
        },
    ),
    (
        "Queue",
        {
            "classes": ["tab"],
            "fields": ("max_in_flight", "queue_length", "queue_seconds", "sends_priority"),
            "description": described("What happens when every endpoint is full."),
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
            "description": described("How the platform asks endpoints whether they live."),
        },
    ),
    (
        "Registration",
        {
            "classes": ["tab"],
            "fields": ("max_registered_endpoints", "engine_networks"),
            "description": described(
                "What a join token of this pool is good for, also in the wrong hands. Endpoints "
                "that operators enter are not limited by it."
            ),
        },
    ),
    (
        "Failures",
        {
            "classes": ["tab"],
            "fields": ("eject_after", "eject_seconds"),
            "description": described(
                "When real requests fail, an endpoint is left out for a while."
            ),
        },
    ),
    (
        "Timeouts",
        {
            "classes": ["tab"],
            "fields": ("connect_timeout", "first_token_timeout", "token_timeout"),
            "description": described("How long engines are waited for, in seconds."),
        },
    ),
)
SETTINGS = tuple(name for title, options in FIELDSETS if title for name in options["fields"])


class PoolForm(forms.ModelForm):  # type: ignore[type-arg]
    """A pool with its settings explained."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        for name, words in HELP.items():
            if name in self.fields:
                self.fields[name].help_text = words
        self.fields["max_registered_endpoints"].required = False

    def clean_max_registered_endpoints(self) -> int:
        """Left empty it stays as it is: most pools are made without a thought of it."""
        limit: int | None = self.cleaned_data["max_registered_endpoints"]
        return self.instance.max_registered_endpoints if limit is None else limit

    class Meta:
        model = ModelPool
        fields = ("name", "engine", *SETTINGS)
