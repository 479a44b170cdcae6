"""Logs: one line a record, and no secret in any of them."""

import contextvars
import json
import logging
import secrets

import pytest

from kernel import logs
from kernel.ids import new_public_id
from kernel.logs import JsonLines, PlainLines, logging_config, redact
from tenants.api_keys.keys import new_key

POSITIONS = {
    "a header": "authorization: Bearer {}",
    "a header in capitals": "AUTHORIZATION: BEARER {}",
    "a header of a password": "Authorization: Basic {}",
    "a header pair": "(b'authorization', b'Bearer {}')",
    "our other header": "x-api-key: {}",
    "a header of an object": "{{'X-Api-Key': '{}'}}",
    "a database": "postgresql://tenantry:{}@db.internal:5432/tenantry",
    "a cache": "rediss://:{}@cache.internal:6379/0",
    "a query": "GET /v1/models?api_key={}&limit=1",
    "a token in a query": "GET /v1/models?access_token={} HTTP/1.1",
    "JSON": '{{"password": "{}"}}',
    "JSON in JSON": '{{\\"password\\": \\"{}\\"}}',
    "a form": "username=olga&password={}&next=/",
    "a keyword": "connect(user='olga', password='{}')",
    "a data class": "Endpoint(address='http://10.0.0.5', credential='{}')",
    "a credential with its scheme": "credential='Bearer {}'",
    "a setting": "TENANTRY_SECRET_KEY={}",
    "another setting": "TENANTRY_KEY_PEPPERS={}",
    "one more setting": "TENANTRY_ENCRYPTION_KEYS={}",
    "a client's setting": "PGPASSWORD={} psql",
    "a spelled setting": "client_secret: {}",
    "a header pair of our other header": "(b'x-api-key', b'{}')",
    "a header pair of texts": "('x-api-key', '{}')",
    "a database whose password has an at sign": "postgresql://olga:p@{}@db.internal/tenantry",
    "a database whose password has a slash": "postgresql://olga:p/{}@db.internal/tenantry",
    "a header of a password in small letters": "authorization: basic {}",
    "a setting of a cloud": '{{"aws_secret_access_key": "{}"}}',
    "a key of OpenAI": "Incorrect API key provided: sk-{}",
    "a token of Hugging Face": "using hf_{} for the download",
    "a token of GitHub": "cloned with ghp_{}",
    "a secret of a webhook": "whsec_{}",
    "a token of JSON": "got eyJhbGciOiJIUzI1NiJ9.{}.x",
    "a private key": "-----BEGIN RSA PRIVATE KEY-----\n{}\n-----END RSA PRIVATE KEY-----",
    "a cookie": "Cookie: theme=dark; sessionid={}",
    "a header pair of a cookie": "(b'cookie', b'a=b; c={}')",
    "a signed address": "https://bucket.example.org/x?X-Amz-Signature={}&y=1",
}


def canaries():
    """Ten secrets for each position, of the kinds that people have."""
    for position, text in POSITIONS.items():
        for _ in range(5):
            for secret in (secrets.token_urlsafe(24), secrets.token_hex(16)):
                yield position, text.format(secret), secret


def record_of(message, *args, **fields):
    return logging.LogRecord("t", logging.INFO, __file__, 1, message, args, fields.get("exc_info"))


def test_two_hundred_secrets_in_every_position_are_hidden():
    leaks = {place for place, text, secret in canaries() if secret in redact(text)}

    assert len(list(canaries())) >= 200
    assert not leaks


@pytest.mark.parametrize("kind", ["tnt", "tnj"])
def test_our_own_keys_are_hidden_wherever_they_stand(kind):
    for _ in range(50):
        key = new_key(kind=kind)
        line = redact(f"got {key}, then ({key}) and http://x/{key}/y")

        assert key.secret not in line
        assert str(key) not in line


def test_a_management_token_is_hidden():
    token = f"tno_{new_public_id(48)}"

    assert redact(f"token {token}") == "token tno_[redacted]"


def test_what_is_no_secret_is_shown():
    line = "acme asked tiny for 12 tokens: 200 in 3.5 ms at http://10.0.0.5:8000/v1"

    assert redact(line) == line


