"""A stand-in for the interpreter of an environment that has vLLM: its server, and one worker.

At SIGTERM the server ends and leaves its worker behind; with `--deaf` neither hears it.
"""

import json
import os
import signal
import subprocess
import sys
import time
from http.server import BaseHTTPRequestHandler, HTTPServer

VERSION = "9.9.9"


class Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        if self.path == "/metrics":
            self.answer('vllm:num_requests_running{engine="0"} 0.0\n')
        elif self.headers["Authorization"] != f"Bearer {os.environ['VLLM_API_KEY']}":
            self.send_error(401)
        else:
            self.answer(json.dumps({"data": [{"id": option("--served-model-name")}]}))

    def answer(self, text: str) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.end_headers()
        self.wfile.write(text.encode())

    def log_message(self, *_: object) -> None:
        """Nothing: the test says what matters."""


def option(name: str) -> str:
    return sys.argv[sys.argv.index(name) + 1]


def main() -> None:
    if sys.argv[1] == "-c":
        sys.stdout.write(f"{VERSION}\n")
    elif sys.argv[1] == "worker":
        deafen()
        time.sleep(600)
    else:
        deafen()
        subprocess.Popen([sys.executable, __file__, "worker", *sys.argv[-1:]])
        HTTPServer((option("--host"), int(option("--port"))), Handler).serve_forever()


def deafen() -> None:
    if sys.argv[-1] == "--deaf":
        signal.signal(signal.SIGTERM, signal.SIG_IGN)


if __name__ == "__main__":
    main()
