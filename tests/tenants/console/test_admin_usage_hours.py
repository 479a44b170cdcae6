"""The console's page of usage: charts and sums by day, for one tenant or all."""

from datetime import UTC, datetime

import pytest
from django.urls import reverse

from tests.fixtures.console.people import make_event

PAGE = "admin:tenants_usagehour_changelist"
NOON = datetime(2026, 1, 2, 12, tzinfo=UTC)
DAYS = {"begins": "2026-01-01", "ends": "2026-01-03"}


def ask(console, **asked):
    page = console.get(reverse(PAGE), {**DAYS, **asked})
    assert page.status_code == 200
    return page.context


def charts(context):
    """The charts by what they measure."""
    return {chart.title.partition(" ")[0]: chart for chart in context["charts"]}


def labels(chart):
    return [tick.label for tick in chart.x_ticks]


def names(chart):
    return [entry.label for entry in chart.legend]


def values(chart):
    """The tooltips without those of empty bars."""
    return [each.text for each in chart.slices if ": 0" not in each.text]


@pytest.fixture
def used(acme, rival):
    make_event(acme, 1, started_at=NOON)
    make_event(acme, 2, started_at=NOON, route="qwen", prompt_tokens=1, completion_tokens=1)
    make_event(rival, 1, started_at=NOON, status="failed", cost_micro=5)


def test_each_model_is_a_layer_and_each_day_a_bar(console, used):
    drawn = charts(ask(console))

    assert labels(drawn["Requests"]) == ["01 Jan", "02 Jan", "03 Jan"]
    assert len(drawn["Requests"].slices) == 3
    assert values(drawn["Requests"]) == [
        "2026-01-02: 3 requests (smollm2 2 requests, qwen 1 request)"
    ]
    assert values(drawn["Tokens"]) == [
        "2026-01-02: 2,470 tokens (smollm2 2,468 tokens, qwen 2 tokens)"
    ]


def test_one_tenant_is_shown_alone_with_its_days(console, used, acme):
    acme.time_zone = "Pacific/Auckland"
    acme.save()

    context = ask(console, tenant=acme.pk)

    assert context["zone"] == "Pacific/Auckland"
    drawn = charts(context)["Requests"]
    assert drawn.axis_label == "Day (Pacific/Auckland)"
    assert values(drawn) == ["2026-01-03: 2 requests (smollm2 1 request, qwen 1 request)"]


def test_there_is_no_chart_of_what_was_not_used(console, used, acme):
    assert set(charts(ask(console, tenant=acme.pk))) == {"Tokens", "Requests"}
    assert set(charts(ask(console))) == {"Tokens", "Requests", "Cost"}


@pytest.mark.parametrize("stack", ["agent", "key"])
def test_it_is_stacked_by_others_too(console, used, stack):
    assert names(charts(ask(console, stack=stack))["Requests"]) == [f"no {stack}"]


def test_it_is_stacked_by_tenant(console, used):
    drawn = charts(ask(console, stack="tenant"))["Requests"]
    acme, rival = names(drawn)
    assert (acme[:4], rival[:4]) == ("Acme", "Riva")
    assert values(drawn) == [f"2026-01-02: 3 requests ({acme} 2 requests, {rival} 1 request)"]


def test_beyond_the_largest_users_all_others_are_one(console, acme):
    for number in range(10):
        make_event(acme, number, started_at=NOON, route=f"r{number}", prompt_tokens=100 + number)
    drawn = charts(ask(console))["Requests"]
    assert names(drawn) == [*(f"r{number}" for number in range(9, 2, -1)), "all others"]
    assert "all others 3 requests" in values(drawn)[0]


def test_it_sums_up_what_it_draws(console, used):
    context = ask(console)

    assert [card["value"] for card in context["cards"]] == ["3", "1", "2,470", "0.000005"]
    assert [(name, sums.requests) for name, _, sums in context["groups"]] == [
        ("smollm2", 2),
        ("qwen", 1),
    ]


def test_without_usage_it_says_so(console, acme):
    page = console.get(reverse(PAGE), DAYS).content.decode()

    assert "No usage in this time." in page


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
    assert [each.text[:16] for each in drawn.slices] == [
        f"2026-01-02 {hour:02}:00" for hour in range(24)
    ]
    assert labels(drawn) == [f"{hour:02}:00" for hour in range(0, 24, 3)]
    assert [text[:28] for text in values(drawn)] == ["2026-01-02 12:00: 3 requests"]
    page = console.get(reverse(PAGE), {"begins": "2026-01-02", "ends": "2026-01-02"})
    assert "Requests by hour and model" in page.content.decode()


def test_hours_are_those_of_the_tenants_zone(console, used, acme):
    acme.time_zone = "Europe/Berlin"
    acme.save()
    asked = {"tenant": acme.pk, "begins": "2026-01-02", "ends": "2026-01-02"}
    drawn = charts(ask(console, **asked))["Requests"]
    assert labels(drawn)[0] == "00:00"
    assert values(drawn) == ["2026-01-02 13:00: 2 requests (smollm2 1 request, qwen 1 request)"]


def test_axes_have_a_unit(console, used):
    drawn = charts(ask(console))
    assert {chart.unit for chart in drawn.values()} == {"tokens", "requests", ""}
