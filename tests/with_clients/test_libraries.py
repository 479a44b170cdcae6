"""Client libraries of others work unchanged: answers, streams, tools, usage, and typed errors."""

import json
import shutil

import pytest

from tests.fixtures.extras import missing
from tests.with_clients.conftest import PROGRAMS

pytestmark = [pytest.mark.clients, pytest.mark.timeout(300)]

NEWER, OLDER = "TENANTRY_CLIENTS_PYTHON", "TENANTRY_CLIENTS_OPENAI2_PYTHON"
SAID = "tok0 tok1"
SUM = "It is 5."
ARGUMENTS = {"a": 2, "b": 3}
USED = [5, 2]
TOO_MANY = 429
BOTH = ("answer", "answer_of_responses", "stream", "stream_of_responses")
OPENAI_ERRORS = {
    "key_error": ("AuthenticationError", 401),
    "model_error": ("NotFoundError", 404),
    "limit_error": ("RateLimitError", 429),
}
PYDANTIC_AI_ERRORS = {
    "key_error": ("ModelHTTPError", 401),
    "model_error": ("ModelHTTPError", 404),
    "limit_error": ("ModelHTTPError", 429),
}


def all_are(value, *names):
    return dict.fromkeys(names, value)


LIBRARIES = {
    "openai_python": (
        NEWER,
        OPENAI_ERRORS,
        {
            **all_are([SAID, USED], "answer", "stream", "response"),
            "streamed_response": [SAID, USED, "response.created", "response.completed"],
            "tools": [ARGUMENTS, SUM],
            "tools_of_a_response": [ARGUMENTS, SUM, SUM],
            **all_are("Ada", "schema", "schema_of_a_response"),
            "conversation": 4,
            "embeddings": [2, True, True],
            "models": True,
        },
    ),
    "openai_agents": (
        NEWER,
        OPENAI_ERRORS,
        {
            **all_are([SAID, USED], "answer", "answer_of_chat", "stream", "stream_of_chat"),
            **all_are(SUM, "tools", "tools_of_chat", "image_of_a_tool", "agent", "agent_of_chat"),
            "schema": "Ada",
        },
    ),
    "langchain": (
        NEWER,
        OPENAI_ERRORS,
        {
            **all_are(
                [SAID, USED], "answer", "answer_of_responses", "stream", "stream_of_responses"
            ),
            **all_are([ARGUMENTS, SUM], "tools", "tools_of_responses"),
            **all_are([SUM, []], "agent", "agent_of_responses"),
            **all_are("Ada", "schema", "schema_of_responses"),
            "embeddings": 2,
        },
    ),
    "pydantic_ai_library": (
        NEWER,
        PYDANTIC_AI_ERRORS,
        {
            **all_are(
                [SAID, USED], "answer", "answer_of_responses", "stream", "stream_of_responses"
            ),
            **all_are(SUM, "tools", "tools_of_responses", "agent", "agent_of_responses"),
            **all_are("Ada", "schema", "schema_of_responses"),
        },
    ),
    "litellm_library": (
        NEWER,
        OPENAI_ERRORS,
        {
            **all_are([SAID, USED], "answer", "stream"),
            "tools": [ARGUMENTS, SUM],
            "response": SAID,
            "embeddings": 2,
        },
    ),
    "instructor_library": (NEWER, OPENAI_ERRORS, all_are("Ada", "schema", "json", "stream")),
    "haystack_library": (
        NEWER,
        OPENAI_ERRORS,
        {**all_are([SAID, USED], "answer", "stream"), "tools": [ARGUMENTS, SUM]},
    ),
    "smolagents_library": (
        NEWER,
        OPENAI_ERRORS,
        {**all_are([SAID, USED], "answer", "stream"), "tools": ARGUMENTS},
    ),
    "llama_index_library": (
        OLDER,
        OPENAI_ERRORS,
        {
            "answer": [SAID, USED],
            "stream": SAID,
            **all_are(SUM, "tools", "streamed_tools"),
            "schema": "Ada",
        },
    ),
    "semantic_kernel_library": (
        OLDER,
        OPENAI_ERRORS,
        {"answer": [SAID, USED], "stream": SAID, "tools": SUM},
    ),
}
AI_SDK_ERRORS = {
    "key_error": ("AI_APICallError", 401),
    "model_error": ("AI_APICallError", 404),
    "limit_error": ("AI_APICallError", 429),
}
KINDS = ("responses", "chat", "compatible")
NODE_LIBRARIES = {
    "openai_node": (
        OPENAI_ERRORS,
        {
            **all_are([SAID, USED], "answer", "stream", "response"),
            "tools": SUM,
            "streamed_response": SAID,
        },
    ),
    "openai_agents": (
        OPENAI_ERRORS,
        {
            **all_are(SAID, "answer_of_responses", "answer_of_chat"),
            **all_are(SAID, "stream_of_responses", "stream_of_chat"),
            **all_are(SUM, "tools_of_responses", "tools_of_chat"),
            **all_are(SUM, "agent_of_responses", "agent_of_chat"),
        },
    ),
    "langchain": (
        OPENAI_ERRORS,
        {
            **all_are(
                [SAID, USED], "answer", "answer_of_responses", "stream", "stream_of_responses"
            ),
            **all_are([SUM, 0], "agent", "agent_of_responses"),
        },
    ),
    "ai_sdk": (
        AI_SDK_ERRORS,
        {
            **all_are(
                [SAID, USED], *(f"{what}_of_{k}" for what in ("answer", "stream") for k in KINDS)
            ),
            **all_are(SUM, *(f"tools_of_{kind}" for kind in KINDS)),
            **all_are([SUM, "stop"], *(f"agent_of_{kind}" for kind in KINDS)),
            **all_are([SUM, "stop"], *(f"streamed_agent_of_{kind}" for kind in KINDS)),
            **all_are(SAID, *(f"conversation_of_{kind}" for kind in KINDS)),
            **all_are("Ada", "schema_of_responses", "schema_of_chat"),
        },
    ),
}


