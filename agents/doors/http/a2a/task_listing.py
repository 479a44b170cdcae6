"""Lists of tasks: the filters and cursors of ListTasks."""

from a2a.types import ListTasksRequest, ListTasksResponse, TaskState
from a2a.utils.constants import DEFAULT_LIST_TASKS_PAGE_SIZE
from a2a.utils.errors import InvalidParamsError
from a2a.utils.task import (
    ListTasksCursor,
    apply_history_length,
    decode_list_tasks_cursor,
    encode_list_tasks_cursor,
    validate_history_length,
    validate_page_size,
)

from agents.doors.http.a2a.task_objects import run_states_of, task_object
from agents.schema.a2a.tasks import TASK_ID, TaskPage, TaskQuery

NO_STATE = ("",)
"""The filter of a state in which no run is."""
NANOSECONDS = 1000
"""In a microsecond."""
MAX_MICROSECONDS = 2**53


def query_of(params: ListTasksRequest, *, agent: str) -> TaskQuery:
    """Return the query of a request. Raises InvalidParamsError."""
    validate_history_length(params)
    if params.HasField("page_size"):
        validate_page_size(params.page_size)
    if "\x00" in params.context_id:
        raise InvalidParamsError("`contextId` is the id of a context.")
    states: tuple[str, ...] = ()
    if params.status != TaskState.TASK_STATE_UNSPECIFIED:
        states = run_states_of(params.status) or NO_STATE
    changed_after = None
    if params.HasField("status_timestamp_after"):
        changed_after = params.status_timestamp_after.ToMicroseconds() / 1_000_000
    return TaskQuery(
        agent=agent,
        context_id=params.context_id,
        states=states,
        changed_after=changed_after,
        before=read_cursor(params.page_token) if params.page_token else None,
        limit=params.page_size or DEFAULT_LIST_TASKS_PAGE_SIZE,
    )


def read_cursor(token: str) -> tuple[int, str]:
    """Raises InvalidParamsError for a token that no page had."""
    cursor = decode_list_tasks_cursor(token)
    if cursor is None or cursor.timestamp_ns is None or not TASK_ID.fullmatch(cursor.task_id):
        raise InvalidParamsError("`pageToken` is the `nextPageToken` of the page before.")
    microseconds = cursor.timestamp_ns // NANOSECONDS
    if not 0 <= microseconds <= MAX_MICROSECONDS:
        raise InvalidParamsError("`pageToken` is the `nextPageToken` of the page before.")
    return microseconds, cursor.task_id


def page_object(page: TaskPage, params: ListTasksRequest, *, page_size: int) -> ListTasksResponse:
    """Return a page. Artifacts are left out unless the client wants them."""
    tasks = [apply_history_length(task_object(task), params) for task in page.tasks]
    if not params.include_artifacts:
        for task in tasks:
            task.ClearField("artifacts")
    token = ""
    if page.next_before is not None:
        microseconds, task_id = page.next_before
        token = encode_list_tasks_cursor(
            ListTasksCursor(timestamp_ns=microseconds * NANOSECONDS, task_id=task_id)
        )
    return ListTasksResponse(
        tasks=tasks, next_page_token=token, page_size=page_size, total_size=page.total
    )
