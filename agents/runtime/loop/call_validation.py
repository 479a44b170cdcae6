"""Validates the tool calls of a model, and decides who executes them. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass

from agents.runtime.loop.ports import ExecutableCall, RunPlan, Toolbox
from agents.runtime.loop.tool_arguments import WrongArguments, read_arguments
from agents.schema.items import FunctionCall

MAX_LISTED_NAMES = 30
"""The limit of tool names that the error about an unknown tool lists."""


@dataclass(frozen=True, slots=True, kw_only=True)
class InvalidCall:
    """A call that cannot be executed; `problem` is a sentence for the model."""

    call: FunctionCall
    problem: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientCall:
    """A call that the client executes."""

    call: FunctionCall


CheckedCall = ExecutableCall | InvalidCall | ClientCall


def validate_call(call: FunctionCall, plan: RunPlan, tools: Toolbox) -> CheckedCall:
    """Validate a call. Only tools that the request offered to the model can be called."""
    names = offered(plan)
    if call.name not in names:
        return InvalidCall(call=call, problem=no_such_tool(call.name, names))
    if call.name in plan.client_tools:
        return ClientCall(call=call)
    tool = tools.find(call.name)
    if tool is None:
        return InvalidCall(call=call, problem=no_such_tool(call.name, names))
    try:
        arguments = read_arguments(call.arguments, tool.schema)
    except WrongArguments as error:
        return InvalidCall(call=call, problem=str(error))
    return ExecutableCall(call=call, tool=tool, arguments=arguments)


def offered(plan: RunPlan) -> Sequence[str]:
    """Return the names that the model may call in this request."""
    if plan.request.tool_choice == "none":
        return ()
    return [tool.function.name for tool in plan.request.tools or ()]


def no_such_tool(name: str, names: Sequence[str]) -> str:
    if not names:
        return "No tool may be called here."
    return f"There is no tool {name[:100]!r}. These are: {', '.join(names[:MAX_LISTED_NAMES])}."


def error_for_model(problem: str, *, may_retry: bool) -> str:
    """Return an error as the output of a call. `may_retry`: the model may correct the call."""
    advice = "Correct the call and make it again." if may_retry else "The tool was not called."
    return f"Error: {problem} {advice}"
