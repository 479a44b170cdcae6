"""Who decides about a call reads what was asked, of which agent, and by whom."""

import pytest
from django.test import Client
from django.urls import reverse

from agents.models import Approval, Run
from tenants.models import User
from tests.fixtures.gateway import in_database
from tests.fixtures.runs.waiting import decide, employ_careful, pause, wants_to_reckon

QUESTION = "REFUND my order A-1042 please"


@pytest.fixture
def helper(acme, tiny, engine):
    engine.behave(wants_to_reckon())
    return employ_careful(acme, tiny)


def page(name, row):
    console = Client()
    console.force_login(User.objects.create_superuser(f"olga-{name}", password="x"))
    return console.get(reverse(f"admin:agents_{name}_change", args=(row.pk,))).content.decode()


@pytest.mark.usefixtures("helper")
async def test_the_page_of_an_approval_shows_what_was_asked(gateway, acme):
    await pause(gateway, acme, input=QUESTION)
    approval = await in_database(Approval.objects.get)
    text = await in_database(lambda: page("approval", approval))
    assert QUESTION in text
    assert "helper@1" in text
    assert "API key" in text


@pytest.mark.usefixtures("helper")
async def test_so_does_the_page_of_the_run_that_waits(gateway, acme):
    await pause(gateway, acme, input=QUESTION)
    run = await in_database(Run.objects.get)
    text = await in_database(lambda: page("run", run))
    assert QUESTION in text
    assert "waiting for approval for" in text
    assert "running for" not in text


@pytest.mark.usefixtures("helper")
async def test_what_was_asked_keeps_the_time_at_which_it_was(gateway, acme):
    waiting = await pause(gateway, acme, input=QUESTION)
    await decide(gateway, acme, waiting)
    run = await in_database(Run.objects.get)
    text = await in_database(lambda: page("run", run))
    assert f"{run.created_at:%Y-%m-%d %H:%M:%S} UTC" in text.partition(QUESTION)[0][-400:]
