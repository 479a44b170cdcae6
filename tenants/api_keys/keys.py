"""API keys as text: `tnt_<public id, 12>_<secret, 32><CRC-32 of the text before, 6>`, in base 62.

The checksum lets a gateway refuse invalid texts and typing errors without a query. Pure.
"""

import hashlib
import hmac
import re
import zlib
from dataclasses import dataclass
from typing import Final

from kernel.ids import encode_base62, new_public_id

PUBLIC_ID_LENGTH: Final = 12
SECRET_LENGTH: Final = 32
CHECKSUM_LENGTH: Final = 6
API_KEY: Final = "tnt"

KEY_PATTERN: Final = re.compile(
    rf"([a-z]{{3}})_([0-9A-Za-z]{{{PUBLIC_ID_LENGTH}}})_"
    rf"([0-9A-Za-z]{{{SECRET_LENGTH}}})([0-9A-Za-z]{{{CHECKSUM_LENGTH}}})",
    re.ASCII,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyText:
    """An API key with its secret, which the repr hides from logs."""

    kind: str
    public_id: str
    secret: str

    def __repr__(self) -> str:
        return f"KeyText({self.kind}_{self.public_id}_…)"

    def __str__(self) -> str:
        body = f"{self.kind}_{self.public_id}_{self.secret}"
        return body + checksum(body)

    @property
    def prefix(self) -> str:
        """The part that identifies the key and may be displayed."""
        return f"{self.kind}_{self.public_id}"


def checksum(body: str) -> str:
    """Return the CRC-32 of a text in base 62."""
    return encode_base62(zlib.crc32(body.encode()), length=CHECKSUM_LENGTH)


def new_key(*, kind: str = API_KEY) -> KeyText:
    """Return a new key with a secret of 190 bits."""
    return KeyText(
        kind=kind,
        public_id=new_public_id(PUBLIC_ID_LENGTH),
        secret=new_public_id(SECRET_LENGTH),
    )


def parse_key(text: str, *, kind: str = API_KEY) -> KeyText | None:
    """Parse a key; None for a text that has not the format of a key or a wrong checksum."""
    match = KEY_PATTERN.fullmatch(text)
    if match is None or match[1] != kind:
        return None
    if checksum(text[:-CHECKSUM_LENGTH]) != match[4]:
        return None
    return KeyText(kind=match[1], public_id=match[2], secret=match[3])


def pepper_name(pepper: str) -> str:
    """Return a name that identifies a pepper without revealing it."""
    return hashlib.sha256(b"tenantry pepper name:" + pepper.encode()).hexdigest()[:8]


def digest_key(key: KeyText, *, pepper: str) -> bytes:
    """Return the digest to store. Key and pepper are random, so a fast keyed hash is enough."""
    return hmac.digest(pepper.encode(), str(key).encode(), "sha256")


def key_matches(key: KeyText, *, digest: bytes, pepper: str) -> bool:
    """Return whether `digest` is that of `key`, in constant time."""
    return hmac.compare_digest(digest_key(key, pepper=pepper), digest)
