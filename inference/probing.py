"""Asking an endpoint whether it lives."""

from dataclasses import dataclass
from http.client import HTTPException
from typing import Any
from urllib.request import HTTPErrorProcessor, Request, build_opener

from inference.models import ModelEndpoint

PATIENCE_SECONDS = 5.0
OK = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """What one probe found."""

    good: bool
    note: str
    """A sentence for people."""


class AnyStatus(HTTPErrorProcessor):
    """A status is an answer, whatever it is; redirects are not followed."""

    def http_response(self, request: Any, response: Any) -> Any:
        return response

    https_response = http_response


def probe_now(*, endpoint: ModelEndpoint) -> Finding:
    """Ask the probe path of the endpoint's pool once; never raises for a dead endpoint."""
    headers = {"authorization": f"Bearer {endpoint.credential}"} if endpoint.credential else {}
    asked = Request(endpoint.address + endpoint.pool.probe_path, headers=headers)  # noqa: S310
    try:
        with build_opener(AnyStatus).open(asked, timeout=PATIENCE_SECONDS) as answer:
            return Finding(good=answer.status == OK, note=f"It answered {answer.status}.")
    except (OSError, HTTPException) as error:
        return Finding(good=False, note=f"It did not answer ({error.__class__.__name__}).")