@pytest.mark.parametrize("library", LIBRARIES)
async def test_a_python_library_works_unchanged(library, play_python):
    interpreter, errors, right = LIBRARIES[library]

    seen = await play_python(library, interpreter)

    assert differences(seen, right, errors) == []


@pytest.mark.parametrize("library", NODE_LIBRARIES)
async def test_a_node_library_works_unchanged(library, play_node):
    errors, right = NODE_LIBRARIES[library]

    seen = await play_node(library)

    assert differences(seen, right, errors) == []


def differences(seen, right, errors):
    assert seen.keys() == right.keys() | errors.keys()
    wrong = [name for name, value in right.items() if plain(seen[name]) != value]
    wrong += [name for name, error in errors.items() if not is_raised(seen[name], *error)]
    return [f"{name}: {seen[name]!r}" for name in wrong]


def is_raised(seen, error, status):
    """Whether the library raised its own class, with what callers need to know of the answer."""
    if error not in seen["raised"] or seen.get("status_code", status) != status:
        return False
    return status != TOO_MANY or "retry_after" not in seen or int(seen["retry_after"]) > 1


def plain(seen):
    """Arguments of calls as values, whether or not the library has read them."""
    if isinstance(seen, list):
        return [plain(each) for each in seen]
    if isinstance(seen, str) and seen.startswith("{"):
        return json.loads(seen)
    return seen


async def test_curl_sees_status_and_headers(play, tmp_path):
    curl = shutil.which("curl")
    if curl is None:
        missing("clients", "curl is not installed.")

    seen = await play("/bin/sh", PROGRAMS / "curl.sh")

    assert seen == {"answer": 200, "stream": 200, "done": 1, "key": 401, "limit": 429, "waits": 1}
