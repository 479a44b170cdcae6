"""A kind of tool is known in each place that needs it: see CONTRIBUTING, "Add a kind of tool"."""

import pytest

from agents.admin.tools.kind_help import EXAMPLES
from agents.models.choices import ToolKind
from agents.runtime.tools.kinds import tool_handlers
from agents.runtime.tools.local_kinds import local_tool_handlers
from agents.runtime.tools.validation import CHECKS
from kernel.egress.client import Egress
from kernel.egress.rules import EgressRules


async def no_handoffs(slug, message):
    raise AssertionError("nothing is called here")


@pytest.mark.parametrize(
    "place",
    [
        pytest.param(lambda: CHECKS, id="its settings are checked"),
        pytest.param(lambda: EXAMPLES, id="its page has an example"),
        pytest.param(
            lambda: tool_handlers(
                local_tool_handlers(Egress(EgressRules())), None, no_handoffs, None
            ),
            id="runs can call it",
        ),
    ],
)
def test_every_kind_is_known(place):
    assert set(place()) == set(ToolKind.values)
