"""Whoever cannot see a page, or uses no mouse, gets along: names of fields, landmarks, contrast."""

import re
from html.parser import HTMLParser
from pathlib import Path

import pytest
from django.contrib import admin
from django.urls import reverse

from inference.models import ScalingPolicy
from tests.fixtures.console.one_of_everything import platform

__all__ = ["platform"]

CONTROLS = {"input", "select", "textarea"}
UNSEEN = {"hidden", "submit", "button", "image", "reset"}
CSS = Path(__file__).parents[4] / "platform/config/static/console/console.css"


class Fields(HTMLParser):
    """The form fields of a page, and those that nothing names."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.labelled: set[str] = set()
        self.ids: set[str] = set()
        self.fields: list[dict[str, str | None]] = []
        self.in_label = False
        self.feed(html)

    def handle_starttag(self, tag, attrs):
        told = dict(attrs)
        self.ids.add(told.get("id") or "")
        if tag == "label":
            self.in_label = True
            self.labelled.add(told.get("for") or "")
        elif tag in CONTROLS and told.get("type") not in UNSEEN and not self.in_label:
            self.fields.append(told)

    def handle_endtag(self, tag):
        if tag == "label":
            self.in_label = False

    @property
    def nameless(self) -> list[str]:
        return [
            str(field.get("name"))
            for field in self.fields
            # One is there for password managers only.
            if "hidden" not in (field.get("class") or "").split()
            and not (field.get("aria-label") or field.get("placeholder"))
            and field.get("id") not in self.labelled
            and field.get("aria-labelledby") not in self.ids - {""}
        ]


def pages_of(model):
    opts = model._meta
    name = f"admin:{opts.app_label}_{opts.model_name}"
    row = model._base_manager.order_by("pk").first()
    return [
        reverse(f"{name}_changelist"),
        reverse(f"{name}_add"),
        reverse(f"{name}_change", args=(row.pk,)),
    ]


@pytest.mark.slow
def test_every_field_of_every_page_has_a_name(console, platform):
    pages = [page for model in admin.site._registry for page in pages_of(model)]
    pages += [
        reverse("admin:explain"),
        reverse("admin:scaling_rehearse", args=("small",)),
        reverse("admin:password_change"),
    ]
    found = {}
    for page in pages:
        answer = console.get(page)
        if answer.status_code == 200:
            html = answer.content.decode()
            assert html.count("<main") == html.count("</main>") == 1
            found[page] = Fields(html).nameless
    assert {page: names for page, names in found.items() if names} == {}
    assert len(found) > 60


def test_fields_of_signals_are_named_by_their_columns(console, platform):
    policy = ScalingPolicy.objects.get()
    page = reverse("admin:inference_scalingpolicy_change", args=(policy.pk,))
    html = console.get(page).content.decode()
    named = {field["name"]: field.get("aria-label") for field in Fields(html).fields}
    assert named["signals-0-kind"] == "Kind"
    assert named["signals-0-target"]


def test_the_keyboard_skips_the_sidebar(console):
    html = console.get(reverse("admin:index")).content.decode()
    assert html.index('href="#content"') < html.index('id="nav-sidebar"')
    assert 'id="content" tabindex="-1"' in html


@pytest.mark.parametrize("opacity", re.findall(r"opacity: ([\d.]+);", CSS.read_text()))
def test_no_text_is_paler_than_can_be_read(opacity):
    """Of the theme's colours on its backgrounds .75 leaves a contrast of 4.5 to 1."""
    assert float(opacity) >= 0.75
