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
    r"|(?P<scheme>[Bb]earer )[^\s\"',]+"
    r"|(?P<url>[a-z+]+://[^:/\s@]*:)[^@\s/]+(?=@)"  # passwords in URLs
    r"|(?P<name>(?i:password|secret|token|api_key|credential)[\"']?\s*[=:]\s*[\"']?)[^\s\"',&}]+"
)
CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f]")


def redact(text: str) -> str:
    """`text` without keys, tokens and passwords, and without characters that forge log lines."""
    hidden = SECRETS.sub(lambda match: f"{match[match.lastgroup or 0]}[redacted]", text)
    return CONTROL.sub("?", hidden)


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
            line += "\n" + redact(self.formatException(record.exc_info).replace("\n", "\n  "))
        return line


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
            # A 4xx is the caller's business, not ours to be warned of.
            "django.request": {"level": "ERROR"},
        },
    }
