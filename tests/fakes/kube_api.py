"""A Kubernetes API as small as scaling needs it, over real HTTP: it can refuse, break and stall."""

import json
import threading
import time
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit

import yaml


class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        if self.fails():
            return
        path = urlsplit(self.path).path
        if path.endswith("/pods"):
            self.answer(200, {"kind": "PodList", "apiVersion": "v1", "items": self.server.pods})
        elif path in self.server.objects:
            self.answer(200, self.server.objects[path])
        else:
            self.refuse(404, "NotFound")

    def do_PATCH(self):
        body = yaml.safe_load(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.patches.append((urlsplit(self.path).path, body))
        if self.fails():
            return
        path = urlsplit(self.path).path
        if "/pods/" in path:
            self.answer(200, {"kind": "Pod", "apiVersion": "v1", "metadata": {"name": "p"}})
        elif path.endswith("/scale") and path not in self.server.objects:
            self.refuse(404, "NotFound")
        else:
            found = self.server.objects.setdefault(path, {})
            found.update({name: body[name] for name in body if name != "spec"})
            found["spec"] = {**found.get("spec", {}), **body["spec"]}
            self.answer(200, found)

    def fails(self):
        """What the test wants of this request, once for each that is queued."""
        if not self.server.failures:
            return False
        failure = self.server.failures.pop(0)
        if failure == "stall":
            time.sleep(self.server.stall_seconds)
        elif failure == "garbage":
            self.send_response(500)
            self.end_headers()
            self.wfile.write(b"<html>upstream died</html>")
        elif failure is not None:
            self.refuse(failure, "Failure")
        return failure is not None

    def refuse(self, code, reason):
        status = {"kind": "Status", "apiVersion": "v1", "status": "Failure"}
        self.answer(code, {**status, "code": code, "reason": reason, "message": reason})

    def answer(self, code, body):
        text = json.dumps(body).encode()
        self.send_response(code)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def log_message(self, *_):
        """Nothing: the test says what matters."""


@contextmanager
def kube_api():
    """`objects` by path, `pods`, `failures` for the next requests, `patches` that came."""
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.objects, server.pods, server.failures, server.patches = {}, [], [], []
        server.stall_seconds = 5
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield server
        finally:
            server.shutdown()


def scale_of(replicas, *, selector="app=engine"):
    return {
        "kind": "Scale",
        "apiVersion": "autoscaling/v1",
        "metadata": {"name": "engine", "namespace": "engines"},
        "spec": {"replicas": replicas},
        "status": {"replicas": replicas, "selector": selector},
    }


def kubeconfig(server, path):
    """A file for KUBECONFIG that leads to the fake."""
    address = f"http://127.0.0.1:{server.server_port}"
    path.write_text(
        yaml.safe_dump(
            {
                "apiVersion": "v1",
                "kind": "Config",
                "current-context": "fake",
                "clusters": [{"name": "fake", "cluster": {"server": address}}],
                "users": [{"name": "fake", "user": {"token": "t"}}],
                "contexts": [{"name": "fake", "context": {"cluster": "fake", "user": "fake"}}],
            }
        )
    )
    return str(path)
