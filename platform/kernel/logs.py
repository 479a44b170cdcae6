"""Logs: one JSON object per line that says which process, request, run and tenant it is about.

No line has a secret.
"""

import logging
import re
from collections.abc import Mapping
from contextvars import ContextVar
from datetime import UTC, datetime
from types import MappingProxyType
from typing import Any

import msgspec

request_id: ContextVar[str] = ContextVar("request_id", default="")
tenant: ContextVar[str] = ContextVar("tenant", default="")
run: ContextVar[str] = ContextVar("run", default="")

CONTEXT = {"request_id": request_id, "run": run, "tenant": tenant}
"""The fields of the task or thread that logs; those without a value are left out."""
ACCESS_LOGGER = "tenantry.access"
"""The logger of the gateway's access lines: one per request, if they are switched on."""
PERIODIC_LOGGERS = ("celery.app.trace", "celery.beat", "celery.worker.strategy")
"""They log each periodic task three times at INFO, although nothing happened."""

_process: dict[str, str] = {}


def identify_process(**fields: str) -> None:
    """Set fields of every later line of this process, such as `plane` and `worker`."""
    _process.update(fields)


SECRETS = re.compile(
    # No repetition starts inside its own characters or has no bound: a long line costs linear time.
    r"(?P<kind>tn[tjo]_)[0-9A-Za-z]{4,}(?:_[0-9A-Za-z]+)?"  # our keys and tokens
    r"|(?P<vendor>(?<![0-9A-Za-z])(?:sk-|hf_|gh[pousr]_|github_pat_|whsec_|xox[abp]-|AKIA))"
    r"[0-9A-Za-z_/+=-]{12,}"  # keys and tokens of others, by their prefixes
    r"|(?P<jwt>(?<![0-9A-Za-z_-])eyJ)[0-9A-Za-z_-]{6,}\.[0-9A-Za-z_-]+\.[0-9A-Za-z_-]*"
    r"|(?P<pem>-----BEGIN [A-Z ]{0,20}PRIVATE KEY-----)(?s:.{0,4000}?)"
    r"(?:-----END [A-Z ]{0,20}PRIVATE KEY-----|\Z)"
    r"|(?P<cookie>(?i:cookie)[\"'\\]*(?:\s*[=:]|,\s*b?(?=[\"']))\s*[\"'\\]*)[^\r\n\"'\\]+"
    r"|(?P<scheme>(?i:bearer) |Basic |basic (?=[0-9A-Za-z+/_=-]{12,}))[^\s\"',]+"
    r"|(?P<server>(?:postgres(?:ql)?|rediss?|smtps?|amqps?)://[^:/\s@]{0,99}:)"
    r"[^\s\"']{1,512}(?=@)"  # passwords in URLs, which may have an @ or a slash themselves
    r"|(?P<url>(?<![a-z+])[a-z+]{1,20}://[^:/\s@]{0,99}:)[^\s/\"']{1,512}(?=@)"
    r"|(?P<setting>(?<![A-Z_])[A-Z_]+_(?:PEPPERS|KEYS?)=)[^\s\"']+"  # a comma ends no list
    r"|(?P<name>(?i:password|(?:secret|private|api|x-api)(?:[_-]?access)?[_-]?key|secret|token"
    r"|credential|sessionid|signature)"
    r"[\"'\\]*(?:\s*[=:]|(?<=[\"']),\s*b?(?=[\"']))\s*[\"'\\]*(?:(?i:bearer|basic) )?)"
    r"[^\s\"'\\,&}]+"
    r"|(?P<mail>)(?<![\w.+-])[\w.+-]+@[\w-]+(?:\.[\w-]+){0,8}\.[A-Za-z]{2,}\b"  # of people
)
CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029]")


def redact(text: str) -> str:
    """Return `text` without keys and passwords, and without characters that forge log lines."""
    hidden = SECRETS.sub(lambda match: f"{match[match.lastgroup or 0]}[redacted]", text)
    # Half a surrogate pair cannot be encoded; a line that fails would be printed with its secrets.
    writable = hidden.encode("utf-8", "backslashreplace").decode()
    return CONTROL.sub("?", writable)


class JsonLines(logging.Formatter):
    """Every record as one line of JSON, with `fields` of the process and `extra={"fields": …}`."""

    def __init__(self, fields: Mapping[str, str] = MappingProxyType({})) -> None:
        super().__init__()
        self._fields = fields

    def format(self, record: logging.LogRecord) -> str:
        fields: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": redact(record.getMessage()),
        }
        fields |= self._fields
        fields |= _process
        fields |= {name: value for name, held in CONTEXT.items() if (value := held.get())}
        fields |= getattr(record, "fields", {})
        if record.exc_info:
            fields["exception"] = redact(self.formatException(record.exc_info))
        return msgspec.json.encode(fields).decode()


class PlainLines(logging.Formatter):
    """Every record as one line of text: time, level, message."""

    def format(self, record: logging.LogRecord) -> str:
        stamp = datetime.fromtimestamp(record.created, UTC).strftime("%H:%M:%S")
        line = f"{stamp} {record.levelname.lower():7} {record.name}: {redact(record.getMessage())}"
        if record.exc_info:
            line += "\n" + redact(self.formatException(record.exc_info))
        # Indented, so that no text looks like a line of its own.
        return line.replace("\n", "\n  ")


def logging_config(
    *, form: str, level: str, fields: Mapping[str, str], access_level: str = "WARNING"
) -> dict[str, Any]:
    """Return settings for `logging.config.dictConfig`, with one redacting handler.

    `fields` are in every line of JSON; access lines are logged if `access_level` is INFO.
    """
    formatters: dict[str, dict[str, Any]] = {
        "json": {"()": "kernel.logs.JsonLines", "fields": dict(fields)},
        "text": {"()": "kernel.logs.PlainLines"},
    }
    periodic = "DEBUG" if level == "DEBUG" else "WARNING"
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {"lines": formatters[form]},
        "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "lines"}},
        "root": {"handlers": ["stderr"], "level": level},
        "loggers": {
            # Their access lines repeat the ledger.
            "uvicorn.access": {"level": "WARNING"},
            "daphne.http_protocol": {"level": "WARNING"},
            "django.channels.server": {"level": "WARNING"},
            # These would log addresses and responses of tenants' tools.
            "httpx2": {"level": "WARNING"},
            "mcp": {"level": "CRITICAL"},
            # It logs texts of clients with each error that they made.
            "a2a": {"level": "CRITICAL"},
            # A 4xx is an error of the caller, not a warning for the operator.
            "django.request": {"level": "ERROR"},
            ACCESS_LOGGER: {"level": access_level},
            **{name: {"level": periodic} for name in PERIODIC_LOGGERS},
        },
    }
