"""The scripts that run in Redis, as Redis functions.

Their text is constant; all variable values are arguments. They are functions because EVAL would run
the shared part at each call (ADR 0012).
"""

from dataclasses import dataclass
from functools import cached_property
from hashlib import sha1
from importlib.resources import files

GRANTED, REFUSED, WINDOW, COLD, LATE, GONE = 1, 2, 3, 4, 5, 6
"""The status: the second item of a response, after the tag and before Redis' time."""
OK = GRANTED
RUNNING, ENDED, ORPHANED = 0, 1, 2
"""Phases of a hold."""


@dataclass(frozen=True)
class Script:
    """A script with its text and the name of its function in Redis."""

    name: str
    text: str

    @cached_property
    def function(self) -> str:
        """The name in Redis. It depends on the text, so that versions can run side by side."""
        digest = sha1(self.text.encode(), usedforsecurity=False).hexdigest()
        return f"tenantry_{self.name}_{digest[:12]}"

    @cached_property
    def library(self) -> str:
        """The argument of FUNCTION LOAD."""
        return LIBRARY.format(function=self.function, text=self.text)


LIBRARY = """#!lua name={function}
{text}
redis.register_function('{function}', run)
"""
RUN = """local function run(KEYS, ARGV)
begin(KEYS)
{body}
end
"""


def load_script(name: str, *parts: str) -> Script:
    """Return a script. Redis runs the shared part and `parts` once, the script at each call."""
    shared = "".join(map(read, ("holds", *parts)))
    return Script(name=name, text=shared + RUN.format(body=read(name)))


def read(part: str) -> str:
    return (files(__name__) / f"{part}.lua").read_text(encoding="utf-8")


ADMIT = load_script("admit", "prepared")
RENEW = load_script("renew")
EXTEND = load_script("extend")
SETTLE = load_script("settle")
SEED = load_script("seed")
REAP = load_script("reap")
RECOUNT = load_script("recount")
