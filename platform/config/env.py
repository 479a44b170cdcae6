"""Settings from the environment: typed, documented, and refused in a sentence with their name."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from kernel.egress.rules import rules_of
from kernel.env_file import read_env_file

__all__ = ["ConfigurationError", "Environment", "Variable", "read_env_file"]


class ConfigurationError(Exception):
    """The environment holds something that cannot be meant. The message names the variable."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Variable:
    """One variable that was asked for: what `platform/docs/configuration.md` must list."""

    name: str
    default: str
    says: str


@dataclass(slots=True)
class Environment:
    """Reads typed values out of `values`, and remembers what was asked for.

    A secret `NAME` may also come from the file that `NAME_FILE` points to.
    """

    values: Mapping[str, str]
    declared: dict[str, Variable] = field(default_factory=dict)

    def text(self, name: str, *, default: str, says: str) -> str:
        self.declared[name] = Variable(name=name, default=default, says=says)
        return self.values.get(name, "") or default

    def secret(self, name: str, *, default: str = "", says: str) -> str:
        """A text that may come from a file. Raises ConfigurationError if that cannot be read."""
        value = self.text(name, default=default, says=says)
        path = self.values.get(f"{name}_FILE", "")
        if not path:
            return value
        try:
            return Path(path).read_text(encoding="utf-8").strip()
        except (OSError, UnicodeDecodeError) as error:
            raise ConfigurationError(
                f"{name}_FILE points to {path!r}, which cannot be read "
                f"({error.__class__.__name__}). "
                "Make the file readable for this process, or unset the variable."
            ) from error

    def required_secret(self, name: str, *, says: str) -> str:
        value = self.secret(name, says=says)
        if not value:
            raise ConfigurationError(
                f"{name} is not set: {says} Set it, or set {name}_FILE to a file that holds it. "
                "On one machine, `make run` makes all secrets by itself."
            )
        return value

    def required_secrets(self, name: str, *, says: str) -> list[str]:
        """A comma-separated list with at least one secret in it, and no empty one."""
        values = split_list(self.required_secret(name, says=says))
        if not values:
            raise ConfigurationError(f"{name} is not set: there is nothing between its commas.")
        return values

    def integer(self, name: str, *, default: int, at_least: int = 0, says: str) -> int:
        raw = self.text(name, default=str(default), says=says)
        try:
            value = int(raw)
        except ValueError:
            raise ConfigurationError(f"{name} must be a whole number, not {raw!r}.") from None
        if value < at_least:
            raise ConfigurationError(f"{name} must be {at_least} or more, not {value}.")
        return value

    def port(self, name: str, *, default: int, says: str) -> int:
        value = self.integer(name, default=default, at_least=1, says=says)
        if value > 65535:  # noqa: PLR2004 - the highest TCP port
            raise ConfigurationError(f"{name} must be a port between 1 and 65535, not {value}.")
        return value

    def seconds(self, name: str, *, default: float, says: str) -> float:
        raw = self.text(name, default=f"{default:g}", says=says)
        try:
            value = float(raw)
        except ValueError:
            value = -1.0
        if not 0 < value < float("inf"):
            raise ConfigurationError(f"{name} must be a number of seconds above 0, not {raw!r}.")
        return value

    def boolean(self, name: str, *, default: bool, says: str) -> bool:
        raw = self.text(name, default="true" if default else "false", says=says).lower()
        if raw in {"1", "true", "yes", "on"}:
            return True
        if raw in {"0", "false", "no", "off"}:
            return False
        raise ConfigurationError(f"{name} must be true or false, not {raw!r}.")

    def choice(self, name: str, *, default: str, options: tuple[str, ...], says: str) -> str:
        value = self.text(name, default=default, says=says)
        if value not in options:
            raise ConfigurationError(f"{name} must be one of {', '.join(options)}, not {value!r}.")
        return value

    def listed(self, name: str, *, default: str = "", says: str) -> list[str]:
        """A comma-separated list; blanks around and between the commas do not count."""
        return split_list(self.text(name, default=default, says=says))

    def ports(self, name: str, *, default: str, says: str) -> list[int]:
        """A comma-separated list of ports."""
        values = self.listed(name, default=default, says=says)
        if not all(value.isdecimal() and 0 < int(value) < 2**16 for value in values):
            raise ConfigurationError(f"{name} must be ports between 1 and 65535, not {values}.")
        return [int(value) for value in values]

    def targets(self, name: str, *, says: str) -> list[str]:
        """A comma-separated list of networks, addresses and host names."""
        values = self.listed(name, says=says)
        try:
            rules_of(allow=values)
        except ValueError as error:
            raise ConfigurationError(
                f"{name} must be networks, addresses and host names: {error}."
            ) from None
        return values

    def url(self, name: str, *, default: str, schemes: tuple[str, ...], says: str) -> str:
        value = self.secret(name, default=default, says=says)
        try:
            scheme = urlsplit(value).scheme
        except ValueError:
            scheme = ""
        if value and scheme not in schemes:
            # The value is not repeated: a database URL holds a password.
            raise ConfigurationError(
                f"{name} must be a URL that begins with {' or '.join(f'{s}://' for s in schemes)}."
            )
        return value


def split_list(text: str) -> list[str]:
    return [part.strip() for part in text.split(",") if part.strip()]
