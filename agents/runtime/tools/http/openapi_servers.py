"""Selects the server of an OpenAPI operation: of the operation, its path, or the document."""

import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import urljoin

from agents.runtime.tools.settings import WrongSettings

NO_SERVER = "The document names no server. Enter the URL of the document."


class NoServer(WrongSettings):
    """No server is given, and the document has no URL."""


def choose_server(levels: tuple[Any, ...], *, source: str) -> str:
    """Return the URL of the first server of the first level, without a trailing slash.

    `levels` are `servers` of the operation, the path and the document; `source` is where the
    document came from, for relative URLs. Raises WrongSettings.
    """
    for servers in levels:
        if isinstance(servers, list) and servers:
            return server_url(servers[0], source=source)
    return server_url({}, source=source)


def server_url(server: Any, *, source: str) -> str:
    """Return the URL of a server, with the defaults of its variables. Raises WrongSettings."""
    url = server.get("url", "/") if isinstance(server, dict) else "/"
    variables = server.get("variables") if isinstance(server, dict) else None
    url = fill_variables(str(url), variables if isinstance(variables, dict) else {})
    try:
        joined = urljoin(source, url)
    except ValueError as error:
        raise WrongSettings(f"Its server {url[:100]!r} is not a URL.") from error
    if not joined.lower().startswith(("https://", "http://")):
        raise NoServer(NO_SERVER)
    if "?" in joined or "#" in joined:
        raise WrongSettings(f"Its server {joined[:100]!r} has a query or a fragment.")
    return joined.rstrip("/")


def fill_variables(url: str, variables: Mapping[str, Any]) -> str:
    """Replace each variable once, so that a default cannot name another variable."""

    def default_of(match: re.Match[str]) -> str:
        variable = variables.get(match[1])
        default = variable.get("default") if isinstance(variable, dict) else None
        if not isinstance(default, str | int | float):
            raise WrongSettings(f"Its server's variable {match[1][:100]!r} has no default.")
        text = str(default)
        if re.search(r"[{}]", text):
            raise WrongSettings(f"Its server's variable {match[1][:100]!r} contains a brace.")
        return text

    filled = re.sub(r"\{([^{}]*)\}", default_of, url)
    if re.search(r"[{}]", filled):
        raise WrongSettings(f"Its server {url[:100]!r} has a brace that is not closed.")
    return filled


def join_path(server: str, path: str) -> str:
    """Raises WrongSettings for a path that would change the host."""
    if not path.startswith("/"):
        raise WrongSettings("Its path does not begin with a slash.")
    return server + path
