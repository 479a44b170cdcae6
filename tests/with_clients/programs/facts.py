"""What every program of this folder does and prints, and where it does it.

Each is run by the interpreter that has its library, which is not the one of the tests.
"""

import json
import os
import traceback

BASE_URL = os.environ["BASE_URL"]
API_KEY = os.environ["API_KEY"]
LIMITED_KEY = os.environ["LIMITED_KEY"]
"""Of a tenant that has used its limit up."""
TALKER, CALLER, WRITER, HELPER, VECTORS = "talker", "caller", "writer", "helper", "vectors"
"""Models that say two tokens, that call `add` once, and that write JSON; an agent that calls a
tool of its own; and a model for embeddings."""
QUESTION = "What is 2 and 3?"


def tell(facts):
    """Prints what each function gave, or the chain of classes of what it raised.

    A function that is called `…_error` is expected to raise.
    """
    told = {}
    for name, function in facts.items():
        try:
            told[name] = function()
        except Exception as error:  # noqa: BLE001 - the classes are what is looked at
            told[name] = {"raised": names_of(error), **about(error)}
            if not name.endswith("_error"):
                traceback.print_exception(error)
    print(json.dumps(told))  # noqa: T201 - read by the test


def names_of(error):
    """The classes of an error and of those that it was raised from."""
    names = []
    while error is not None:
        names.append(type(error).__name__)
        error = error.__cause__ or error.__context__
    return names


def about(error):
    """What the innermost error knows of the answer."""
    found = {}
    while error is not None:
        response = getattr(error, "response", None)
        headers = getattr(response, "headers", None)
        if headers is not None and "retry-after" in headers:
            found["retry_after"] = headers["retry-after"]
        for name in ("status_code", "code"):
            if isinstance(getattr(error, name, None), str | int):
                found.setdefault(name, getattr(error, name))
        error = error.__cause__ or error.__context__
    return found
