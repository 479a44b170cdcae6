"""The path at the top of a page of the console, in the words of its sidebar."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

from django.urls import reverse
from django.utils.text import capfirst

from config.console.navigation import NAVIGATION

Part = Mapping[str, Any]
"""A part as django-unfold describes it: its `title`, and its `link` if it has one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Crumb:
    """One part of the path. Without a link it is text."""

    title: str
    link: str = ""


@cache
def sidebar_places() -> dict[str, tuple[Crumb, ...]]:
    """Return the section and the page of each entry of the sidebar, by the page's address."""
    return {
        str(item["link"]): (
            *([Crumb(title=section["title"])] if section["title"] else []),
            Crumb(title=item["title"], link=str(item["link"])),
        )
        for section in NAVIGATION
        for item in section["items"]
    }


def describe_path(parts: Sequence[Part], *, path: str) -> list[Crumb]:
    """Return the path of the page at `path`; `parts` is the path by django-unfold.

    Pages about rows begin with the list of those rows. Names of rows are not capitalized: a short
    name or an id with a capital letter would be another one.
    """
    crumbs = [Crumb(title=str(each["title"]), link=str(each.get("link") or "")) for each in parts]
    places = sidebar_places()
    if len(crumbs) > 1:
        app, rows, *rest = crumbs
        begins = places.get(rows.link) or (capitalized(app), capitalized(rows))
        return [*begins, *rest]
    address = nearest_page(path)
    if not address:
        return crumbs
    return list(places[address]) if address == path else [*places[address], *crumbs]


def capitalized(crumb: Crumb) -> Crumb:
    return Crumb(title=capfirst(crumb.title), link=crumb.link)


def nearest_page(path: str) -> str:
    """Return the page of the sidebar that `path` is, or is below; empty if there is none."""
    dashboard = reverse("admin:index")
    above = [each for each in sidebar_places() if path.startswith(each) and each != dashboard]
    return max(above, key=len, default=dashboard if path == dashboard else "")
