"""`/api/v1/schedules`: developers of the tenant manage schedules; others do not see them."""

import pytest
from auditlog.models import LogEntry
from django.test import Client

from agents.models import Schedule
from tests.agents.schedules.conftest import daily
from tests.fixtures.console.people import make_person, rows

API = "/api/v1/schedules"


def signed_in(tenant, role="developer"):
    client = Client()
    client.force_login(make_person(tenant, role))
    return client


@pytest.fixture
def developer(acme):
    return signed_in(acme)


def body(owner, **changes):
    fields = {
        "name": "morning",
        "agent": owner.agent.slug,
        "api_key": owner.api_key.pk,
        "input": "Write the report.",
        "cron": "0 9 * * mon-fri",
        "time_zone": "Europe/Berlin",
    }
    return {**fields, **changes}


def post(client, fields, path=""):
    return client.post(API + path, fields, content_type="application/json")


def test_a_schedule_is_created_with_its_next_five_times_and_changed(developer, ours):
    made = post(developer, body(ours)).json()
    path = f"{API}/{made['id']}"

    assert len(made["next_times"]) == 5
    assert all("T09:00:00+0" in each for each in made["next_times"])
    changed = developer.patch(path, {"missed": "run_once"}, content_type="application/json").json()
    assert (changed["missed"], changed["agent"]) == ("run_once", "reporter")
    assert [row["name"] for row in developer.get(API).json()["results"]] == ["morning"]
    assert developer.get(f"{path}/history").json()["results"] == []


def test_a_pause_and_its_end_are_audited(developer, ours):
    path = f"/{post(developer, body(ours)).json()['id']}"

    paused = post(developer, {}, f"{path}/pause").json()
    resumed = post(developer, {}, f"{path}/resume").json()

    assert (paused["is_paused"], paused["next_at"], paused["next_times"]) == (True, None, [])
    assert (resumed["is_paused"], len(resumed["next_times"])) == (False, 5)
    changes = [each.changes for each in LogEntry.objects.get_for_object(rows(Schedule).get())]
    assert sum("is_paused" in each and len(each) == 1 for each in changes) == 2


@pytest.mark.parametrize(
    ("changes", "status", "code"),
    [
        ({"cron": "* * * * * *"}, 400, "invalid_cron"),
        ({"cron": "0 0 31 2 *"}, 400, "cron_never_fires"),
        ({"time_zone": "Mars/Olympus"}, 400, "invalid_cron"),
        ({"agent": "unknown"}, 404, "not_found"),
        ({"api_key": 2**62}, 404, "not_found"),
        ({"name": ""}, 400, "invalid_parameter"),
        ({"missed": "all"}, 400, "invalid_parameter"),
    ],
)
def test_bad_input_is_refused_with_its_code_and_nothing_is_stored(
    developer, ours, changes, status, code
):
    answer = post(developer, body(ours, **changes))
    assert (answer.status_code, answer.json()["error"]["code"]) == (status, code)
    assert not rows(Schedule).exists()


@pytest.mark.parametrize("name", ["agent", "api_key"])
def test_what_is_another_tenants_is_not_found(developer, ours, theirs, route, name):
    foreign = {"agent": "foreign", "api_key": theirs.api_key.pk}
    rows(type(theirs.agent)).filter(pk=theirs.agent.pk).update(slug="foreign")
    answer = post(developer, body(ours, **{name: foreign[name]}))
    assert answer.status_code == 404


@pytest.mark.parametrize(
    ("method", "path"),
    [("get", ""), ("get", "/history"), ("patch", ""), ("delete", ""), ("post", "/pause")],
)
def test_another_tenants_schedule_is_not_found(ours, rival, method, path):
    schedule = daily(ours)
    answer = getattr(signed_in(rival), method)(f"{API}/{schedule.public_id}{path}")
    assert answer.status_code == 404
    assert rows(Schedule).get().is_paused is False


def test_a_viewer_reads_and_changes_nothing(acme, ours):
    daily(ours)
    viewer = signed_in(acme, "viewer")
    assert viewer.get(API).json()["results"][0]["cron"] == "0 9 * * *"
    assert post(viewer, body(ours, name="other")).status_code == 403
