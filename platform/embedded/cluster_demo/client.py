"""The tenant of the demonstration: sends tasks and reads them over the API, as any client."""

import json
import urllib.error
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

TIMEOUT_SECONDS = 30.0
PAGE = 100
OVER = ("completed", "failed", "cancelled", "expired")
TERMINAL_EVENTS = ("response.completed", "response.incomplete", "response.failed")


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskState:
    """A task as the API shows it. Times are in seconds since 1970."""

    id: str
    state: str
    agent: str
    node: str
    attempts: int
    created_at: int
    completed_at: int | None
    total_tokens: int
    error: str = ""

    @property
    def is_over(self) -> bool:
        return self.state in OVER


class TenantClient:
    """A client with the API key of one tenant."""

    def __init__(self, url: str, key: str) -> None:
        self._url = url
        self._headers = {"authorization": f"Bearer {key}", "content-type": "application/json"}
        self.failures = 0
        """Requests that were not answered as they should have been."""

    def submit(self, capability: str, text: str, *, key: str) -> None:
        """Submit a task. A failed request is counted, and sent again with the same key."""
        body = {"required_capabilities": [capability], "input": text, "idempotency_key": key}
        for _ in range(5):
            if self._request("POST", "/v1/tasks", body) is not None:
                return
        raise ConnectionError("a task was not accepted five times in a row")

    def tasks(self) -> list[TaskState]:
        """Return all tasks; none after a failed request."""
        answer = self._request("GET", f"/v1/tasks?limit={PAGE}") or {"data": []}
        return [task_state(each) for each in answer["data"]]

    def terminal_events(self, task_id: str) -> int:
        """Return how many ends the event stream of a task has."""
        request = self._prepare("GET", f"/v1/tasks/{task_id}/events")
        with urllib.request.urlopen(request, timeout=TIMEOUT_SECONDS) as answer:  # noqa: S310 - the gateway
            return sum(type_of(line) in TERMINAL_EVENTS for line in answer)

    def ledger(self) -> dict[str, int]:
        """Return the sums of the ledger for this key's tenant: requests and tokens."""
        sums = (self._request("GET", "/v1/usage") or {}).get("totals", {})
        tokens = sums.get("prompt_tokens", 0) + sums.get("completion_tokens", 0)
        return {"requests": sums.get("requests", 0), "tokens": tokens}

    def _prepare(
        self, method: str, path: str, body: Mapping[str, Any] | None = None
    ) -> urllib.request.Request:
        data = None if body is None else json.dumps(body).encode()
        return urllib.request.Request(  # noqa: S310 - the gateway of this demonstration
            self._url + path, data=data, headers=self._headers, method=method
        )

    def _request(
        self, method: str, path: str, body: Mapping[str, Any] | None = None
    ) -> dict[str, Any] | None:
        try:
            with urllib.request.urlopen(  # noqa: S310 - the gateway of this demonstration
                self._prepare(method, path, body), timeout=TIMEOUT_SECONDS
            ) as answer:
                found: dict[str, Any] = json.load(answer)
                return found
        except (urllib.error.URLError, OSError):
            self.failures += 1
            return None


def type_of(line: bytes) -> str:
    """Return the type of a server-sent event; empty for other lines."""
    return line.removeprefix(b"event: ").strip().decode() if line.startswith(b"event: ") else ""


def task_state(task: Mapping[str, Any]) -> TaskState:
    return TaskState(
        id=task["id"],
        state=task["state"],
        agent=task["agent"],
        node=task["node"] or "",
        attempts=task["attempts"],
        created_at=task["created_at"],
        completed_at=task["completed_at"],
        total_tokens=(task["usage"] or {}).get("total_tokens", 0),
        error=(task["error"] or {}).get("code", ""),
    )
