"""Converts the push notification configs of A2A to webhooks, and back without their secrets."""

import re

from a2a.types import AuthenticationInfo, TaskPushNotificationConfig
from a2a.utils.errors import InvalidParamsError

from agents.schema.a2a.tasks import PushTarget
from kernel.ids import new_id

HEADER_TEXT = re.compile(r"[!-~]([ -~]{0,4000}[!-~])?")
"""What may stand in a header."""
SCHEME = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]{1,40}")
MAX_URL_CHARS = 500
MAX_ID_CHARS = 128


def target_of(config: TaskPushNotificationConfig) -> PushTarget:
    """Return the webhook of a config. Raises InvalidParamsError."""
    scheme, credential = config.authentication.scheme, config.authentication.credentials
    if not 1 <= len(config.url) <= MAX_URL_CHARS:
        raise InvalidParamsError(f"`url` has 1 to {MAX_URL_CHARS} characters.")
    if len(config.id) > MAX_ID_CHARS or "\x00" in config.id:
        raise InvalidParamsError(f"`id` has at most {MAX_ID_CHARS} characters.")
    for name, text in (("token", config.token), ("authentication.credentials", credential)):
        if text and not HEADER_TEXT.fullmatch(text):
            raise InvalidParamsError(f"`{name}` is sent as a header: printable ASCII only.")
    if scheme and not SCHEME.fullmatch(scheme):
        raise InvalidParamsError("`authentication.scheme` is a name such as Bearer.")
    return PushTarget(
        id=config.id or new_id("push"),
        url=config.url,
        token=config.token,
        scheme=scheme,
        credential=credential,
    )


def config_of(target: PushTarget, *, task_id: str) -> TaskPushNotificationConfig:
    """Return the config of a webhook. Tokens and credentials cannot be read again."""
    authentication = AuthenticationInfo(scheme=target.scheme) if target.scheme else None
    return TaskPushNotificationConfig(
        id=target.id, task_id=task_id, url=target.url, authentication=authentication
    )
