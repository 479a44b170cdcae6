"""Reads settings from the environment; an invalid value is an error that names the variable."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from pathlib import Path
from urllib.parse import urlsplit

from cryptography.fernet import Fernet

from kernel.egress.rules import rules_of
from kernel.env_file import read_env_file

__all__ = ["ConfigurationError", "Environment", "Variable", "read_env_file"]

WEB = ("http", "https")


class ConfigurationError(Exception):
    """A variable of the environment is invalid. The message names it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Variable:
    """A variable that was read, which `platform/docs/configuration.md` must list."""

    name: str
    default: str
    description: str


@dataclass(slots=True)
class Environment:
    """Reads typed values from `values`, and records which variables were read.

    A secret `NAME` may also come from the file that `NAME_FILE` points to.
    """

    values: Mapping[str, str]
    declared: dict[str, Variable] = field(default_factory=dict)

    def text(self, name: str, *, default: str, description: str) -> str:
        self.declared[name] = Variable(name=name, default=default, description=description)
        return self.values.get(name, "") or default

    def secret(self, name: str, *, default: str = "", description: str) -> str:
        """Return a text that may come from a file. Raises ConfigurationError."""
        value = self.text(name, default=default, description=description)
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

    def required_secret(self, name: str, *, min_chars: int = 1, description: str) -> str:
        value = self.secret(name, description=description)
        if not value:
            raise ConfigurationError(
                f"{name} is not set: {description} Set it, or set {name}_FILE to a file with it. "
                "On one machine, `make run` generates all secrets."
            )
        ensure_long_enough(name, value, min_chars=min_chars)
        return value

    def required_secrets(self, name: str, *, min_chars: int = 1, description: str) -> list[str]:
        """Return a comma-separated list with at least one secret."""
        values = split_list(self.required_secret(name, description=description))
        if not values:
            raise ConfigurationError(f"{name} is not set: there is nothing between its commas.")
        for value in values:
            ensure_long_enough(name, value, min_chars=min_chars)
        return values

    def fernet_keys(self, name: str, *, description: str) -> list[str]:
        """Return a comma-separated list with at least one key for Fernet."""
        values = self.required_secrets(name, description=description)
        for value in values:
            try:
                Fernet(value)
            except ValueError:
                raise ConfigurationError(
                    f"{name} must be Fernet keys, which are 32 bytes in URL-safe base64. "
                    "Generate one with `openssl rand -base64 32 | tr '+/' '-_'`."
                ) from None
        return values

    def integer(self, name: str, *, default: int, at_least: int = 0, description: str) -> int:
        raw = self.text(name, default=str(default), description=description)
        try:
            value = int(raw)
        except ValueError:
            raise ConfigurationError(f"{name} must be a whole number, not {raw!r}.") from None
        if value < at_least:
            raise ConfigurationError(f"{name} must be {at_least} or more, not {value}.")
        return value

    def port(self, name: str, *, default: int, description: str) -> int:
        value = self.integer(name, default=default, at_least=1, description=description)
        if value > 65535:  # noqa: PLR2004 - the highest TCP port
            raise ConfigurationError(f"{name} must be a port between 1 and 65535, not {value}.")
        return value

    def seconds(self, name: str, *, default: float, description: str) -> float:
        raw = self.text(name, default=f"{default:g}", description=description)
        try:
            value = float(raw)
        except ValueError:
            value = -1.0
        if not 0 < value < float("inf"):
            raise ConfigurationError(f"{name} must be a number of seconds above 0, not {raw!r}.")
        return value

    def boolean(self, name: str, *, default: bool, description: str) -> bool:
        raw = self.text(
            name, default="true" if default else "false", description=description
        ).lower()
        if raw in {"1", "true", "yes", "on"}:
            return True
        if raw in {"0", "false", "no", "off"}:
            return False
        raise ConfigurationError(f"{name} must be true or false, not {raw!r}.")

    def choice(self, name: str, *, default: str, options: tuple[str, ...], description: str) -> str:
        value = self.text(name, default=default, description=description)
        if value not in options:
            raise ConfigurationError(f"{name} must be one of {', '.join(options)}, not {value!r}.")
        return value

    def listed(self, name: str, *, default: str = "", description: str) -> list[str]:
        """Return a comma-separated list; spaces around its items are ignored."""
        return split_list(self.text(name, default=default, description=description))

    def ports(self, name: str, *, default: str, description: str) -> list[int]:
        """Return a comma-separated list of ports."""
        values = self.listed(name, default=default, description=description)
        if not all(value.isdecimal() and 0 < int(value) < 2**16 for value in values):
            raise ConfigurationError(f"{name} must be ports between 1 and 65535, not {values}.")
        return [int(value) for value in values]

    def targets(self, name: str, *, description: str) -> list[str]:
        """Return a comma-separated list of networks, addresses and host names."""
        values = self.listed(name, description=description)
        try:
            rules_of(allow=values)
        except ValueError as error:
            raise ConfigurationError(
                f"{name} must be networks, addresses and host names: {error}."
            ) from None
        return values

    def networks(self, name: str, *, default: str, description: str) -> list[str]:
        """Return a comma-separated list of IP addresses and networks."""
        values = self.listed(name, default=default, description=description)
        for value in values:
            try:
                parse_network(value)
            except ValueError as error:
                raise ConfigurationError(
                    f"{name} must be addresses and networks, like 10.1.2.3 and 10.1.0.0/16: "
                    f"{error}."
                ) from None
        return values

    def address(self, name: str, *, default: str, description: str) -> str:
        """Return an IP address, or `localhost`."""
        value = self.text(name, default=default, description=description)
        try:
            if value != "localhost":
                ip_address(value)
        except ValueError:
            raise ConfigurationError(
                f"{name} must be an IP address, such as 127.0.0.1 or 0.0.0.0, not {value!r}."
            ) from None
        return value

    def origins(self, name: str, *, description: str) -> list[str]:
        """Return a comma-separated list of origins of browsers (RFC 6454), or `*`."""
        values = self.listed(name, description=description)
        for value in values:
            if value != "*" and not is_origin(value):
                raise ConfigurationError(
                    f"{name} must be origins, such as https://app.example.org, or *, not {value!r}."
                )
        return values

    def url(self, name: str, *, default: str, schemes: tuple[str, ...], description: str) -> str:
        value = self.secret(name, default=default, description=description)
        try:
            scheme = urlsplit(value).scheme
        except ValueError:
            scheme = ""
        if value and (scheme not in schemes or (scheme in WEB and not has_host(value))):
            # The value is not repeated: a database URL contains a password.
            raise ConfigurationError(
                f"{name} must be a URL that begins with {' or '.join(f'{s}://' for s in schemes)}."
            )
        return value


def ensure_long_enough(name: str, value: str, *, min_chars: int) -> None:
    """Raise ConfigurationError without the secret if `value` is shorter than `min_chars`."""
    if len(value) < min_chars:
        raise ConfigurationError(
            f"{name} must be {min_chars} characters or longer. "
            "Generate one with `openssl rand -hex 32`."
        )


def has_host(url: str) -> bool:
    """Return whether an absolute URL names a host, and a valid port if any."""
    try:
        parts = urlsplit(url)
        return bool(parts.hostname) and (parts.port is None or parts.port > 0)
    except ValueError:
        return False


def is_origin(value: str) -> bool:
    scheme, separator, rest = value.partition("://")
    return bool(separator) and scheme in WEB and not set(rest) & set("/?#@ ") and has_host(value)


def parse_network(value: str) -> IPv4Network | IPv6Network:
    """Return the network of an address, or of a network. Raises ValueError with the reason."""
    network = ip_network(value)
    if not network.prefixlen:
        raise ValueError(f"{value!r} contains every address")
    return network


def split_list(text: str) -> list[str]:
    return [part.strip() for part in text.split(",") if part.strip()]
