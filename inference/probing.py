"""Asking an endpoint whether it lives."""

import time
from dataclasses import dataclass
from http.client import HTTPException
from typing import Any
from urllib.request import HTTPErrorProcessor, Request, build_opener

from inference.models import ModelEndpoint

PATIENCE_SECONDS = 5.0
OK = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class Probe:
    """What one probe told."""

    healthy: bool
    detail: str
    milliseconds: float


class AnyStatus(HTTPErrorProcessor):
    """A status is an answer, whatever it is; redirects are not followed."""

    def http_response(self, request: Any, response: Any) -> Any:
        return response

    https_response = http_response


def probe_now(endpoint: ModelEndpoint) -> Probe:
    """Ask the probe path of the endpoint's pool once; never raises for a dead endpoint."""
    began = time.monotonic()
    headers = {"authorization": f"Bearer {endpoint.credential}"} if endpoint.credential else {}
    asked = Request(endpoint.address + endpoint.pool.probe_path, headers=headers)  # noqa: S310
    try:
        with build_opener(AnyStatus).open(asked, timeout=PATIENCE_SECONDS) as answer:
            healthy, detail = answer.status == OK, f"answered {answer.status}"
    except (OSError, HTTPException) as error:
        healthy, detail = False, f"did not answer ({error.__class__.__name__})"
    took = (time.monotonic() - began) * 1000
    return Probe(healthy=healthy, detail=detail, milliseconds=round(took, 1))
