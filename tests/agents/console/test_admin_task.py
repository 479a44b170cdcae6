"""The console's and the management API's view of tasks: why an agent was chosen, and cancelling."""

import pytest
from auditlog.models import LogEntry
from django.urls import reverse

from agents.models import Run, Task
from tests.fixtures.console.people import rows
from tests.fixtures.runs.conversations import make_run
from tests.fixtures.runs.tasks import make_task


def page(name, *args):
    return reverse(f"admin:agents_task_{name}", args=args)


@pytest.fixture
def running(acme):
    run = make_run(acme, state="requires_approval", background=True)
    return make_task(acme, run=run)


def test_the_page_of_a_task_explains_the_choice_and_leads_to_its_run(console, acme):
    task = make_task(acme)

    text = console.get(page("change", task.pk)).content.decode()

    assert "helper is the only agent that is able to execute it." in text
    assert "lacks translate.de-en" in text
    assert reverse("admin:agents_run_change", args=(task.run_id,)) in text


def test_a_task_that_was_not_accepted_yet_says_so(console, acme):
    task = make_task(acme, run=None)

    listed = console.get(page("changelist")).content.decode()
    text = console.get(page("change", task.pk)).content.decode()

    assert "not accepted yet" in listed
    assert "It has no run yet" in text


def test_the_list_asks_no_query_for_each_row(console, acme, rival, django_assert_max_num_queries):
    for _ in range(6):
        make_task(acme)
        make_task(rival)

    with django_assert_max_num_queries(10):
        text = console.get(page("changelist")).content.decode()

    assert text.count("translate.de-en") == 12


def test_the_list_is_filtered_by_the_state_of_the_run(console, acme, running):
    done = make_task(acme)

    text = console.get(f"{page('changelist')}?run__state__exact=completed").content.decode()

    assert done.public_id in text
    assert running.public_id not in text


def test_an_operator_cancels_a_task_which_is_audited(console, running):
    console.post(page("cancel", running.pk))

    (entry,) = LogEntry.objects.get_for_object(running)
    assert rows(Run).get().state == "cancelled"
    assert entry.changes == {"cancel": ["", running.run.public_id]}


def test_input_of_a_client_is_shown_as_text(console, acme):
    task = make_task(acme, input={"x": "<script>alert(1)</script>"})

    text = console.get(page("change", task.pk)).content.decode()

    assert "<script>alert(1)</script>" not in text
    assert "&lt;script&gt;" in text


def test_the_management_api_lists_and_cancels_tasks(console, acme, rival, running):
    make_task(rival)
    make_task(acme, run=None)
    place = f"/api/v1/tasks/{running.public_id}"

    listed = console.get("/api/v1/tasks?tenant=acme").json()["results"]
    shown = console.get(place).json()
    cancelled = console.post(f"{place}/cancel").json()

    assert [each["id"] for each in listed] == [running.public_id]
    assert shown["explanation"]["candidates"][0]["code"] == "chosen"
    assert (shown["state"], cancelled["state"]) == ("requires_approval", "cancelled")
    assert rows(Task).count() == 3
