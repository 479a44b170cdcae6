"""Publishing: a change and its revision are one, and revisions come in the order of commits."""

import logging
import socket
import threading

import pytest
from django.db import connection, transaction

from kernel.models import Publication
from kernel.publishing.publish import CHANNEL, latest_revision, publish, push, revisions_after
from kernel.storage.redis import connect
from tests.fixtures.servers.ports import free_port
from tests.fixtures.servers.valkey import valkey


@pytest.mark.django_db
def test_before_the_first_change_the_revision_is_zero():
    assert latest_revision() == 0
    assert revisions_after(0) == []


@pytest.mark.django_db
def test_each_topic_has_its_newest_revision():
    publish("a")
    publish("b")
    last = publish("a")

    assert revisions_after(0) == [(2, "b"), (3, "a")]
    assert latest_revision() == last == 3


@pytest.mark.django_db
def test_topics_published_together_get_revisions_of_their_own():
    assert publish("a", "b", "c") == 3
    assert revisions_after(1) == [(2, "b"), (3, "c")]


@pytest.mark.django_db(transaction=True)
def test_a_revision_is_rolled_back_with_its_change():
    with transaction.atomic():
        publish("a")
        transaction.set_rollback(True)

    assert latest_revision() == 0


@pytest.mark.django_db
def test_a_change_that_is_rolled_back_is_not_pushed(django_capture_on_commit_callbacks):
    with django_capture_on_commit_callbacks() as pushes:
        with transaction.atomic():
            publish("a")
            transaction.set_rollback(True)
        publish("b")

    assert len(pushes) == 1


@pytest.mark.django_db(transaction=True)
def test_the_push_comes_after_the_commit(settings):
    # Pushes reach every database of a server, so other tests' would be heard on a shared one.
    with valkey(free_port()) as settings.REDIS_URL, connect(settings.REDIS_URL) as client:
        subscription = client.pubsub(ignore_subscribe_messages=True)
        subscription.subscribe(CHANNEL)
        subscription.get_message(timeout=1)
        with transaction.atomic():
            revision = publish("a")
            early = subscription.get_message(timeout=0.1)
        pushed = subscription.get_message(timeout=2)
        subscription.close()

    assert early is None
    assert pushed["data"] == str(revision).encode()


@pytest.mark.django_db(transaction=True)
def test_a_change_is_committed_although_redis_is_away(settings, caplog):
    settings.REDIS_URL = "redis://127.0.0.1:1/0"

    with caplog.at_level(logging.WARNING):
        revision = publish("a")

    assert latest_revision() == revision
    assert "push failed" in caplog.text


def test_a_redis_that_hangs_does_not_hold_up_an_operator(settings, caplog):
    with socket.create_server(("127.0.0.1", 0)) as silent:
        settings.REDIS_URL = f"redis://127.0.0.1:{silent.getsockname()[1]}/0"

        with caplog.at_level(logging.WARNING):
            push(7)  # without a timeout it would not return

    assert "push failed" in caplog.text


@pytest.mark.django_db(transaction=True)
def test_a_second_publisher_waits_for_the_first_to_commit():
    order = []

    def second():
        publish("b")
        order.append("second")
        connection.close()

    other = threading.Thread(target=second)
    with transaction.atomic():
        publish("a")
        other.start()
        other.join(0.3)
        order.append("first")
    other.join(5)

    assert order == ["first", "second"]
    assert revisions_after(0) == [(1, "a"), (2, "b")]


@pytest.mark.django_db(transaction=True)
def test_many_publishers_never_share_a_revision_or_hide_a_smaller_one():
    complete = []

    def work(number):
        for turn in range(5):
            publish(f"{number}-{turn}")
            rows = revisions_after(0)
            complete.append(len(rows) == rows[-1][0])
        connection.close()

    threads = [threading.Thread(target=work, args=[number]) for number in range(4)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()

    revisions = list(Publication.objects.order_by("revision").values_list("revision", flat=True))
    assert revisions == list(range(1, 21))
    assert all(complete)
