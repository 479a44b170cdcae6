"""A route's page and API: shares by weight, fallbacks in order, and validation."""

import pytest
from django.core.exceptions import ValidationError
from django.urls import reverse

from inference import services
from inference.admin.route_labels import routes_by_pool
from inference.endpoints import registration
from inference.endpoints.registration import Announcement
from inference.errors import TargetNotAllowed
from inference.models import ModelRoute, RouteTarget
from inference.publishing import load_fleet
from inference.route_targets import WantedTarget, parts_of
from tests.fixtures.console.fleet_forms import route_form
from tests.fixtures.console.limit_forms import sentences

ADD = "admin:inference_modelroute_add"
API = "/api/v1/routes"


@pytest.fixture
def large(db):
    return services.create_pool(name="large", engine="vllm")


@pytest.fixture
def spare(db):
    return services.create_pool(name="spare", engine="vllm")


def targets_of(route):
    rows = RouteTarget.objects.filter(route=route).select_related("pool")
    return [(row.pool.name, row.role, row.weight, row.order) for row in rows]


def edit(console, route, *targets, **facts):
    place = reverse("admin:inference_modelroute_change", args=(route.pk,))
    body = route_form(route.pool, *targets, **{"name": route.name, **facts})
    return console.post(place, body)


def test_a_route_is_made_with_a_share_and_a_fallback(console, pool, large, spare):
    share = {"pool": large.pk, "role": "share", "weight": "3"}
    fallback = {"pool": spare.pk, "role": "fallback", "order": "1"}
    answer = console.post(reverse(ADD), route_form(pool, share, fallback, pool_weight="7"))
    assert answer.status_code == 302
    route = ModelRoute.objects.get()
    assert route.pool_weight == 7
    assert targets_of(route) == [("spare", "fallback", 1, 1), ("large", "share", 3, 0)]


def test_the_parts_are_shown_in_per_cent(console, pool, large):
    shares = (WantedTarget(pool=large, role="share", weight=3),)
    route = services.create_route(name="qwen", pool=pool, pool_weight=7, targets=shares)
    page = console.get(reverse("admin:inference_modelroute_change", args=(route.pk,)))
    assert "30 %" in sentences(page)
    lists = console.get(reverse("admin:inference_modelroute_changelist"))
    assert "small 70 %, large 30 %" in sentences(lists)


def test_a_target_is_changed_and_another_taken_out(console, pool, large, spare):
    both = (WantedTarget(pool=large, role="share"), WantedTarget(pool=spare))
    route = services.create_route(name="qwen", pool=pool, targets=both)
    first, second = route.targets.order_by("-role")
    changed = {"id": first.pk, "pool": large.pk, "role": "share", "weight": "9"}
    gone = {"id": second.pk, "pool": spare.pk, "role": "fallback", "DELETE": "on"}
    edit(console, route, changed, gone, stored=2)
    assert targets_of(route) == [("large", "share", 9, 0)]


def test_the_own_pool_and_a_share_change_places(console, pool, large):
    route = services.create_route(name="qwen", pool=pool, targets=(WantedTarget(pool=large),))
    row = {"id": route.targets.get().pk, "pool": pool.pk, "role": "fallback"}
    edit(console, route, row, stored=1, pool=large.pk)
    assert ModelRoute.objects.get().pool == large
    assert targets_of(route) == [("small", "fallback", 1, 0)]


def refused(console, pool, *targets):
    answer = console.post(reverse(ADD), route_form(pool, *targets))
    assert not ModelRoute.objects.filter(name="qwen/3").exists()
    return sentences(answer)


def test_the_same_pool_twice_is_refused(console, pool, large):
    row = {"pool": large.pk}
    assert "The pool large is listed twice" in refused(console, pool, row, row)


def test_a_weight_of_nothing_is_refused(console, pool, large):
    assert "A weight must be between" in refused(console, pool, {"pool": large.pk, "weight": "0"})


def test_a_fallback_that_is_the_own_pool_is_refused(console, pool):
    text = refused(console, pool, {"pool": pool.pk, "role": "fallback"})
    assert "is the route's own pool" in text


def test_a_share_that_is_the_own_pool_is_refused(console, pool):
    assert "is the route's own pool" in refused(console, pool, {"pool": pool.pk})


def test_a_pool_for_something_else_is_refused(console, pool, large):
    services.create_route(name="embedder", pool=large, purpose="embeddings")
    text = refused(console, pool, {"pool": large.pk})
    assert "The pool large serves embeddings, and this route is for chat" in text


def test_a_share_with_another_model_is_refused_and_a_fallback_is_not(console, pool, large):
    register(large, "llama")
    assert "serve llama, not qwen/3" in refused(console, pool, {"pool": large.pk})
    fallback = {"pool": large.pk, "role": "fallback"}
    assert console.post(reverse(ADD), route_form(pool, fallback)).status_code == 302


