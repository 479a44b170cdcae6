"""Of two processes that register one name at the same moment, one gets it."""

import threading

import pytest
from django.db import connection

from agents.errors import NodeNameTaken
from agents.models import AgentNode, NodeToken
from tests.fixtures.nodes import node_token, register


@pytest.mark.django_db(transaction=True)
def test_of_two_nodes_with_one_name_one_is_refused():
    token, text = node_token()
    together, outcomes = threading.Barrier(2), []

    def attempt(worker):
        try:
            together.wait(timeout=30)
            outcomes.append(register("node-1", token=text, worker=worker).worker)
        except NodeNameTaken:
            outcomes.append("refused")
        finally:
            connection.close()

    threads = [threading.Thread(target=attempt, args=(name,)) for name in ("first", "second")]
    for each in threads:
        each.start()
    for each in threads:
        each.join(timeout=60)

    assert outcomes.count("refused") == 1
    assert AgentNode.objects.get().worker in outcomes
    assert NodeToken.objects.get(pk=token.pk).uses == 1
