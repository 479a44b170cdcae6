"""The options of an agent node, and the names that processes get."""

import argparse
import os
from types import SimpleNamespace

import pytest

from agents.errors import InvalidNode
from config.env import ConfigurationError
from config.node import options
from config.node.options import NodeOptions, add_node_options, ensure_place, node_options

DEFAULTS = NodeOptions(zone="eu-1", labels={"gpu": "a100"}, capabilities=("ocr",), token="secret")


def read(*arguments):
    parser = argparse.ArgumentParser()
    add_node_options(parser)
    return node_options(vars(parser.parse_args(arguments)), defaults=DEFAULTS)


def test_what_is_not_given_comes_from_the_environment():
    assert read() == DEFAULTS


def test_the_command_line_replaces_the_environment():
    given = ("--zone", "us-2", "--label", "net=fast", "--label", "tier=", "--capability", "mail")
    found = read(*given, "--slots", "3", "--weight", "7", "--name", "node-1", "--token", "other")
    assert found == NodeOptions(
        name="node-1", zone="us-2", labels={"net": "fast", "tier": ""}, capabilities=("mail",),
        weight=7, slots=3, token="other",
    )  # fmt: skip
    assert "other" not in repr(found)


@pytest.mark.parametrize("pairs", [("gpu",), ("gpu=a", "gpu=b")])
def test_labels_are_pairs_and_come_once(pairs):
    with pytest.raises(InvalidNode, match="key=value"):
        read(*(part for pair in pairs for part in ("--label", pair)))


def test_a_token_may_come_from_a_file(tmp_path):
    (tmp_path / "token").write_text("tnn_text\n")
    assert read("--token-file", str(tmp_path / "token")).token == "tnn_text"
    with pytest.raises(InvalidNode, match="FileNotFoundError"):
        read("--token-file", str(tmp_path / "gone"))


def test_a_node_is_named_by_its_option_its_pod_or_its_host(monkeypatch):
    monkeypatch.setattr(options.socket, "gethostname", lambda: "Rack_1.Example.org")
    named = [
        DEFAULTS.announcement(worker="w", pod="agent-node-5d9").name,
        DEFAULTS.announcement(worker="w", pod="").name,
        NodeOptions(name="mine").announcement(worker="w", pod="pod").name,
    ]
    assert named == ["agent-node-5d9", f"rack-1.example.org-{os.getpid()}", "mine"]


@pytest.mark.parametrize(
    ("pod", "processes", "expected"),
    [("gw-7", 1, "gw-7"), ("gw-7", 4, "gw-7-{pid}"), ("p" * 253, 1, "p" * 100)],
)
def test_the_workers_of_a_gateway_have_names_of_their_own(pod, processes, expected):
    found = options.gateway_announcement(
        worker="w", pod=pod, zone="", labels={}, processes=processes
    )
    assert (found.name, found.pod) == (expected.format(pid=os.getpid()), pod)


def test_a_node_with_garbage_is_not_started():
    with pytest.raises(InvalidNode):
        NodeOptions(slots=0).announcement(worker="w", pod="")


def test_a_setting_that_cannot_work_is_named():
    with pytest.raises(ConfigurationError, match="TENANTRY_NODE_ZONE: 'eu west'"):
        ensure_place(zone="eu west", labels=[])
    with pytest.raises(ConfigurationError, match="TENANTRY_NODE_LABELS: The label gpu"):
        ensure_place(zone="", labels=["gpu=a b"])


def test_the_settings_are_the_defaults():
    settings = SimpleNamespace(
        NODE_NAME="", NODE_ZONE="eu-1", NODE_LABELS=["gpu=a100"], NODE_CAPABILITIES=["ocr"],
        NODE_WEIGHT=1, NODE_SLOTS=16, NODE_TOKEN="secret",
    )  # fmt: skip
    assert options.options_of(settings) == DEFAULTS
