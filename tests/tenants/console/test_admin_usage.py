"""The console's page of the ledger: read, filtered, summed up; never changed."""

from datetime import UTC, timedelta

import pytest
from django.urls import reverse
from django.utils import timezone

from tests.fixtures.console.people import make_event

LIST = "admin:tenants_usageevent_changelist"


def totals(console, **filters):
    return console.get(reverse(LIST), filters).context["totals"]


def test_it_sums_up_what_it_lists(console, acme, rival):
    make_event(acme)
    make_event(rival, status="failed")
    sums = totals(console)
    assert (sums.requests, sums.failed) == (2, 1)
    assert (sums.prompt_tokens, sums.completion_tokens) == (2000, 468)


def test_numbers_have_separators(console, acme):
    make_event(acme, prompt_tokens=1_234_567)
    assert "1,234,567" in console.get(reverse(LIST)).content.decode()


def test_times_say_their_zone(console, acme):
    make_event(acme)
    assert " UTC</" in console.get(reverse(LIST)).content.decode()


@pytest.mark.parametrize(
    "filters",
    [{"route": "smollm2"}, {"door": "embeddings"}, {"status__exact": "failed"}],
    ids=lambda filters: next(iter(filters)),
)
def test_it_is_filtered(console, acme, filters):
    make_event(acme, 1, door="embeddings", status="failed")
    make_event(acme, 2, route="qwen")
    assert totals(console, **filters).requests == 1


def test_it_is_filtered_by_tenant(console, acme, rival):
    make_event(acme)
    make_event(rival)
    assert totals(console, tenant__id__exact=acme.pk).requests == 1


def test_it_is_filtered_by_date(console, acme):
    before = timezone.now() - timedelta(days=40)
    make_event(acme, 1, started_at=before)
    make_event(acme, 2)
    day = before.astimezone(UTC).date().isoformat()
    assert totals(console, started_at_from=day, started_at_to=day).requests == 1
    assert totals(console, started_at_to=day, route="qwen").requests == 0
    assert totals(console, started_at_from=day).requests == 2


def test_a_correction_changes_the_tokens_and_is_no_request(console, acme):
    make_event(acme, 1)
    make_event(acme, 2, kind="correction", prompt_tokens=-400)
    sums = totals(console)
    assert (sums.requests, sums.prompt_tokens) == (1, 600)


def test_a_request_is_found_by_its_id(console, acme):
    event = make_event(acme)
    make_event(acme, 2)
    assert totals(console, q=event.request_id).requests == 1


def test_an_event_of_a_deleted_key_can_be_read(console, acme):
    event = make_event(acme, api_key_id=987_654)
    page = reverse("admin:tenants_usageevent_change", args=(event.pk,))
    assert console.get(page).status_code == 200
    assert console.get(reverse(LIST)).status_code == 200


@pytest.mark.parametrize("what", ["change", "delete"])
def test_nothing_is_changed_or_deleted(console, acme, what):
    event = make_event(acme)
    page = reverse(f"admin:tenants_usageevent_{what}", args=(event.pk,))
    assert console.post(page, {"post": "yes"}).status_code == 403


def test_no_action_is_offered(console, acme):
    make_event(acme)
    assert "delete_selected" not in console.get(reverse(LIST)).content.decode()