def register(pool, model):
    from django.utils import timezone

    announcement = Announcement(address="http://10.0.0.9", model=model)
    return registration.register_endpoint(pool=pool, announcement=announcement, now=timezone.now())


def test_an_engine_may_join_a_pool_for_a_route_that_shares_with_it(pool, large):
    services.create_route(name="canary", pool=large)
    share = WantedTarget(pool=large, role="share")
    services.create_route(name="qwen", pool=pool, targets=(share,))
    assert register(large, "qwen").model == "qwen"


def test_two_routes_may_step_in_for_each_other_for_a_fallback_is_followed_no_further(pool, large):
    """A fallback is a pool and not a route, so there are no cycles."""
    services.create_route(name="one", pool=pool, targets=(WantedTarget(pool=large),))
    services.create_route(name="other", pool=large, targets=(WantedTarget(pool=pool),))

    routes = load_fleet().routes

    assert [each.name for each in routes["one"].fallbacks] == ["large"]
    assert [each.name for each in routes["other"].fallbacks] == ["small"]


def test_moving_a_route_onto_its_own_fallback_is_refused(pool, large):
    route = services.create_route(name="qwen", pool=pool, targets=(WantedTarget(pool=large),))
    route.pool = large
    with pytest.raises(TargetNotAllowed):
        services.save_route(route=route)


def test_a_pool_that_a_route_falls_back_to_cannot_be_deleted(console, pool, large):
    services.create_route(name="qwen", pool=pool, targets=(WantedTarget(pool=large),))
    answer = console.delete(f"/api/v1/pools/{large.pk}")
    assert answer.status_code == 409


def test_the_api_replaces_all_targets(console, route, large, spare):
    place = f"{API}/{route.pk}"
    both = [{"pool": "large", "role": "share", "weight": 3}, {"pool": "spare", "order": 2}]
    stored = console.patch(place, {"targets": both, "pool_weight": 7}, "application/json").json()
    assert stored["pool_weight"] == 7
    assert stored["targets"] == [
        {"pool": "spare", "role": "fallback", "weight": 1, "order": 2},
        {"pool": "large", "role": "share", "weight": 3, "order": 0},
    ]
    kept = console.patch(place, {"enabled": False}, "application/json").json()
    assert len(kept["targets"]) == 2
    assert console.patch(place, {"targets": []}, "application/json").json()["targets"] == []


@pytest.mark.parametrize(
    ("targets", "code"),
    [
        ([{"pool": "small"}], "target_not_allowed"),
        ([{"pool": "large"}, {"pool": "large", "role": "share"}], "target_not_allowed"),
        ([{"pool": "large", "weight": 0}], "invalid_parameter"),
        ([{"pool": "nowhere"}], "invalid_parameter"),
        ([{"pool": "large", "role": "spy"}], "invalid_parameter"),
    ],
)
def test_the_api_refuses_with_a_sentence(console, route, large, targets, code):
    answer = console.patch(f"{API}/{route.pk}", {"targets": targets}, "application/json")
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, code)
    assert not RouteTarget.objects.exists()


@pytest.mark.parametrize("weight", [0, -1, 1001])
def test_the_service_refuses_a_weight_that_is_none(route, large, weight):
    with pytest.raises(TargetNotAllowed):
        services.save_route(route=route, targets=(WantedTarget(pool=large, weight=weight),))


@pytest.mark.parametrize(
    ("own", "shares", "parts"),
    [(1, (), (100,)), (7, (3,), (70, 30)), (1, (1, 1), (34, 33, 33)), (1, (999,), (0, 100))],
)
def test_parts_add_up_to_a_hundred(own, shares, parts):
    assert parts_of(own=own, shares=shares) == parts


def test_a_list_of_routes_asks_few_questions(console, pool, large, django_assert_max_num_queries):
    for number in range(20):
        share = WantedTarget(pool=large, role="share")
        services.create_route(name=f"r{number}", pool=pool, targets=(share,))
    with django_assert_max_num_queries(8):
        assert len(console.get(API).json()["results"]) == 20
    with django_assert_max_num_queries(2):
        assert len(routes_by_pool()[large.pk]) == 20


def test_a_route_keeps_its_name_whatever_the_form_says(console, pool):
    route = services.create_route(name="qwen", pool=pool)
    edit(console, route, name="other", context_length="512")
    route.refresh_from_db()
    assert (route.name, route.context_length) == ("qwen", 512)


def test_no_caller_renames_a_route(pool):
    route = services.create_route(name="qwen", pool=pool)
    route.name = "other"
    with pytest.raises(ValidationError, match="cannot be changed"):
        services.save_route(route=route)
