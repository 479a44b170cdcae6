"""Addresses that people type: whatever the spelling, only public ones are allowed."""

from ipaddress import ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kernel.egress.rules import TargetRefused, is_public, rules_of

RULES = rules_of(allow=[])

LOCAL = [
    *("127.0.0.1", "127.1", "127.0.1", "0x7f.1", "0x7f000001", "0X7F.0.0.1", "0177.0.0.1"),
    *("2130706433", "017700000001", "127.0.0.1.", "127.255.255.254", "0", "0.0.0.0", "0x0"),
    *("[::1]", "[::]", "[0:0:0:0:0:0:0:1]", "[::ffff:127.0.0.1]", "[::ffff:7f00:1]"),
    *("[::127.0.0.1]", "[::7f00:1]", "[64:ff9b::7f00:1]", "[64:ff9b::127.0.0.1]"),
    *("[64:ff9b:1::7f00:1]", "[2002:7f00:1::]", "[2002:a9fe:a9fe::1]", "[::ffff:0:127.0.0.1]"),
    *("168.63.129.16", "0xa83f8110", "[::ffff:168.63.129.16]", "[64:ff9b::a83f:8110]"),
    *("192.0.0.192", "169.254.170.2", "[2002:a83f:8110::1]", "[fd20:ce::254]"),
    *("169.254.169.254", "0xa9fea9fe", "2852039166", "0251.0376.0251.0376", "169.16689662"),
    *("[::ffff:169.254.169.254]", "[64:ff9b::a9fe:a9fe]", "[fd00:ec2::254]", "[fe80::1]"),
    *("10.0.0.1", "172.16.0.1", "192.168.1.1", "192.168.257", "100.64.0.1", "100.100.100.200"),
    *("198.18.0.1", "192.0.0.1", "192.0.2.1", "203.0.113.9", "224.0.0.1", "240.0.0.1"),
    *("255.255.255.255", "[ff02::1]", "[fc00::1]", "[2001:db8::1]", "[2001::1]", "[100::1]"),
    *("0x7F.0x0.0x0.0x1", "00000177.0.0.1", "127.000.000.001", "0x7f.0.1"),
    *("[::ffff:0:0:127.0.0.1]", "[0:0:0:0:0:ffff:7f00:0001]", "[fe80::a9fe:a9fe]", "[fec0::1]"),
    *("[64:ff9b::10.0.0.1]", "[2002:a00:1::1]", "[2002:c0a8:101::]", "[::ffff:192.168.0.1]"),
    *("0300.0250.0.1", "3232235521", "0xc0a80001", "10.1", "169.254.170.2", "[fd00::1]"),
    *("１２７.０.０.１", "①②⑦.0.0.1", "127。0。0。1", "１６９.２５４.１６９.２５４"),  # noqa: RUF001 - that is the trick
]
PUBLIC = ["1.1.1.1", "0x01010101", "16843009", "[2606:4700::1111]", "[64:ff9b::101:101]"]


def check(url, rules=RULES):
    target = rules.target(url)
    rules.ensure_allowed(target, [target.literal] if target.literal else [])
    return target


def test_there_are_enough_spellings_to_learn_from():
    assert len(set(LOCAL)) >= 60


@pytest.mark.parametrize("host", LOCAL)
def test_no_spelling_of_an_inner_address_is_allowed(host):
    with pytest.raises(TargetRefused):
        check(f"https://{host}/hook")


@pytest.mark.parametrize("host", PUBLIC)
def test_public_addresses_are_allowed(host):
    assert check(f"https://{host}/hook").literal is not None


