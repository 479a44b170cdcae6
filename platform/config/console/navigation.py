"""Appearance and navigation of the console (settings of django-unfold)."""

from functools import partial
from typing import Any

from django.http import HttpRequest
from django.templatetags.static import static
from django.urls import reverse_lazy

Section = dict[str, Any]


def section(title: str, *links: tuple[str, str, str], collapsible: bool = True) -> Section:
    """Return a part of the sidebar; a link is its title, icon (Material Symbols) and page."""
    return {
        "title": title,
        "separator": True,
        "collapsible": collapsible,
        "items": [
            {"title": name, "icon": icon, "link": reverse_lazy(page)} for name, icon, page in links
        ],
    }


def changelist(model: str) -> str:
    return f"admin:{model}_changelist"


NAVIGATION = [
    section("", ("Dashboard", "monitoring", "admin:index"), collapsible=False),
    section(
        "Tenants",
        ("Tenants", "apartment", changelist("tenants_tenant")),
        ("Members", "group", changelist("tenants_membership")),
        ("API keys", "key", changelist("tenants_apikey")),
        ("Usage", "bar_chart", changelist("tenants_usagehour")),
        ("Ledger", "receipt_long", changelist("tenants_usageevent")),
    ),
    section(
        "Limits",
        ("Plans", "inventory_2", changelist("tenants_plan")),
        ("Rate limits", "speed", changelist("tenants_ratelimit")),
        ("Quotas", "data_usage", changelist("tenants_quota")),
        ("Quota windows", "event_repeat", changelist("tenants_quotawindow")),
        ("Top-ups", "add_card", changelist("tenants_quotatopup")),
        ("Alerts sent", "notification_important", changelist("tenants_quotaalert")),
        ("Alert recipients", "forward_to_inbox", changelist("tenants_alertrecipient")),
    ),
    section(
        "Agents",
        ("Agents", "smart_toy", changelist("agents_agent")),
        ("Revisions", "history", changelist("agents_agentrevision")),
        ("Conversations", "forum", changelist("agents_conversation")),
        ("Tasks", "task_alt", changelist("agents_task")),
        ("Messages", "mail", changelist("agents_agentmessage")),
        ("Topics", "tag", "admin:topics"),
        ("Dead letters", "unsubscribe", changelist("agents_delivery")),
        ("Runs", "directions_run", changelist("agents_run")),
        ("Schedules", "schedule", changelist("agents_schedule")),
        ("Approvals", "approval", changelist("agents_approval")),
        ("Erasures", "delete_forever", changelist("agents_erasurereceipt")),
        ("Rollouts", "percent", changelist("agents_rollout")),
        ("Tools", "build", changelist("agents_tool")),
        ("Remote agents", "travel_explore", changelist("agents_remoteagent")),
    ),
    section(
        "Inference",
        ("Fleet", "lan", "admin:fleet"),
        ("Nodes", "hub", changelist("agents_agentnode")),
        ("Scaling", "trending_up", "admin:scaling"),
        ("Scaling policies", "rule", changelist("inference_scalingpolicy")),
        ("Model routes", "alt_route", changelist("inference_modelroute")),
        ("Model pools", "dns", changelist("inference_modelpool")),
        ("Model endpoints", "developer_board", changelist("inference_modelendpoint")),
        ("Join tokens", "confirmation_number", changelist("inference_jointoken")),
        ("Node tokens", "vpn_key", changelist("agents_nodetoken")),
    ),
    section(
        "Operations",
        ("Explain a request", "manage_search", "admin:explain"),
        ("Users", "person", changelist("tenants_user")),
        ("Audit log", "policy", changelist("auditlog_logentry")),
        ("API documentation", "api", "docs"),
    ),
]

SCRIPTS = ("clipboard", "forms", "lists", "live")
"""The console's own scripts, by subject."""


def script_address(name: str, request: HttpRequest) -> str:
    """Return the URL of a script. django-unfold passes the request as the last argument."""
    return static(f"console/{name}.js")


BLUE = {
    "50": "oklch(97% .014 254.604)",
    "100": "oklch(93.2% .032 255.585)",
    "200": "oklch(88.2% .059 254.128)",
    "300": "oklch(80.9% .105 251.813)",
    "400": "oklch(70.7% .165 254.624)",
    # A little lighter than Tailwind's: links on shaded rows of the dark theme need the contrast.
    "500": "oklch(64.5% .2 259.815)",
    "600": "oklch(54.6% .245 262.881)",
    "700": "oklch(48.8% .243 264.376)",
    "800": "oklch(42.4% .199 265.638)",
    "900": "oklch(37.9% .146 265.522)",
    "950": "oklch(28.2% .091 267.935)",
}

UNFOLD = {
    "SITE_TITLE": "Tenantry",
    "SITE_HEADER": "Tenantry",
    "SITE_SUBHEADER": "Console",
    "SITE_SYMBOL": "hub",
    "SITE_FAVICONS": [
        {
            "rel": "icon",
            "type": "image/svg+xml",
            "href": lambda _request: static("console/favicon.svg"),
        }
    ],
    "SITE_URL": None,
    "SHOW_HISTORY": False,
    "SHOW_VIEW_ON_SITE": False,
    "SHOW_BACK_BUTTON": True,
    "BORDER_RADIUS": "8px",
    "COLORS": {"primary": BLUE},
    "DASHBOARD_CALLBACK": "config.console.dashboard.describe_platform",
    "STYLES": [lambda _request: static("console/console.css")],
    "SCRIPTS": [partial(script_address, name) for name in SCRIPTS],
    "LOGIN": {"form": "config.console.login_form.ConsoleLoginForm"},
    "SIDEBAR": {"show_search": True, "show_all_applications": False, "navigation": NAVIGATION},
}
