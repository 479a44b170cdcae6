"""An agent of others on this machine, which the egress rules of these tests allow."""

import pytest

from tests.fakes.a2a_server import remote_a2a
from tests.fixtures.servers.tool_servers import allow_on_this_machine


@pytest.fixture
def partner(settings):
    with remote_a2a() as server:
        allow_on_this_machine(settings, server.port)
        yield server
