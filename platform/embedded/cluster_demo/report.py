"""The report of the demonstration: what happened to every task, computed from what was observed."""

from collections import Counter
from collections.abc import Sequence
from statistics import median

import msgspec

from embedded.cluster_demo.client import TaskState


class Observations(msgspec.Struct, frozen=True, kw_only=True):
    """What the demonstration has seen. Times are in seconds."""

    tasks: tuple[TaskState, ...]
    """All tasks after their end."""
    ends: tuple[int, ...]
    """Number of terminal events in the stream of each task, in the same order."""
    killed: str
    """The name of the killed node."""
    lost: tuple[str, ...]
    """Ids of the tasks that the killed node was executing."""
    takeover: float | None
    """Time from the kill until other nodes executed all lost tasks; None if they never did."""
    restart: float
    """Time from the restart of the killed node until it was ready."""
    failed_requests: int
    """Requests of the client that the gateway did not answer as it should have."""
    ledger: dict[str, int]
    """Requests and tokens in the ledger of the tenant."""


def problems(seen: Observations) -> list[str]:
    """Return what should not have happened; empty if all is as promised."""
    found = []
    open_tasks = [each.id for each in seen.tasks if not each.is_over]
    if open_tasks:
        found.append(f"{len(open_tasks)} tasks have not ended: {', '.join(open_tasks[:5])}")
    failed = [f"{each.id} ({each.error})" for each in seen.tasks if each.state == "failed"]
    if failed:
        found.append(f"{len(failed)} tasks have failed: {', '.join(failed[:5])}")
    wrong = [task.id for task, ends in zip(seen.tasks, seen.ends, strict=True) if ends != 1]
    if wrong:
        found.append(f"{len(wrong)} tasks did not end exactly once: {', '.join(wrong[:5])}")
    if seen.takeover is None and seen.lost:
        found.append("tasks of the killed node were not taken over")
    if seen.failed_requests:
        found.append(f"{seen.failed_requests} requests of the client failed")
    reported = sum(each.total_tokens for each in seen.tasks)
    if seen.ledger["tokens"] < reported:
        found.append(f"the ledger has {seen.ledger['tokens']} tokens, the tasks {reported}")
    return found


def render(seen: Observations) -> str:
    """Return the report for the terminal."""
    states = Counter(each.state for each in seen.tasks)
    by_node = Counter(each.node for each in seen.tasks)
    by_agent = Counter(each.agent for each in seen.tasks)
    waits = [each.completed_at - each.created_at for each in seen.tasks if each.completed_at]
    names = {task.id: task.node for task in seen.tasks}
    heirs = sorted({names[each] for each in seen.lost if each in names})
    rows = [
        ("Tasks", f"{len(seen.tasks)} accepted: {counts(states)}"),
        ("Ends", f"{sum(each == 1 for each in seen.ends)} tasks have exactly one end"),
        ("Agents", counts(by_agent)),
        ("Nodes", f"{counts(by_node)} (a restarted node's earlier tasks have no name)"),
        ("Killed", f"{seen.killed} by SIGKILL, with {len(seen.lost)} tasks in progress"),
        ("Taken over", takeover_text(seen, heirs)),
        ("Back", f"{seen.killed} was ready {seen.restart:.1f} s after its restart"),
        ("Callers saw", callers_text(seen, waits)),
        ("Ledger", ledger_text(seen)),
    ]
    lines = [f"  {name:<12}{text}" for name, text in rows]
    found = problems(seen)
    result = [f"  PROBLEM     {each}" for each in found] or ["  Every task ended once."]
    return "\n".join(["", "The cluster demonstration", "", *lines, "", *result, ""])


def counts(found: Counter[str]) -> str:
    return ", ".join(f"{count} {name or 'none'}" for name, count in sorted(found.items()))


def takeover_text(seen: Observations, heirs: Sequence[str]) -> str:
    if not seen.lost:
        return "nothing: the node had no task"
    if seen.takeover is None:
        return "not taken over"
    return (
        f"{seen.takeover:.1f} s after the kill: 10 s without a renewed lease, then the next free "
        f"slot; ended by {', '.join(heirs)}"
    )


def callers_text(seen: Observations, waits: Sequence[int]) -> str:
    failures = f"{seen.failed_requests or 'no'} failed requests"
    if not waits:
        return failures
    return f"{failures}; a task took {median(waits):.0f} s at p50, {max(waits)} s at most"


def ledger_text(seen: Observations) -> str:
    reported = sum(each.total_tokens for each in seen.tasks)
    return (
        f"{seen.ledger['tokens']} tokens of {seen.ledger['requests']} requests to the model;"
        f" the tasks report {reported} tokens"
    )
