"""What a process announces when it registers as a node, and its validation. Pure."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from agents.errors import InvalidNode, NodeNameTaken
from agents.schema.routing.placement import CAPABILITY, is_label_key, is_label_value

SILENCE_SECONDS = 15
"""Time without a heartbeat after which a node is down, and its name is free."""
MAX_NAME_CHARS = 100
MAX_LABELS = 64
MAX_CAPABILITIES = 50
MAX_WEIGHT = 1000
MAX_SLOTS = 100_000

NAME = re.compile(r"[a-z0-9](?:[a-z0-9.-]*[a-z0-9])?")


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeAnnouncement:
    """The facts of a node that do not change while its process runs."""

    name: str
    kind: str
    """`agent` or `gateway`."""
    worker: str
    """The id of the worker, which runs have."""
    host: str = ""
    pod: str = ""
    """Empty outside of Kubernetes. A container that restarts in its pod keeps its name."""
    version: str = ""
    zone: str = ""
    labels: Mapping[str, str] = field(default_factory=dict)
    capabilities: Sequence[str] = ()
    weight: int = 1
    slots: int | None = None
    """Maximum number of runs at the same time. None for gateways."""


def ensure_registered(announced: NodeAnnouncement, rows: Sequence[object]) -> None:
    """Raise NodeNameTaken unless the statement of the registration returned a row."""
    if not rows:
        raise NodeNameTaken(
            f"Another process is registered as {announced.name!r} and alive. Give this one "
            "another name with --name, or stop the other one. A process that was killed frees its "
            f"name after {SILENCE_SECONDS} seconds.",
            retry_after=SILENCE_SECONDS,
        )


def ensure_valid(announced: NodeAnnouncement) -> None:
    """Raise InvalidNode for the first fact that is not allowed."""
    ensure_name(announced.name)
    ensure_zone(announced.zone)
    ensure_labels(announced.labels)
    ensure_capabilities(announced.capabilities)
    ensure_between("weight", announced.weight, maximum=MAX_WEIGHT)
    if announced.slots is not None:
        ensure_between("slots", announced.slots, maximum=MAX_SLOTS)


def ensure_name(name: str) -> None:
    """Raise InvalidNode unless the name is one that a pod may have."""
    if len(name) > MAX_NAME_CHARS or not NAME.fullmatch(name):
        raise InvalidNode(
            f"{name[:MAX_NAME_CHARS]!r} cannot be the name of a node. Use at most {MAX_NAME_CHARS} "
            "lower-case letters, digits, dots and hyphens, with a letter or digit at both ends.",
            param="name",
        )


def ensure_zone(zone: str) -> None:
    """Raise InvalidNode unless the zone is empty or the value of a label."""
    if not is_label_value(zone):
        raise InvalidNode(
            f"{zone[:63]!r} cannot be a zone. Use at most 63 letters, digits, dots, hyphens and "
            "underscores, with a letter or digit at both ends, as in eu-west-1a.",
            param="zone",
        )


def ensure_labels(labels: Mapping[str, str]) -> None:
    """Raise InvalidNode unless Kubernetes would accept all labels."""
    if len(labels) > MAX_LABELS:
        raise InvalidNode(
            f"A node has at most {MAX_LABELS} labels. Leave some out.", param="labels"
        )
    for key, value in labels.items():
        if not is_label_key(key):
            raise InvalidNode(
                f"{str(key)[:100]!r} cannot be the name of a label. Use at most 63 letters, "
                "digits, dots, hyphens and underscores, with a letter or digit at both ends; a "
                "domain and a slash may stand before it, as in example.org/gpu.",
                param="labels",
            )
        if not is_label_value(value):
            raise InvalidNode(
                f"The label {key} cannot have the value {str(value)[:63]!r}. Use at most 63 "
                "letters, digits, dots, hyphens and underscores, with a letter or digit at both "
                "ends, or leave it empty.",
                param="labels",
            )


def ensure_capabilities(capabilities: Sequence[str]) -> None:
    """Raise InvalidNode unless each capability is a word such as `gpu` or `translate.de-en`."""
    if len(capabilities) > MAX_CAPABILITIES:
        raise InvalidNode(
            f"A node has at most {MAX_CAPABILITIES} capabilities. Leave some out.",
            param="capabilities",
        )
    for word in capabilities:
        if not isinstance(word, str) or not CAPABILITY.fullmatch(word):
            raise InvalidNode(
                f"{str(word)[:63]!r} cannot be a capability. Use at most 63 lower-case letters, "
                "digits, dots, hyphens, underscores and colons, as in translate.de-en.",
                param="capabilities",
            )


def ensure_between(name: str, value: int, *, maximum: int) -> None:
    if not 1 <= value <= maximum:
        raise InvalidNode(f"{name} must be between 1 and {maximum:,}, not {value}.", param=name)
