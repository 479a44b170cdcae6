"""The search of the console: pages by name, objects by name, short name and id.

Ids are compared exactly or by their beginning, along an index. Parts of names are searched only in
tables that people fill by hand, which are small compared with those of requests.
"""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from django.contrib.admin import AdminSite
from django.db.models import Model, Q
from django.db.models.functions import Length
from django.http import HttpRequest
from django.urls import reverse
from django.utils.text import capfirst
from unfold.dataclasses import SearchResult

from agents.models import (
    Agent,
    AgentMessage,
    AgentNode,
    AgentRevision,
    Approval,
    Conversation,
    ErasureReceipt,
    NodeToken,
    Run,
    Tool,
)
from config.console.breadcrumbs import sidebar_places
from inference.models import JoinToken, ModelEndpoint, ModelPool, ModelRoute
from tenants.api_keys.keys import KEY_PATTERN as WHOLE_KEY
from tenants.ledger.search import find_rows
from tenants.models import AlertRecipient, ApiKey, Plan, Tenant, UsageEvent, User

MAX_CHARS = 128
MAX_ROWS = 5
"""Maximum results of a kind. If there are more, the last one links to the list."""
DISPLAYED_KEY = re.compile(r"(?:tnt_|tnj_|tnn_)?([0-9A-Za-z]{1,12})(?:…|\.{3})?", re.ASCII)
"""The characters of a key, join token or node token that pages display."""
REVISION = re.compile(r"([-\w]{1,50})@(\d{1,9})", re.ASCII)
SECRET = (
    "This is a whole key, which is a secret: search for its beginning only, such as tnt_ and the "  # noqa: S105 - a sentence
    "12 characters after it. Block the key if others may have seen it."
)

