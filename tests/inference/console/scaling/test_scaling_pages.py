"""Scaling in the console: the policy's form, the live page, and rehearsals."""

import re
from datetime import time, timedelta

import pytest
from django.urls import reverse
from django.utils import timezone

from inference.models import PoolSample, ScalingPolicy
from inference.scaling.evaluation import evaluate_pools
from inference.scaling.policies import services as policy_services
from inference.scaling.policies.mapping import stored_hours, stored_signals
from tests.fixtures.console.limit_forms import sentences
from tests.fixtures.fleet.fleet_state import redis, report
from tests.fixtures.fleet.scaling import engine, hours, load, make_policy

__all__ = ["load", "redis", "report"]
ADD = "admin:inference_scalingpolicy_add"


def text_of(answer):
    return " ".join(re.sub(r"<[^>]+>", " ", sentences(answer)).split())


def form_of(console, address):
    """Return the fields of the page as a browser would submit them."""
    form = console.get(address).context["adminform"].form
    found = {}
    for formset in console.get(address).context["inline_admin_formsets"]:
        for each in formset.formset.management_form:
            found[each.html_name] = each.value()
        for row in formset.formset.forms:
            for each in row:
                value = each.value()
                if value is not None:
                    found[each.html_name] = value
    for each in form:
        value = each.value()
        if value is not None and value is not False:
            found[each.html_name] = value
    return found


@pytest.fixture
def preset(console, pool):
    """Return the form of a new policy, filled in by the preset."""
    return form_of(console, f"{reverse(ADD)}?pool={pool.pk}&preset=chat")


def test_a_pool_without_a_policy_offers_presets(console, pool, redis):
    text = text_of(console.get(reverse("admin:scaling_pool", args=("small",))))
    assert "No policy yet" in text
    assert "Chat: short waits" in text


def test_a_preset_fills_in_signals_that_suit_the_pool(preset):
    assert preset["signals-0-kind"] == "in_flight"
    assert preset["signals-0-target"] == pytest.approx(14.4)
    assert preset["signals-1-kind"] == "waiting"


def test_a_preset_is_stored_as_it_is(console, pool, preset):
    answer = console.post(reverse(ADD), preset)
    assert answer.status_code == 302
    policy = ScalingPolicy.objects.get()
    assert policy.mode == "recommend"
    assert {each.kind for each in stored_signals(policy)} == {"in_flight", "waiting"}


def test_a_refusal_of_the_service_is_told_in_the_filled_in_form(console, pool, preset):
    answer = console.post(reverse(ADD), {**preset, "mode": "apply"})
    assert "The policy has no actuator" in sentences(answer)
    assert not ScalingPolicy.objects.exists()


def test_a_policy_without_signals_is_refused_in_the_form(console, pool, preset):
    bare = {name: value for name, value in preset.items() if not name.startswith("signals-")}
    bare |= {"signals-TOTAL_FORMS": 0, "signals-INITIAL_FORMS": 0}
    assert "Add a signal" in sentences(console.post(reverse(ADD), bare))


def test_a_schedule_is_entered_and_changed(console, pool):
    policy = make_policy(pool, schedules=[hours()])
    address = reverse("admin:inference_scalingpolicy_change", args=(policy.pk,))
    form = form_of(console, address)
    answer = console.post(address, {**form, "schedules-0-weekdays": [0, 1]})
    assert answer.status_code == 302
    assert stored_hours(ScalingPolicy.objects.get())[0].weekdays == frozenset({0, 1})


def test_more_than_the_most_is_asked_about(console, pool):
    policy = make_policy(pool, mode="apply", actuator="process")
    for number in (1, 2, 3):
        engine(pool, number)
    address = reverse("admin:inference_scalingpolicy_change", args=(policy.pk,))
    form = {**form_of(console, address), "max_replicas": 2}
    assert "small has 3 replicas" in sentences(console.post(address, form))
    assert console.post(address, {**form, "is_confirmed": "on"}).status_code == 302
    assert ScalingPolicy.objects.get().max_replicas == 2


def test_the_list_shows_what_each_policy_does(console, pool):
    policy_services.pause(policy=make_policy(pool, idle_seconds=600))
    text = text_of(console.get(reverse("admin:inference_scalingpolicy_changelist")))
    assert "paused" in text
    assert "1 to 10 or none" in text


def live(console):
    return text_of(console.get(reverse("admin:scaling_pool", args=("small",))))


def test_the_page_says_why_and_why_not_more(console, pool, load):
    make_policy(pool, max_replicas=3, schedules=[])
    load(pool, 90, engine(pool, now=timezone.now()))
    evaluate_pools(now=timezone.now())
    text = live(console)
    assert "Waiting requests: 90 in all, 10 per replica: 9 replicas." in text
    assert "Why not 9? The bounds of the policy are reached." in text
    assert "The policy allows at most 3." in text
    assert "recommended" in text


def test_a_missing_signal_is_told_with_its_reason(console, pool, redis):
    make_policy(pool)
    evaluate_pools(now=timezone.now())
    assert "no gateway has reported recently" in live(console)


def test_a_pool_that_nobody_looked_at_says_so(console, pool, redis):
    make_policy(pool)
    assert "This pool was not evaluated in the last minute" in live(console)
    evaluate_pools(now=timezone.now())
    assert "Nobody has looked" not in live(console)


def test_a_chart_is_drawn_of_what_was_recorded(console, pool, load):
    make_policy(pool)
    load(pool, 5, engine(pool, now=timezone.now()), in_flight=2)
    evaluate_pools(now=timezone.now())
    html = console.get(reverse("admin:scaling_pool", args=("small",))).content.decode()
    assert html.count("<polyline") >= 6
    assert "console-series-desired" in html


