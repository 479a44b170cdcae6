"""Pauses before something is started again."""

from kernel.backoff import MAX_SECONDS, STABLE_SECONDS, Backoff


def test_pauses_double_up_to_a_most():
    backoff = Backoff()
    assert [backoff.pause(lived=1) for _ in range(9)] == [0.5, 1, 2, 4, 8, 16, 30, 30, 30]
    assert backoff.pause(lived=1) == MAX_SECONDS


def test_what_has_run_for_a_while_begins_anew():
    backoff = Backoff()
    for _ in range(5):
        backoff.pause(lived=0)
    assert backoff.pause(lived=STABLE_SECONDS) == 0.5
