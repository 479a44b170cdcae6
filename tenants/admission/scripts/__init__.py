"""The scripts that run inside Redis. Their text is constant; what varies goes in as arguments."""

from dataclasses import dataclass
from functools import cached_property
from hashlib import sha1
from importlib.resources import files

GRANTED, REFUSED, WINDOW, COLD, LATE, GONE = 1, 2, 3, 4, 5, 6
"""The second part of each answer; the first repeats for whom it is, the third is Redis' time."""
OK = GRANTED
RUNNING, ENDED, ORPHANED = 0, 1, 2
"""Phases of a hold."""


@dataclass(frozen=True)
class Script:
    """A script with its text and the name under which Redis remembers it."""

    name: str
    text: str

    @cached_property
    def sha(self) -> str:
        """SHA-1, as EVALSHA wants it: a name, not a secret."""
        return sha1(self.text.encode(), usedforsecurity=False).hexdigest()


def script_text(name: str) -> str:
    """The shared part, then the script's own."""
    folder = files(__name__)
    return "".join((folder / f"{part}.lua").read_text(encoding="utf-8") for part in ("holds", name))


def load_script(name: str) -> Script:
    return Script(name=name, text=script_text(name))


ADMIT = load_script("admit")
RENEW = load_script("renew")
EXTEND = load_script("extend")
SETTLE = load_script("settle")
SEED = load_script("seed")
REAP = load_script("reap")
RECOUNT = load_script("recount")
