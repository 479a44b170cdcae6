"""Additions to the OpenAPI document of the management API."""

from typing import Any

METHODS = frozenset({"get", "put", "post", "patch", "delete"})
NAME = "Error"
TEXT = {"type": "string"}
PARTS = {
    "message": {**TEXT, "description": "What is wrong, and what to do about it."},
    "type": {**TEXT, "description": "The kind of failure."},
    "code": {**TEXT, "description": "The exact failure; the documentation lists them all."},
    "param": {**TEXT, "nullable": True, "description": "The parameter that is wrong, if one is."},
}
ERROR: dict[str, Any] = {
    "type": "object",
    "required": ["error"],
    "properties": {
        "error": {
            "type": "object",
            "required": list(PARTS),
            "properties": {
                **PARTS,
                "reason": {**TEXT, "description": "Our own code where `code` is one of OpenAI's."},
            },
        }
    },
}
ANSWER: dict[str, Any] = {
    "content": {"application/json": {"schema": {"$ref": f"#/components/schemas/{NAME}"}}}
}
FAILURES = {
    "4XX": {**ANSWER, "description": "The request was refused."},
    "5XX": {**ANSWER, "description": "The request could not be answered; try again later."},
}


def describe_failures(result: dict[str, Any], **_: Any) -> dict[str, Any]:
    """Return a hook of drf-spectacular: adds the error response to every operation."""
    result["components"]["schemas"][NAME] = ERROR
    for item in result["paths"].values():
        for method in METHODS & item.keys():
            item[method]["responses"].update(FAILURES)
    return result
