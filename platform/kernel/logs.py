"""Logs: one JSON object per line with request id and tenant, and no secret in any of them."""

import logging
import re
from contextvars import ContextVar
from datetime import UTC, datetime
from typing import Any

import msgspec

request_id: ContextVar[str] = ContextVar("request_id", default="")
tenant: ContextVar[str] = ContextVar("tenant", default="")

SECRETS = re.compile(
    r"(?P<kind>tn[tjo]_)[0-9A-Za-z]{4,}(?:_[0-9A-Za-z]+)?"  # our keys and tokens
    r"|(?P<scheme>(?i:bearer) |Basic )[^\s\"',]+"
    r"|(?P<url>[a-z+]+://[^:/\s@]*:)[^@\s/]+(?=@)"  # passwords in URLs
    r"|(?P<setting>[A-Z_]+_(?:PEPPERS|KEYS?)=)[^\s\"']+"  # lists, so a comma ends nothing
    r"|(?P<name>(?i:password|secret|token|api[_-]?key|credential)"
    r"[\"'\\]*\s*[=:]\s*[\"'\\]*(?:(?i:bearer|basic) )?)[^\s\"'\\,&}]+"
)
CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029]")


def redact(text: str) -> str:
    """`text` without keys, tokens and passwords, and without characters that forge log lines."""
    hidden = SECRETS.sub(lambda match: f"{match[match.lastgroup or 0]}[redacted]", text)
    # Half a surrogate pair cannot be written; a line that fails is printed with its secrets.
    writable = hidden.encode("utf-8", "backslashreplace").decode()
    return CONTROL.sub("?", writable)


class JsonLines(logging.Formatter):
    """Every record as one line of JSON."""

    def format(self, record: logging.LogRecord) -> str:
        fields: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": redact(record.getMessage()),
        }
        if request_id.get():
            fields["request_id"] = request_id.get()
        if tenant.get():
            fields["tenant"] = tenant.get()
        if record.exc_info:
            fields["exception"] = redact(self.formatException(record.exc_info))
        return msgspec.json.encode(fields).decode()


class PlainLines(logging.Formatter):
    """The same for people: time, level, message."""

    def format(self, record: logging.LogRecord) -> str:
        stamp = datetime.fromtimestamp(record.created, UTC).strftime("%H:%M:%S")
        line = f"{stamp} {record.levelname.lower():7} {record.name}: {redact(record.getMessage())}"
        if record.exc_info:
            line += "\n" + redact(self.formatException(record.exc_info))
        # Indented, so that no text can pass for a line of its own.
        return line.replace("\n", "\n  ")


def logging_config(*, form: str, level: str) -> dict[str, Any]:
    """Settings for `logging.config.dictConfig`: everything through one redacting handler."""
    formatter = {"json": "kernel.logs.JsonLines", "text": "kernel.logs.PlainLines"}[form]
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {"lines": {"()": formatter}},
        "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "lines"}},
        "root": {"handlers": ["stderr"], "level": level},
        "loggers": {
            # Their access lines repeat what the ledger knows.
            "uvicorn.access": {"level": "WARNING"},
            "daphne.http_protocol": {"level": "WARNING"},
            "django.channels.server": {"level": "WARNING"},
            # These would write down addresses and answers of tenants' tools.
            "httpx2": {"level": "WARNING"},
            "mcp": {"level": "CRITICAL"},
            # A 4xx is the caller's business, not ours to be warned of.
            "django.request": {"level": "ERROR"},
        },
    }