def test_one_click_pauses_and_resumes(console, pool, redis):
    policy = make_policy(pool)
    answer = console.post(reverse("admin:inference_scalingpolicy_pause", args=(policy.pk,)))
    assert answer["Location"] == reverse("admin:scaling_pool", args=("small",))
    assert "Resume" in live(console)
    console.post(reverse("admin:inference_scalingpolicy_resume", args=(policy.pk,)))
    assert not ScalingPolicy.objects.get().paused


def test_replicas_are_set_by_hand_for_a_while(console, pool, redis):
    policy = make_policy(pool)
    address = reverse("admin:inference_scalingpolicy_override", args=(policy.pk,))
    assert "Override the number of replicas?" in sentences(console.get(address))
    console.post(address, {"replicas": "7", "hours": "1"})
    assert ScalingPolicy.objects.get().override_replicas == 7
    assert "manual override" in live(console).lower()
    console.post(reverse("admin:inference_scalingpolicy_end_override", args=(policy.pk,)))
    assert ScalingPolicy.objects.get().override_replicas is None


def test_the_part_that_refreshes_itself_is_sent_alone(console, pool, redis):
    address = reverse("admin:scaling_pool", args=("small",))
    answer = console.get(address, headers={"HX-Request": "true"})
    assert "<html" not in answer.content.decode()


def test_the_list_of_pools_leads_to_each(console, pool, redis):
    assert reverse("admin:scaling_pool", args=("small",)) in sentences(
        console.get(reverse("admin:scaling"))
    )


def row_of(console):
    text = text_of(console.get(reverse("admin:scaling")))
    return text[text.index("Bounds") :]


def test_the_list_counts_replicas_of_a_pool_at_which_nobody_looked(console, pool, redis):
    for number in (1, 2, 3):
        engine(pool, number)
    assert "small no policy 3 - - This pool is not scaled: choose a preset" in row_of(console)


def test_the_list_shows_the_bounds_in_force(console, pool, load):
    make_policy(
        pool, schedules=[hours(min_replicas=3, max_replicas=9, starts=time(0), ends=time(0))]
    )
    load(pool, 42, engine(pool))
    assert "1 to 10" in row_of(console)
    evaluate_pools(now=timezone.now())
    assert "3 to 9" in row_of(console)


def test_whoever_comes_back_within_bounds_first_is_told_so(console, pool, load):
    make_policy(pool, min_replicas=2)
    load(pool, 42, engine(pool, now=timezone.now()))
    evaluate_pools(now=timezone.now())
    assert "Why not 5? The first step returns to the bounds" in live(console)


def test_unknown_pools_are_not_found(console, db):
    for name in ("scaling_pool", "scaling_rehearse"):
        assert console.get(reverse(f"admin:{name}", args=("nowhere",))).status_code == 404


def rehearse(console, **asked):
    usual = {"load": "sale", "base_request_rate": "", "a-basis": "stored", "b-basis": "chat"}
    return console.get(reverse("admin:scaling_rehearse", args=("small",)), {**usual, **asked})


def test_two_drafts_are_compared_over_a_load_that_nobody_has_had(console, pool):
    make_policy(pool, max_replicas=5, replica_cost=2.5)
    text = text_of(rehearse(console))
    assert "Replica-hours" in text
    assert "Compared with an oracle" in text
    assert "Cost" in text
    assert "assumed: no start is recorded yet" in text


def test_what_was_recorded_is_rehearsed_beside_what_there_was(console, pool):
    now = timezone.now()
    for number in range(240):
        at = now - timedelta(seconds=15 * (240 - number))
        facts = {"replicas": 6, "ready": 6, "waiting": 0, "in_flight": 4, "request_rate": 2}
        PoolSample.objects.create(pool=pool, at=at, **facts)
    rows = rehearse(console, load="day").context["rows"]
    hours_ = next(row for row in rows if row[0] == "Replica-hours")
    assert hours_[1] == "6.0"
    assert float(hours_[2][0]) < 6


def test_an_edit_changes_the_outcome(console, pool):
    make_policy(pool, max_replicas=50)
    tight = rehearse(console, **{"b-basis": "stored", "b-max_replicas": "2"})
    most = next(row for row in tight.context["rows"] if row[0] == "Peak replicas")
    assert most[2][1] == "2"
    assert int(most[2][0]) > 2
    assert ScalingPolicy.objects.get().max_replicas == 50


def test_without_anything_recorded_the_page_says_so(console, pool):
    assert "No samples are recorded for this time" in sentences(rehearse(console, load="week"))


@pytest.mark.parametrize(
    "asked",
    [
        {"load": "moon"},
        {"a-max_replicas": "0"},
        {"a-targets_percent": "nan"},
        {"base_request_rate": "-1"},
        {"a-min_replicas": "9", "a-max_replicas": "3"},
    ],
)
def test_what_cannot_be_is_told_in_the_form(console, pool, asked):
    answer = rehearse(console, **asked)
    assert answer.status_code == 200
    assert "rows" not in answer.context


def test_it_is_closed_to_people_who_are_no_operators(client, pool):
    for name in ("scaling_pool", "scaling_rehearse"):
        assert client.get(reverse(f"admin:{name}", args=("small",))).status_code == 302


def test_a_pools_page_asks_few_questions(console, pool, load, django_assert_max_num_queries):
    make_policy(pool, schedules=[hours()])
    evaluate_pools(now=timezone.now())
    with django_assert_max_num_queries(13):
        live(console)
