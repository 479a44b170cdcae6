"""Prices of routes: entered per unit, stored in millionths, cached at most prompt."""

import pytest
from django.core.exceptions import ValidationError
from django.urls import reverse

from inference import services
from inference.admin.price import price_text
from inference.models import ModelRoute
from tests.fixtures.console.fleet_forms import route_form

ADD = "admin:inference_modelroute_add"
API = "/api/v1/routes"


@pytest.fixture
def new(pool):
    return route_form(pool)


def test_a_price_is_stored_in_millionths(console, new):
    prices = {"prompt_price": "0.15", "cached_price": ".075"}
    console.post(reverse(ADD), {**new, **prices, "completion_price": "0.6"})
    route = ModelRoute.objects.get()
    assert (route.prompt_price, route.cached_price) == (150_000, 75_000)
    assert route.completion_price == 600_000


def test_a_route_without_prices_is_free(console, new):
    console.post(reverse(ADD), new)
    assert ModelRoute.objects.get().prompt_price == 0
    assert "free" in console.get(reverse("admin:inference_modelroute_changelist")).content.decode()


@pytest.mark.parametrize(
    ("price", "says"),
    [
        ("-1", "A price must be between 0 and 400"),
        ("401", "A price must be between 0 and 400"),
        ("NaN", "A price must be between 0 and 400"),
        ("0.0000001", "at most six decimal places"),
        ("1e999999999", "between 0 and"),
        ("cheap", "Write a number such as 0.15"),
    ],
)
def test_what_is_no_price_is_refused_with_a_sentence(console, new, price, says):
    answer = console.post(reverse(ADD), {**new, "prompt_price": price})
    assert says in answer.content.decode()
    assert not ModelRoute.objects.exists()


def test_cached_tokens_cost_at_most_as_much_as_others(console, new):
    prices = {"prompt_price": "0.1", "cached_price": "0.2"}
    answer = console.post(reverse(ADD), {**new, **prices})
    assert "Cached tokens may not cost more" in answer.content.decode()
    assert not ModelRoute.objects.exists()


def test_the_form_shows_a_price_as_it_is_written(console, route):
    services.save_route(route=ModelRoute(**{**fields(route), "prompt_price": 150_000}))
    page = console.get(reverse("admin:inference_modelroute_change", args=(route.pk,)))
    assert 'value="0.15"' in page.content.decode()


def fields(route):
    return {field.attname: getattr(route, field.attname) for field in route._meta.fields}


def test_the_service_refuses_what_no_hold_covers(route):
    route.cached_price = 1
    with pytest.raises(ValidationError):
        services.save_route(route=route)


def test_the_management_api_sets_prices(console, route):
    place = f"{API}/{route.pk}"
    body = {"prompt_price": 150_000, "cached_price": 15_000}
    assert console.patch(place, body, "application/json").json()["prompt_price"] == 150_000
    answer = console.patch(place, {"cached_price": 150_001}, "application/json")
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, "cached_price")


@pytest.mark.parametrize("price", [-1, 400_000_001, "cheap", None, True])
def test_the_management_api_names_a_wrong_price(console, route, price):
    answer = console.patch(f"{API}/{route.pk}", {"prompt_price": price}, "application/json")
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, "prompt_price")


@pytest.mark.parametrize(
    ("micro", "text"), [(0, "0.00"), (1, "0.000001"), (150_000, "0.15"), (12_000_000, "12.00")]
)
def test_a_price_reads_as_people_write_it(micro, text):
    assert price_text(micro) == text
