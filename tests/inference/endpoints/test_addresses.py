"""Normalisation and validation of the addresses of endpoints."""

import pytest

from inference.addresses import normalised_address
from inference.errors import AddressNotAllowed

ALLOWED = {
    "http://10.0.0.5:8000": "http://10.0.0.5:8000",
    "http://10.0.0.5:8000/": "http://10.0.0.5:8000",
    "http://10.0.0.5:8000/v1": "http://10.0.0.5:8000",
    "http://10.0.0.5:8000/v1/": "http://10.0.0.5:8000",
    " HTTP://10.0.0.5:8000 ": "http://10.0.0.5:8000",
    "https://Engine.Internal": "https://engine.internal",
    "https://engine.internal./v1": "https://engine.internal",
    "http://engine_1:8000/team/a/v1": "http://engine_1:8000/team/a",
    "http://10.1:8000": "http://10.0.0.1:8000",
    "http://[fd00::0:5]:8000": "http://[fd00::5]:8000",
    "http://[FD00:0:0::5]:8000/v1": "http://[fd00::5]:8000",
    "http://192.168.1.7": "http://192.168.1.7",
    "http://vllm.models.svc.cluster.local:8000": "http://vllm.models.svc.cluster.local:8000",
    "http://localhosts.example:1": "http://localhosts.example:1",
}
LOOPBACK = [
    "http://127.0.0.1:8090",
    "http://127.1",
    "http://127.0.1",
    "http://127.255.255.254",
    "http://0x7f.1",
    "http://0x7f000001",
    "http://2130706433",
    "http://0177.0.0.1",
    "http://017700000001",
    "http://localhost",
    "http://LOCALHOST:8000",
    "http://localhost.",
    "http://engine.localhost",
    "http://engine.localhost.",
    "http://127.0.0.1.",
    "http://[::1]:8000",
    "http://[0:0:0:0:0:0:0:1]",
    "http://[::ffff:127.0.0.1]",
    "http://[::ffff:7f00:1]",
]
NEVER = [
    "http://169.254.169.254/latest/meta-data",
    "http://169.254.43518",
    "http://0xa9fea9fe",
    "http://2852039166",
    "http://[::ffff:169.254.169.254]",
    "http://[fe80::1]",
    "http://[fe80::1%25eth0]",
    "http://[64:ff9b::a9fe:a9fe]",
    "http://[2002:a9fe:a9fe::]",
    "http://[fd00:ec2::254]/latest",
    "http://100.100.100.200",
    "http://[::ffff:100.100.100.200]",
    "http://168.63.129.16:80",
    "http://192.0.0.192",
    "http://metadata.google.internal/computeMetadata/v1",
    "http://METADATA.google.internal.",
    "http://0.0.0.0:8000",
    "http://0",
    "http://[::]:8000",
    "http://224.0.0.1",
    "http://[ff02::1]",
    "http://255.255.255.255",
    "http://１２７.0.0.1",  # noqa: RUF001 - the point
    "http://ⓛocalhost",
    "http://exa mple:8000",
    "http://%31%32%37.0.0.1",
    "http://999.999.999.999",
    "http://user@10.0.0.5",
    "http://user:secret@10.0.0.5",
    "http://:secret@10.0.0.5",
    "http://@10.0.0.5",
    "http://10.0.0.5?x=1",
    "http://10.0.0.5#x",
    "http://10.0.0.5:0",
    "http://10.0.0.5:99999",
    "http://10.0.0.5:http",
    "http://10.0.0.5\\@10.0.0.6",
    "http://",
    "http:///v1",
    "http://[::1",
    "10.0.0.5:8000",
    "//10.0.0.5",
    "engine.internal",
    "ftp://10.0.0.5",
    "file:///etc/passwd",
    "unix:///run/engine.sock",
    "",
]


@pytest.mark.parametrize("text", ALLOWED)
def test_an_engines_address_has_one_spelling(text):
    assert normalised_address(text, allow_loopback=False) == ALLOWED[text]


@pytest.mark.parametrize("text", ALLOWED)
def test_the_one_spelling_stays(text):
    once = normalised_address(text, allow_loopback=False)

    assert normalised_address(once, allow_loopback=False) == once


@pytest.mark.parametrize("text", LOOPBACK)
def test_this_machine_is_an_engine_in_the_embedded_stack_only(text):
    assert normalised_address(text, allow_loopback=True)

    with pytest.raises(AddressNotAllowed, match="embedded stack only"):
        normalised_address(text, allow_loopback=False)


@pytest.mark.parametrize("allow_loopback", [False, True])
@pytest.mark.parametrize("text", NEVER)
def test_what_is_no_engine_is_refused(text, allow_loopback):
    with pytest.raises(AddressNotAllowed):
        normalised_address(text, allow_loopback=allow_loopback)


def test_the_password_of_a_refused_address_is_not_repeated():
    with pytest.raises(AddressNotAllowed) as caught:
        normalised_address("http://user:hunter2@10.0.0.5", allow_loopback=True)

    assert "hunter2" not in caught.value.message
