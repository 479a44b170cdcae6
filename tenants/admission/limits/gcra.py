"""The generic cell rate algorithm on whole microseconds, the same arithmetic as in the script.

Source: ITU-T I.371, the virtual scheduling algorithm. A rate is an emission interval; a burst is
how far the theoretical arrival time (TAT) may run ahead of now.
"""


def wait_us(*, tat: int, now: int, cost: int, burst: int) -> int:
    """How long until `cost` fits; 0 if it fits now. A cost above the burst needs a full burst."""
    ahead = max(tat, now) + min(cost, burst) - now
    return max(0, ahead - burst)


def taken(*, tat: int, now: int, cost: int) -> int:
    """The TAT after `cost` was taken."""
    return max(tat, now) + cost


def clamped(*, tat: int, now: int, most: int) -> int:
    """A TAT that a clock set back cannot lock out with: at most `most` ahead of now."""
    return min(tat, now + most)