Matches = Callable[[str], Q | None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """The search in rows of one model. The shortest of `names` comes first.

    `matches` returns None for a text that no row can match.
    """

    model: type[Model]
    icon: str
    matches: Matches
    names: str = "pk"
    has_tenant: bool = False


def part_of(*fields: str) -> Matches:
    """Match rows that have the text anywhere in one of the fields. Only for small tables."""

    def matches(text: str) -> Q | None:
        found = Q()
        for field in fields:
            found |= Q(**{f"{field}__icontains": text})
        return found

    return matches


def begins_id(text: str) -> Q | None:
    return Q(public_id__startswith=text) if "_" in text else None


def is_key(text: str) -> Q | None:
    """Match the displayed characters of a key, or the beginning of its name in usual spellings."""
    match = DISPLAYED_KEY.fullmatch(text)
    found = Q(public_id__startswith=match[1]) if match else Q()
    for spelling in {text, text.lower(), text.capitalize(), text.title()}:
        found |= Q(name__startswith=spelling)
    return found


def is_token(text: str) -> Q | None:
    match = DISPLAYED_KEY.fullmatch(text)
    found = Q(name__icontains=text)
    return found | Q(public_id__startswith=match[1]) if match else found


def is_endpoint(text: str) -> Q | None:
    return Q(address__icontains=text) | Q(model__icontains=text) | Q(public_id__startswith=text)


def is_revision(text: str) -> Q | None:
    named = REVISION.fullmatch(text)
    return Q(agent__slug=named[1], number=int(named[2])) if named else None


SOURCES = (
    Source(model=Tenant, icon="apartment", matches=part_of("slug", "name"), names="name"),
    Source(model=ApiKey, icon="key", matches=is_key, has_tenant=True),
    Source(
        model=Agent,
        icon="smart_toy",
        matches=part_of("slug", "name"),
        names="slug",
        has_tenant=True,
    ),
    Source(model=AgentRevision, icon="history", matches=is_revision, has_tenant=True),
    Source(
        model=User,
        icon="person",
        matches=part_of("username", "email", "first_name", "last_name"),
        names="username",
    ),
    Source(model=ModelRoute, icon="alt_route", matches=part_of("name"), names="name"),
    Source(model=ModelPool, icon="dns", matches=part_of("name"), names="name"),
    Source(model=ModelEndpoint, icon="developer_board", matches=is_endpoint, names="address"),
    Source(model=JoinToken, icon="confirmation_number", matches=is_token, names="name"),
    Source(model=AgentNode, icon="hub", matches=part_of("name", "host", "pod"), names="name"),
    Source(model=NodeToken, icon="vpn_key", matches=is_token, names="name"),
    Source(model=Plan, icon="inventory_2", matches=part_of("name"), names="name"),
    Source(model=Tool, icon="build", matches=part_of("name"), names="name", has_tenant=True),
    Source(
        model=AlertRecipient,
        icon="forward_to_inbox",
        matches=part_of("address"),
        names="address",
        has_tenant=True,
    ),
    Source(model=Run, icon="directions_run", matches=begins_id, has_tenant=True),
    Source(model=AgentMessage, icon="mail", matches=begins_id, has_tenant=True),
    Source(model=Conversation, icon="forum", matches=begins_id, has_tenant=True),
    Source(model=Approval, icon="approval", matches=begins_id, has_tenant=True),
    Source(model=ErasureReceipt, icon="delete_forever", matches=begins_id),
)


def find_everything(request: HttpRequest, *, site: AdminSite, text: str) -> list[SearchResult]:
    """Return matches of `text` that the user may see, pages first, a few of each kind.

    A whole key finds nothing, so that users do not paste secrets into the search.
    """
    if not text or len(text) > MAX_CHARS or "\0" in text or WHOLE_KEY.search(text):
        return []
    seen = [each for each in SOURCES if may_view(request, site, each.model)]
    rows = [result for source in seen for result in rows_like(source, text)]
    requests = requests_of(text) if may_view(request, site, UsageEvent) else ()
    return [*pages_like(text), *requests, *rows]


def may_view(request: HttpRequest, site: AdminSite, model: type[Model]) -> bool:
    model_admin = site._registry.get(model)  # noqa: SLF001 - as unfold's own search does
    return model_admin is not None and model_admin.has_view_permission(request)


def pages_like(text: str) -> Iterator[SearchResult]:
    for *section, page in sidebar_places().values():
        if text.lower() in page.title.lower():
            above = section[0].title if section else "Console"
            yield SearchResult(
                title=page.title, description=f"Page, {above}", link=page.link, icon="tag"
            )


def requests_of(text: str) -> Iterator[SearchResult]:
    """Yield the requests with that id, of the platform or the client, with their explanation."""
    rows = {row.request_id: row for row in find_rows(text)}
    for row in list(rows.values())[:MAX_ROWS]:
        tenant = f" of {row.tenant.name}" if row.tenant else ""
        yield SearchResult(
            title=row.request_id,
            description=f"Request{tenant}, {row.get_status_display()}",
            link=reverse("admin:explain") + "?" + urlencode({"id": row.request_id}),
            icon="manage_search",
        )


def rows_like(source: Source, text: str) -> Iterator[SearchResult]:
    """Yield the rows of one kind, and a link to the list if there are more."""
    matches = source.matches(text)
    if matches is None:
        return
    rows: Any = source.model._default_manager.filter(matches)  # noqa: SLF001 - as `_meta`
    if source.has_tenant:
        rows = rows.select_related("tenant")
    order = source.names if source.names == "pk" else Length(source.names)
    found = list(rows.order_by(order, "pk")[: MAX_ROWS + 1])
    opts = opts_of(source)
    page = f"admin:{opts.app_label}_{opts.model_name}"
    for row in found[:MAX_ROWS]:
        yield SearchResult(
            title=str(row),
            description=describe_row(source, row),
            link=reverse(f"{page}_change", args=(row.pk,)),
            icon=source.icon,
        )
    if len(found) > MAX_ROWS:
        yield SearchResult(
            title=f"More {opts.verbose_name_plural}",
            description=f"List of all that match {text}",
            link=reverse(f"{page}_changelist") + "?" + urlencode({"q": text}),
            icon="list",
        )


def opts_of(source: Source) -> Any:
    return source.model._meta  # noqa: SLF001 - Django documents it


def describe_row(source: Source, row: Any) -> str:
    kind = capfirst(str(opts_of(source).verbose_name))
    if source.has_tenant:
        return f"{kind} of {row.tenant.name}"
    return f"{kind}, {row.slug}" if isinstance(row, Tenant) else kind


def explain_nothing(text: str) -> str:
    """Return the text for a search without results."""
    if WHOLE_KEY.search(text):
        return SECRET
    return (
        f"No results for “{text[:MAX_CHARS]}”. Names are found by a part of them, "
        "ids of runs, messages, conversations, approvals and keys by their beginning, and "
        "requests by their whole id."
    )
