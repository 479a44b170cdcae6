"""Each page is called as the sidebar calls it: in its tab, in its path, and on the way to it."""

import re
from html import unescape

import pytest
from django.contrib import admin
from django.urls import reverse

from config.console.breadcrumbs import describe_path
from config.console.navigation import NAVIGATION
from inference.services import create_route
from tests.fixtures.console.one_of_everything import platform

__all__ = ["platform"]

PAGES = [
    (section["title"], item["title"], item["link"])
    for section in NAVIGATION
    for item in section["items"]
]
MODELS = sorted(admin.site._registry, key=lambda model: model._meta.label)


def tab_of(text: str) -> str:
    found = re.search(r"<title>(.*?)</title>", text, re.DOTALL)
    assert found
    return " ".join(unescape(found[1]).split())


def path_of(text: str) -> list[str]:
    """The parts of the path above the page."""
    found = re.search(r"<h1[^>]*leading-5.*?</h1>", text, re.DOTALL)
    assert found
    parts = re.findall(r"<(?:a|span)[^>]*truncate[^>]*>(.*?)</(?:a|span)>", found[0], re.DOTALL)
    return [unescape(part).strip() for part in parts]


@pytest.mark.slow
def test_a_page_of_the_sidebar_has_one_name(console):
    for section, name, link in PAGES:
        text = console.get(str(link)).content.decode()
        assert tab_of(text) == f"{name} | Tenantry"
        assert text.count("<main") == 1
        if name != "API documentation":
            assert path_of(text) == ([section, name] if section else [name])


@pytest.mark.slow
def test_a_row_is_named_as_it_is_in_its_tab_and_path(console, platform):
    names = {str(link): [section, name] for section, name, link in PAGES}
    for model in MODELS:
        row = model._base_manager.order_by("pk").first()
        page = f"admin:{model._meta.app_label}_{model._meta.model_name}"
        text = console.get(reverse(f"{page}_change", args=(row.pk,))).content.decode()
        assert path_of(text) == [*names[reverse(f"{page}_changelist")], str(row)]
        assert tab_of(text).startswith(f"{row} | ")
        assert text.count("<main") == 1


@pytest.mark.parametrize(
    ("page", "path"),
    [
        ("admin:fleet_pool", ["Inference", "Fleet", "small"]),
        ("admin:scaling_pool", ["Inference", "Scaling", "Scaling of small"]),
        ("admin:scaling_rehearse", ["Inference", "Scaling", "Rehearsal of small"]),
    ],
)
def test_a_page_below_one_of_the_sidebar_is_reached_through_it(console, pool, page, path):
    assert path_of(console.get(reverse(page, args=("small",))).content.decode()) == path


def test_a_question_names_the_row_that_it_is_about(console, acme):
    text = console.get(reverse("admin:tenants_tenant_suspend", args=(acme.pk,))).content.decode()
    assert tab_of(text) == "Acme | Suspend this tenant? | Tenantry"
    assert path_of(text) == ["Tenants", "Tenants", "Acme"]


def test_a_name_in_lower_case_can_be_copied_from_everywhere(console, pool):
    route = create_route(name="chat-large", pool=pool)
    for page in ("change", "delete"):
        text = console.get(reverse(f"admin:inference_modelroute_{page}", args=(route.pk,)))
        assert "Chat-large" not in text.content.decode()


def test_a_page_outside_the_sidebar_keeps_its_own_path():
    parts = [{"title": "password change"}]
    assert [each.title for each in describe_path(parts, path="/admin/password_change/")] == [
        "password change"
    ]


def test_pages_without_a_login_have_a_main_part(client, db):
    assert client.get(reverse("admin:login")).content.decode().count("<main") == 1
