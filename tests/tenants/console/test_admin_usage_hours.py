"""The console's page of usage: charts and sums by day, for one tenant or all."""

import json
from datetime import UTC, datetime

import pytest
from django.urls import reverse

from tests.fixtures.console import make_event

PAGE = "admin:tenants_usagehour_changelist"
NOON = datetime(2026, 1, 2, 12, tzinfo=UTC)
DAYS = {"begins": "2026-01-01", "ends": "2026-01-03"}


def ask(console, **asked):
    page = console.get(reverse(PAGE), {**DAYS, **asked})
    assert page.status_code == 200
    return page.context


def charts(context):
    return {chart["title"]: json.loads(chart["data"]) for chart in context["charts"]}


def layers(chart):
    return {layer["label"]: layer["data"] for layer in chart["datasets"]}


@pytest.fixture
def used(acme, rival):
    make_event(acme, 1, started_at=NOON)
    make_event(acme, 2, started_at=NOON, route="qwen", prompt_tokens=1, completion_tokens=1)
    make_event(rival, 1, started_at=NOON, status="failed", cost_micro=5)


def test_each_model_is_a_layer_and_each_day_a_bar(console, used):
    drawn = charts(ask(console))

    assert drawn["Requests"]["labels"] == ["01 Jan", "02 Jan", "03 Jan"]
    assert layers(drawn["Requests"]) == {"smollm2": [0, 2, 0], "qwen": [0, 1, 0]}
    assert layers(drawn["Tokens"]) == {"smollm2": [0, 2468, 0], "qwen": [0, 2, 0]}


def test_one_tenant_is_shown_alone_with_its_days(console, used, acme):
    acme.time_zone = "Pacific/Auckland"
    acme.save()

    context = ask(console, tenant=acme.pk)

    assert context["zone"] == "Pacific/Auckland"
    assert layers(charts(context)["Requests"]) == {"smollm2": [0, 0, 1], "qwen": [0, 0, 1]}


def test_there_is_no_chart_of_what_was_not_used(console, used, acme):
    assert set(charts(ask(console, tenant=acme.pk))) == {"Tokens", "Requests"}
    assert set(charts(ask(console))) == {"Tokens", "Requests", "Cost"}


@pytest.mark.parametrize("stack", ["agent", "key"])
def test_it_is_stacked_by_others_too(console, used, stack):
    assert list(layers(charts(ask(console, stack=stack))["Requests"])) == [f"no {stack}"]


def test_it_is_stacked_by_tenant(console, used):
    drawn = layers(charts(ask(console, stack="tenant"))["Requests"])
    assert {name[:4]: data for name, data in drawn.items()} == {
        "Acme": [0, 2, 0],
        "Riva": [0, 1, 0],
    }


def test_beyond_the_largest_users_all_others_are_one(console, acme):
    for number in range(10):
        make_event(acme, number, started_at=NOON, route=f"r{number}", prompt_tokens=100 + number)
    drawn = layers(charts(ask(console))["Requests"])
    assert list(drawn) == [*(f"r{number}" for number in range(9, 2, -1)), "all others"]
    assert drawn["all others"] == [0, 3, 0]


def test_it_sums_up_what_it_draws(console, used):
    context = ask(console)

    assert [card["value"] for card in context["cards"]] == ["3", "1", "2,470", "0.000005"]
    assert [(name, sums.requests) for name, _, sums in context["groups"]] == [
        ("smollm2", 2),
        ("qwen", 1),
    ]


def test_without_usage_it_says_so(console, acme):
    page = console.get(reverse(PAGE), DAYS).content.decode()

    assert "Nothing was used in this time." in page


@pytest.mark.parametrize(
    "asked",
    [
        {"begins": "soon"},
        {"tenant": "7777"},
        {"begins": "2026-02-01"},
        {"begins": "1026-01-01"},
        {"ends": "9999-12-31"},
        {"stack": "weather"},
    ],
)
def test_a_wrong_question_is_told_in_the_form(console, asked):
    assert ask(console, **asked)["form"].errors


def test_one_day_is_drawn_by_hours(console, used, acme):
    context = ask(console, begins="2026-01-02", ends="2026-01-02")
    drawn = charts(context)["Requests"]
    assert drawn["labels"] == [f"{hour:02}:00" for hour in range(24)]
    assert layers(drawn)["smollm2"] == [0] * 12 + [2] + [0] * 11
    assert context["step"] == "hour"
    page = console.get(reverse(PAGE), {"begins": "2026-01-02", "ends": "2026-01-02"})
    assert "Requests by hour and Model" in page.content.decode()


def test_hours_are_those_of_the_tenants_zone(console, used, acme):
    acme.time_zone = "Europe/Berlin"
    acme.save()
    asked = {"tenant": acme.pk, "begins": "2026-01-02", "ends": "2026-01-02"}
    drawn = charts(ask(console, **asked))["Requests"]
    assert drawn["labels"][0] == "00:00"
    assert layers(drawn)["smollm2"][13] == 1


def test_axes_have_a_unit(console, used):
    drawn = charts(ask(console))
    assert {chart["datasets"][0]["suffixYAxis"] for chart in drawn.values()} == {
        "tokens",
        "requests",
        "",
    }