URLS = [
    *("http://example.org/", "ftp://example.org/", "file:///etc/passwd", "gopher://example.org/"),
    *("//example.org/", "example.org", "", "https://", "https:///path", "https://?x", "https:x"),
    *("https://user@example.org/", "https://a:b@example.org/", "https://example.org@127.0.0.1/"),
    *("https://example.org:22/", "https://example.org:0/", "https://example.org:99999/"),
    *("https://example.org:443x/", "https://exa mple.org/", "https://example.org\\@127.0.0.1/"),
    *("https://example.org\n/", "https://example.org/\r\nHost: x", "https://[::1/", "https://[1"),
    *("https://example%2eorg/", "https://1.2.3.4.5/", "https://256.1.1.1/"),
    *("https://fe80::1/", "https://[fe80::1%25eth0]/", "https://..", "https://a..b/", "https://-\u2044/"),
    "https://" + "a" * 64 + ".org/",
    "https://" + "a." * 130 + "org/",
]  # fmt: skip


@pytest.mark.parametrize("url", URLS)
def test_a_url_that_can_be_read_in_two_ways_is_refused(url):
    with pytest.raises(TargetRefused):
        check(url)


@pytest.mark.parametrize(
    ("typed", "asked"),
    [
        ("https://Example.ORG", "https://example.org/"),
        ("HTTPS://example.org./a?b=c#d", "https://example.org/a?b=c"),
        ("https://example.org:443/", "https://example.org/"),
        ("https://example.org:8443/", "https://example.org:8443/"),
        ("https://bücher.example/", "https://xn--bcher-kva.example/"),
        ("https://example.org/ü?q=%41 ".strip(), "https://example.org/%C3%BC?q=%41"),
        ("https://16843009/", "https://1.1.1.1/"),
        ("https://[2606:4700:0::1111]/", "https://[2606:4700::1111]/"),
    ],
)
def test_what_is_asked_has_one_spelling(typed, asked):
    assert check(typed).url == asked


@pytest.mark.parametrize(
    ("allow", "host"),
    [
        ("10.0.0.0/8", "10.1.2.3"),
        ("10.0.0.0/8", "[::ffff:10.1.2.3]"),
        ("10.0.0.0/8", "[64:ff9b::a01:203]"),
        ("127.0.0.1", "127.1"),
        ("fd00::/8", "[fd00::7]"),
    ],
)
def test_an_operator_may_allow_a_network(allow, host):
    check(f"https://{host}/", rules_of(allow=[allow]))

    with pytest.raises(TargetRefused):
        check("https://192.168.0.1/", rules_of(allow=[allow]))


def test_an_operator_may_allow_a_host_by_name_whatever_it_stands_for():
    rules = rules_of(allow=["Hooks.Internal"])

    rules.ensure_allowed(rules.target("https://hooks.internal/"), [ip_address("10.0.0.1")])
    with pytest.raises(TargetRefused):
        rules.ensure_allowed(rules.target("https://x.hooks.internal/"), [ip_address("10.0.0.1")])


def test_a_name_with_one_inner_address_among_public_ones_is_refused():
    addresses = [ip_address("1.1.1.1"), ip_address("10.0.0.1")]

    with pytest.raises(TargetRefused):
        RULES.ensure_allowed(RULES.target("https://example.org/"), addresses)


@pytest.mark.parametrize("wrong", ["10.0.0.0/33", "10.0.0.1/8", "not a host", "1.2.3", "*.org"])
def test_an_allowance_that_cannot_be_meant_is_an_error(wrong):
    with pytest.raises(ValueError, match=r"does not appear|has host bits"):
        rules_of(allow=[wrong])


@given(st.ip_addresses(v=4))
def test_an_address_inside_another_counts_as_itself(address):
    number = int(address)
    for outside in (
        (0xFFFF << 32) + number,
        (0x0064_FF9B << 96) + number,
        (0x2002 << 112) + (number << 80),
    ):
        inner = ip_address(outside if outside >= 2**32 else outside + 2**127)
        assert is_public(inner) == is_public(address)


@given(st.ip_addresses(network="::/3") | st.ip_addresses(network="fc00::/6"))
def test_nothing_outside_of_unicast_is_public(address):
    assert not is_public(address) or is_public(ip_address(int(address) & 0xFFFF_FFFF))


@given(st.text(max_size=40))
def test_any_text_is_refused_or_has_one_spelling(text):
    for url in (text, f"https://{text}"):
        try:
            target = RULES.target(url)
        except TargetRefused:
            continue
        assert RULES.target(target.url) == target
