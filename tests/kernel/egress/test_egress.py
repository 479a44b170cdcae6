"""The client for addresses that people typed, against servers that mean harm."""

import asyncio
from contextlib import asynccontextmanager
from ipaddress import ip_address

import pytest

from kernel.egress.client import Egress, EgressFailed, Request, fetch_now
from kernel.egress.rules import TargetRefused, rules_of

LOOPBACK = ip_address("127.0.0.1")
PUBLIC = ip_address("1.1.1.1")

OK = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\nset-cookie: a=b\r\n\r\nok"


class Server:
    """Answers each path with fixed bytes, and remembers what it was asked."""

    def __init__(self):
        self.answers = {}
        self.seen = []
        self.endless = b""
        self.port = 0

    async def serve(self, reader, writer):
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        length = next((int(x.split(":")[1]) for x in head.lower().split("\r\n")
                       if x.startswith("content-length:")), 0)  # fmt: skip
        body = await reader.readexactly(length)
        self.seen.append((head, body))
        path = head.split()[1]
        try:
            writer.write(self.answers.get(path, OK))
            await writer.drain()
            while self.endless:
                writer.write(self.endless)
                await writer.drain()
                await asyncio.sleep(0)
            if path == "/slow":
                await asyncio.sleep(5)
        except ConnectionError:
            pass
        finally:
            writer.close()

    def redirect(self, path, location, status=302):
        self.answers[path] = (
            f"HTTP/1.1 {status} Moved\r\nlocation: {location}\r\ncontent-length: 0\r\n\r\n".encode()
        )


@asynccontextmanager
async def serving():
    server = Server()
    running = await asyncio.start_server(server.serve, "127.0.0.1", 0)
    server.port = running.sockets[0].getsockname()[1]
    try:
        yield server
    finally:
        running.close()


@pytest.fixture
async def server():
    async with serving() as server:
        yield server


def egress(server, *names, allow=("127.0.0.1",), ports=(), **rules):
    """A client for which every name stands for `names`, by default for this machine."""

    async def resolve(target):
        return list(names) or [LOOPBACK]

    open_ports = [server.port, *ports]
    return Egress(rules_of(allow=allow, ports=open_ports, http=True, **rules), resolve=resolve)


def url(server, path="/", host="hooks.example"):
    return f"http://{host}:{server.port}{path}"


async def test_a_request_arrives_at_the_checked_address_under_its_own_name(server):
    request = Request(method="POST", url=url(server, "/a?b=c"), headers={"x-y": "z"}, body=b"{}")

    answer = await egress(server).fetch(request)

    ((head, body),) = server.seen
    assert (answer.status, answer.body, body) == (200, b"ok", b"{}")
    assert head.startswith("POST /a?b=c HTTP/1.1\r\n")
    assert f"host: hooks.example:{server.port}" in head.lower()
    assert "x-y: z" in head


async def test_without_an_allowance_this_machine_is_not_asked(server):
    for host in ("127.0.0.1", "localhost", "2130706433"):
        with pytest.raises(TargetRefused):
            await egress(server, allow=()).fetch(Request(method="GET", url=url(server, host=host)))

    assert server.seen == []


async def test_the_systems_own_resolver_is_checked_too(server):
    client = Egress(rules_of(allow=[], ports=[server.port], http=True))

    with pytest.raises(TargetRefused):
        await client.fetch(Request(method="GET", url=url(server, host="localhost")))


async def test_a_name_that_changes_its_address_is_connected_where_it_was_checked(server):
    answers = iter([[PUBLIC], [LOOPBACK]])
    asked = []

    async def rebinding(target):
        asked.append(target.host)
        return next(answers)

    rules = rules_of(allow=[], ports=[server.port], http=True)
    with pytest.raises(EgressFailed):
        await Egress(rules, resolve=rebinding).fetch(
            Request(method="GET", url=url(server)), seconds=0.5
        )

    assert (asked, server.seen) == (["hooks.example"], [])


async def test_one_inner_address_among_public_ones_is_enough_to_refuse(server):
    with pytest.raises(TargetRefused):
        await egress(server, LOOPBACK, PUBLIC, allow=()).fetch(
            Request(method="GET", url=url(server))
        )

    assert server.seen == []


METADATA = ["http://169.254.169.254/latest", "http://[::ffff:a9fe:a9fe]/", "http://2852039166/"]


@pytest.mark.parametrize("location", [*METADATA, "file:///etc/passwd", "//10.0.0.1/", "gopher://x"])
async def test_a_redirect_to_where_nothing_may_be_sent_is_refused(server, location):
    server.redirect("/", location)
    client = egress(server, ports=[80])

    with pytest.raises(TargetRefused):
        await client.fetch(Request(method="GET", url=url(server)))


