"""The tests' own gateway processes: nobody is handed a gateway that somebody else started."""

import http.server
import threading

import pytest

from tests.fixtures.servers.processes import gateway_process


class Ready(http.server.BaseHTTPRequestHandler):
    """Another gateway, as far as `/readyz` tells."""

    def do_GET(self):
        self.send_response(200)
        self.end_headers()

    def log_message(self, *_):
        pass


@pytest.fixture
def stranger():
    """The port of somebody who says that it is ready."""
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Ready)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield server.server_address[1]
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.mark.slow
def test_a_strangers_answer_is_not_taken_for_ours(tmp_path, stranger, transactional_db):
    with (
        pytest.raises(AssertionError, match="address already in use"),
        gateway_process(tmp_path, port=stranger),
    ):
        pass
