"""The root of the error tree: sentences for people, headers for programs."""

import pytest

from kernel.errors import (
    BodyTooLarge,
    MethodNotAllowed,
    NotFound,
    Overloaded,
    PlatformError,
    RateLimited,
    Unauthenticated,
    every_leaf,
)


def test_the_docstring_is_the_message():
    assert NotFound().message == "There is no such object here."


def test_a_message_of_its_own_comes_first():
    assert NotFound("No such pool.").message == str(NotFound("No such pool.")) == "No such pool."


def test_a_docstring_of_two_lines_is_one_sentence():
    class Long(PlatformError):
        """One
        two.
        """

    assert Long().message == "One two."


@pytest.mark.parametrize(
    ("seconds", "whole", "milliseconds"),
    [(1, b"1", b"1000"), (0.2, b"1", b"200"), (1.0001, b"2", b"1001"), (0, b"0", b"0")],
)
def test_the_time_to_wait_is_rounded_up(seconds, whole, milliseconds):
    headers = dict(RateLimited(retry_after=seconds).headers())

    assert headers == {b"retry-after": whole, b"retry-after-ms": milliseconds}


def test_without_a_time_to_wait_there_is_no_header():
    assert RateLimited().headers() == []


def test_overload_always_says_when_to_come_back():
    assert dict(Overloaded().headers())[b"retry-after"] == b"1"


def test_a_refused_method_says_which_are_allowed():
    assert (b"allow", b"GET, POST") in MethodNotAllowed(allow="GET, POST").headers()


def test_a_stranger_is_told_how_to_authenticate():
    assert (b"www-authenticate", b"Bearer") in Unauthenticated().headers()


def test_the_tree_is_walked_to_its_leaves():
    leaves = every_leaf()

    assert leaves[0] is PlatformError
    assert BodyTooLarge in leaves
