"""The placement of an agent: on which agent nodes its runs are executed. Stored as JSON."""

import re
from collections.abc import Mapping
from typing import Annotated

import msgspec
from msgspec import Meta

from agents.schema.json_types import Json
from kernel.errors import InvalidParameter

MAX_REPLICAS = 1000
MAX_WEIGHT = 100
MAX_LABELS = 32
CAPABILITY = re.compile(r"[a-z0-9][a-z0-9._:-]{0,62}")
"""A capability: of an agent or of a node."""
CAPABILITY_RULE = (
    "A capability is 1 to 63 of lower-case letters, digits and . _ : - "
    "and begins with a letter or digit."
)
LABEL_NAME = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._-]{0,61}[A-Za-z0-9])?")
"""The name of a label without its prefix, and a value that is not empty, as in Kubernetes
(kubernetes.io, "Labels and Selectors")."""
LABEL_PREFIX = re.compile(r"(?=.{1,253}\Z)[a-z0-9](?:[a-z0-9-]*[a-z0-9])?(?:\.[a-z0-9-]+)*")


class Placement(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The default is every node. `replicas` is the number of nodes; 0 is none, None is all."""

    labels: dict[str, str] = {}
    """Labels that a node must have, with these values."""
    zone: Annotated[str, Meta(max_length=63)] = ""
    """The zone of the nodes; empty for any."""
    capabilities: tuple[str, ...] = ()
    """Capabilities that a node must have."""
    replicas: Annotated[int, Meta(ge=0, le=MAX_REPLICAS)] | None = None
    weight: Annotated[int, Meta(ge=1, le=MAX_WEIGHT)] = 1
    """The agent's share of tasks that several agents can do, with weighted strategies."""

    @property
    def needs_node(self) -> bool:
        """Whether background runs wait for an agent node, even if there is none."""
        return bool(self.replicas == 0 or self.labels or self.zone or self.capabilities)


ANYWHERE = Placement()


def read_placement(value: object) -> Placement:
    """Return the placement in a JSON value. Raises InvalidParameter."""
    try:
        placement = msgspec.convert(value, Placement)
    except msgspec.ValidationError as error:
        raise InvalidParameter(
            f"The placement is not valid: {error}.", param="placement"
        ) from error
    problem = problem_of_labels(placement.labels) or next(
        (CAPABILITY_RULE for word in placement.capabilities if not CAPABILITY.fullmatch(word)), ""
    )
    if not is_label_value(placement.zone):
        problem = "A zone is written like the value of a Kubernetes label, for example eu-west-1a."
    if problem:
        raise InvalidParameter(problem, param="placement")
    return placement


def problem_of_labels(labels: Mapping[str, str]) -> str:
    """Return a sentence about the first invalid label; empty if all are valid."""
    if len(labels) > MAX_LABELS:
        return f"There are at most {MAX_LABELS} labels."
    for key, value in labels.items():
        if not is_label_key(key) or not is_label_value(value):
            return (
                f"The label {key[:100]!r} is not valid. Labels are written as in Kubernetes, "
                'for example {"gpu": "a100"}.'
            )
    return ""


def is_label_key(key: object) -> bool:
    """Return whether Kubernetes accepts the name of a label, with or without a prefix."""
    if not isinstance(key, str):
        return False
    prefix, slash, name = key.rpartition("/")
    has_valid_prefix = bool(LABEL_PREFIX.fullmatch(prefix)) if slash else True
    return has_valid_prefix and bool(LABEL_NAME.fullmatch(name))


def is_label_value(value: object) -> bool:
    """Return whether Kubernetes accepts the value of a label, which may be empty."""
    return isinstance(value, str) and (not value or bool(LABEL_NAME.fullmatch(value)))


def placement_json(placement: Placement) -> Json:
    """Return the members that differ from the default."""
    known = msgspec.to_builtins(placement)
    usual = msgspec.to_builtins(ANYWHERE)
    return {name: value for name, value in known.items() if value != usual[name]}