async def test_a_redirect_to_a_name_is_resolved_and_checked(server):
    server.redirect("/", url(server, host="inner.example"))

    async def resolve(target):
        return [LOOPBACK] if target.host == "hooks.example" else [ip_address("10.0.0.1")]

    rules = rules_of(allow=["127.0.0.1"], ports=[server.port], http=True)
    with pytest.raises(TargetRefused):
        await Egress(rules, resolve=resolve).fetch(Request(method="GET", url=url(server)))


async def test_credentials_stay_with_their_host(server):
    server.redirect("/here", "/there")
    server.redirect("/there", url(server, "/abroad", host="other.example"))
    headers = {"Authorization": "Bearer x", "Tenantry-Signature": "t", "accept": "a/b"}

    await egress(server).fetch(Request(method="GET", url=url(server, "/here"), headers=headers))

    heads = [head.lower() for head, _ in server.seen]
    assert ["authorization" in head for head in heads] == [True, True, False]
    assert ["tenantry-signature" in head for head in heads] == [True, True, False]
    assert all("accept: a/b" in head for head in heads)
    assert not any("cookie" in head for head in heads)


async def test_a_circle_of_redirects_ends(server):
    server.redirect("/", "/")

    with pytest.raises(EgressFailed, match="too often"):
        await egress(server).fetch(Request(method="GET", url=url(server)))

    assert len(server.seen) == 4


@pytest.mark.parametrize(("status", "asked"), [(302, 1), (303, 1), (307, 2), (308, 2)])
async def test_a_body_goes_on_only_where_the_method_stays(server, status, asked):
    server.redirect("/", "/next", status)

    await egress(server).fetch(Request(method="POST", url=url(server), body=b"x"))

    assert [body for _, body in server.seen] == [b"x"] * asked


async def test_a_huge_body_is_not_read(server):
    server.answers["/"] = b"HTTP/1.1 200 OK\r\ncontent-length: 9999999999\r\n\r\n"
    server.endless = b"x" * 65536

    with pytest.raises(EgressFailed, match="too long"):
        await egress(server).fetch(Request(method="GET", url=url(server)), max_bytes=100_000)


async def test_an_endless_body_ends_in_time(server):
    server.answers["/"] = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n"
    server.endless = b"1\r\nx\r\n"

    with pytest.raises(EgressFailed, match=r"in time|too long"):
        await egress(server).fetch(Request(method="GET", url=url(server)), seconds=0.5)


@pytest.mark.parametrize("start", [b"", b"HTTP/1.1 200 OK\r\n", b"HTTP/1.1 200 OK\r\nx: "])
async def test_endless_headers_or_none_end_in_time(server, start):
    server.answers["/slow"] = start

    with pytest.raises(EgressFailed):
        await egress(server).fetch(Request(method="GET", url=url(server, "/slow")), seconds=0.3)


async def test_a_packed_body_is_not_unpacked(server):
    import gzip

    packed = gzip.compress(b"0" * 10_000_000)
    server.answers["/"] = (
        b"HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\ncontent-length: %d\r\n\r\n" % len(packed)
    ) + packed

    assert (await egress(server).fetch(Request(method="GET", url=url(server)))).body == packed


async def test_junk_is_a_failure_and_not_a_bug(server):
    server.answers["/"] = b"\x00\xff junk \r\n\r\n"

    with pytest.raises(EgressFailed):
        await egress(server).fetch(Request(method="GET", url=url(server)))


async def test_proxies_of_the_environment_are_not_used(server, monkeypatch):
    for name in ("http_proxy", "HTTP_PROXY", "https_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")

    assert (await egress(server).fetch(Request(method="GET", url=url(server)))).status == 200


async def test_an_address_where_nobody_listens_is_a_failure(server):
    with pytest.raises(EgressFailed):
        await egress(server, ip_address("127.0.0.2"), allow=["127.0.0.0/8"]).fetch(
            Request(method="GET", url=url(server))
        )


async def test_a_name_that_is_not_there_is_a_failure(server):
    client = Egress(rules_of(allow=[], ports=[server.port], http=True))

    with pytest.raises(EgressFailed):
        await client.fetch(Request(method="GET", url=url(server, host="nowhere.invalid")))


async def test_celerys_code_asks_as_the_operator_set_it(server, settings):
    settings.EGRESS_ALLOW, settings.EGRESS_PORTS = ["127.0.0.1"], [server.port]
    settings.EGRESS_HTTP = True
    request = Request(method="GET", url=url(server, host="127.0.0.1"))

    assert (await asyncio.to_thread(fetch_now, request)).body == b"ok"

    settings.EGRESS_HTTP = False
    with pytest.raises(TargetRefused):
        await asyncio.to_thread(fetch_now, request)
