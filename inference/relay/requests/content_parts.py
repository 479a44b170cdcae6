"""Parts of a message beside text and images. Media is inline, never an address to fetch.

An engine that fetched addresses would fetch internal ones too. Sources: OpenAI's reference of chat
completions; vLLM, "Multimodal inputs", for `audio_url` and `video_url`.
"""

from typing import Annotated

import msgspec
from msgspec import Meta


class AudioData(msgspec.Struct):
    data: str
    """Base64-encoded audio."""
    format: Annotated[str, Meta(pattern="^[A-Za-z0-9]{1,16}$")]


class AudioPart(msgspec.Struct, tag_field="type", tag="input_audio"):
    input_audio: AudioData


class AudioUrl(msgspec.Struct):
    url: Annotated[str, Meta(pattern="^data:audio/")]


class AudioUrlPart(msgspec.Struct, tag_field="type", tag="audio_url"):
    audio_url: AudioUrl


class VideoUrl(msgspec.Struct):
    url: Annotated[str, Meta(pattern="^data:video/")]


class VideoUrlPart(msgspec.Struct, tag_field="type", tag="video_url"):
    video_url: VideoUrl


class FileData(msgspec.Struct, omit_defaults=True):
    file_data: Annotated[str, Meta(pattern="^data:")]
    filename: Annotated[str, Meta(max_length=256)] | None = None


class FilePart(msgspec.Struct, tag_field="type", tag="file"):
    file: FileData


class RefusalPart(msgspec.Struct, tag_field="type", tag="refusal"):
    """Refusal of the assistant, in a history."""

    refusal: str


PATTERNS = {
    "^data:image/": "Images are sent inline, as `data:image/…;base64,…`: no address is fetched",
    "^data:audio/": "Audio is sent inline, as `data:audio/…;base64,…`: no address is fetched",
    "^data:video/": "Videos are sent inline, as `data:video/…;base64,…`: no address is fetched",
    "^data:": "Files are sent inline, as `data:…;base64,…`: no address is fetched",
    "^[A-Za-z0-9]{1,16}$": "This is the name of a format, such as `wav` or `mp3`",
}
"""Error message by pattern, instead of the regular expression itself."""
