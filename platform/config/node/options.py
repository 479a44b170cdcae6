"""The name, place and abilities of a node, from the command line, else the environment."""

import argparse
import os
import re
import socket
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from agents.errors import InvalidNode
from agents.nodes.announcement import (
    MAX_NAME_CHARS,
    NodeAnnouncement,
    ensure_labels,
    ensure_valid,
    ensure_zone,
)
from config.env import ConfigurationError
from kernel.storage.version import VERSION

MAX_HOST_CHARS = 255


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeOptions:
    """What an operator says about an agent node."""

    name: str = ""
    """Empty: the name of the pod, or host and process id."""
    zone: str = ""
    labels: Mapping[str, str] = field(default_factory=dict)
    capabilities: tuple[str, ...] = ()
    weight: int = 1
    slots: int = 16
    token: str = field(default="", repr=False)

    def announcement(self, *, worker: str, pod: str) -> NodeAnnouncement:
        """Return what this process announces. Raises InvalidNode."""
        announced = NodeAnnouncement(
            name=self.name or default_name(pod),
            kind="agent",
            worker=worker,
            host=socket.gethostname()[:MAX_HOST_CHARS],
            pod=pod,
            version=VERSION,
            zone=self.zone,
            labels=self.labels,
            capabilities=self.capabilities,
            weight=self.weight,
            slots=self.slots,
        )
        ensure_valid(announced)
        return announced


def gateway_announcement(
    *, worker: str, pod: str, zone: str, labels: Mapping[str, str], processes: int
) -> NodeAnnouncement:
    """Return what a worker of a gateway announces. `processes` is the number of its workers."""
    return NodeAnnouncement(
        name=default_name(pod if processes == 1 else "", place=pod),
        kind="gateway",
        worker=worker,
        host=socket.gethostname()[:MAX_HOST_CHARS],
        pod=pod,
        version=VERSION,
        zone=zone,
        labels=labels,
    )


def default_name(pod: str, *, place: str = "") -> str:
    """Return the name of the pod; without one `place`, else the host, with the id of this process.

    Workers of one pod share its name, so that theirs has the process id.
    """
    return as_name(pod or f"{place or socket.gethostname()}-{os.getpid()}")


def as_name(text: str) -> str:
    """Return a text as the name of a node: host names may have other characters.

    Of a long text the end is kept, which tells pods of one deployment apart.
    """
    return re.sub(r"[^a-z0-9.-]", "-", text.lower())[-MAX_NAME_CHARS:].strip("-.")


def options_of(settings: Any) -> NodeOptions:
    """Return the options that the environment sets. Raises InvalidNode."""
    return NodeOptions(
        name=settings.NODE_NAME,
        zone=settings.NODE_ZONE,
        labels=read_labels(settings.NODE_LABELS),
        capabilities=tuple(settings.NODE_CAPABILITIES),
        weight=settings.NODE_WEIGHT,
        slots=settings.NODE_SLOTS,
        token=settings.NODE_TOKEN,
    )


def add_node_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of a node to a parser. Those that are not given come from the settings."""
    parser.add_argument("--name", help="Name of the node; default: of the pod, or host and pid.")
    parser.add_argument("--zone", help="Zone of the node, as in eu-west-1a.")
    parser.add_argument(
        "--label",
        action="append",
        dest="labels",
        metavar="KEY=VALUE",
        help="A label for placement, as in gpu=a100; may be repeated.",
    )
    parser.add_argument(
        "--capability",
        action="append",
        dest="capabilities",
        help="A capability for placement, as in ocr; may be repeated.",
    )
    parser.add_argument("--weight", type=int, help="Share of the runs, compared with other nodes.")
    parser.add_argument("--slots", type=int, help="Maximum number of runs at the same time.")
    parser.add_argument("--token", help="Node token; visible in the list of processes.")
    parser.add_argument("--token-file", type=Path, help="File with the node token.")


def node_options(given: Mapping[str, Any], *, defaults: NodeOptions) -> NodeOptions:
    """Return the options of the command line, with those that are not given from `defaults`.

    Raises InvalidNode.
    """

    def chosen(name: str) -> Any:
        value = given.get(name)
        return getattr(defaults, name) if value is None else value

    labels = given.get("labels")
    return NodeOptions(
        name=chosen("name"),
        zone=chosen("zone"),
        labels=defaults.labels if labels is None else read_labels(labels),
        capabilities=tuple(chosen("capabilities")),
        weight=chosen("weight"),
        slots=chosen("slots"),
        token=read_token(given) or defaults.token,
    )


def environment_of(options: NodeOptions) -> dict[str, str]:
    """Return the environment variables that set these options."""
    given = {
        "TENANTRY_NODE_NAME": options.name,
        "TENANTRY_NODE_ZONE": options.zone,
        "TENANTRY_NODE_LABELS": ",".join(f"{key}={value}" for key, value in options.labels.items()),
        "TENANTRY_NODE_CAPABILITIES": ",".join(options.capabilities),
        "TENANTRY_NODE_WEIGHT": str(options.weight),
        "TENANTRY_NODE_SLOTS": str(options.slots),
        "TENANTRY_NODE_TOKEN": options.token,
    }
    return {name: value for name, value in given.items() if value}


def read_token(given: Mapping[str, Any]) -> str:
    """Return the token of the options; empty if there is none. Raises InvalidNode."""
    path = given.get("token_file")
    if path is None:
        return given.get("token") or ""
    try:
        return Path(path).read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidNode(
            f"The file {str(path)!r} with the node token cannot be read "
            f"({error.__class__.__name__}). Make it readable for this process.",
            param="token_file",
        ) from error


def ensure_place(*, zone: str, labels: Sequence[str]) -> None:
    """Raise ConfigurationError unless the zone and the labels of the environment are allowed."""
    try:
        ensure_zone(zone)
        ensure_labels(read_labels(labels))
    except InvalidNode as error:
        name = "TENANTRY_NODE_ZONE" if error.param == "zone" else "TENANTRY_NODE_LABELS"
        raise ConfigurationError(f"{name}: {error.message}") from None


def read_labels(pairs: Iterable[str]) -> dict[str, str]:
    """Return `key=value` pairs as a mapping. Raises InvalidNode."""
    labels: dict[str, str] = {}
    for pair in pairs:
        key, separator, value = pair.partition("=")
        if not separator or key in labels:
            problem = "is given twice" if separator else "has no value"
            raise InvalidNode(
                f"The label {pair[:100]!r} {problem}. Write each label once, as key=value.",
                param="labels",
            )
        labels[key] = value
    return labels