def test_an_address_of_a_person_is_hidden():
    assert redact("mail to ada.l+x@mail.example.org failed") == "mail to [redacted] failed"


def test_words_about_secrets_are_shown():
    line = (
        "wrong password, try again: the basic plan has no token limit, cookies are off (tokens=12)"
    )

    assert redact(line) == line


def test_the_place_of_a_secret_is_still_seen():
    assert redact("postgresql://olga:s3@db/x") == "postgresql://olga:[redacted]@db/x"


@pytest.mark.parametrize("formatter", [JsonLines(), PlainLines()])
def test_secrets_in_arguments_and_exceptions_are_hidden(formatter):
    key = str(new_key())
    try:
        raise ValueError(f"cannot use {key}")
    except ValueError as error:
        record = record_of("refused %s", key, exc_info=(type(error), error, error.__traceback__))

    line = formatter.format(record)

    assert key not in line
    assert "ValueError" in line


CONTROLS = ["\r", "\x1b[31m", "\x00", "\x07", "\x7f", "\x9b31m", "\x85", "\u2028"]


@pytest.mark.parametrize("formatter", [JsonLines(), PlainLines()])
@pytest.mark.parametrize("control", CONTROLS)
def test_characters_that_forge_or_colour_lines_are_replaced(formatter, control):
    line = formatter.format(record_of(f"before{control}after"))

    assert control[0] not in line
    assert len(line.splitlines()) == 1


def test_a_message_cannot_begin_a_line_of_its_own():
    line = PlainLines().format(record_of("no such model\n12:00:00 critical x: forged"))

    assert "\n12:00:00" not in line


@pytest.mark.parametrize("text", ["a\nb", '"}', "\\", "\x1b", "ü𝄞", "\ud800", "\t"])
def test_every_line_is_valid_json(text):
    line = JsonLines().format(record_of("%s", text))

    assert "\n" not in line
    assert isinstance(json.loads(line)["message"], str)


def test_a_record_says_when_where_and_how_bad():
    fields = json.loads(JsonLines().format(record_of("hello %s", "you")))

    assert fields.pop("time").endswith("+00:00")
    fields.pop("worker", None)  # of a gateway that another test ran in this process
    assert fields == {"level": "info", "logger": "t", "message": "hello you"}


def test_request_and_tenant_are_in_the_line():
    request, tenant = logs.request_id.set("req_1"), logs.tenant.set("acme")
    fields = json.loads(JsonLines().format(record_of("x")))
    logs.request_id.reset(request)
    logs.tenant.reset(tenant)

    assert (fields["request_id"], fields["tenant"]) == ("req_1", "acme")


def test_an_exception_is_told_with_its_trace():
    try:
        _ = 1 / 0
    except ZeroDivisionError as error:
        record = record_of("x", exc_info=(type(error), error, error.__traceback__))

    fields = json.loads(JsonLines().format(record))

    assert "test_logs.py" in fields["exception"]
    assert "ZeroDivisionError" in fields["exception"]


@pytest.mark.parametrize("form", ["json", "text"])
def test_everything_is_logged_through_the_redacting_formatter(form):
    config = logging_config(form=form, level="INFO", fields={})

    assert config["root"] == {"handlers": ["stderr"], "level": "INFO"}
    assert not any("handlers" in logger for logger in config["loggers"].values())


def test_a_line_has_the_fields_of_its_process_its_context_and_its_record():
    formatter = JsonLines({"plane": "console", "pod": "console-1"})
    record = record_of("x")
    record.fields = {"status": 200}

    def format_in_a_run():
        logs.run.set("resp_1")
        return json.loads(formatter.format(record))

    fields = contextvars.copy_context().run(format_in_a_run)
    assert (fields["plane"], fields["pod"], fields["run"]) == ("console", "console-1", "resp_1")
    assert fields["status"] == 200
    assert "run" not in json.loads(formatter.format(record))


@pytest.mark.parametrize(("level", "periodic"), [("INFO", "WARNING"), ("DEBUG", "DEBUG")])
def test_lines_about_periodic_tasks_are_for_debugging(level, periodic):
    loggers = logging_config(form="json", level=level, fields={})["loggers"]
    assert {loggers[name]["level"] for name in logs.PERIODIC_LOGGERS} == {periodic}
