"""The generic cell rate algorithm on whole microseconds, the same arithmetic as in the script.

Source: ITU-T I.371, the virtual scheduling algorithm. A rate is an emission interval; a burst is
the maximum lead of the theoretical arrival time (TAT) over the present time.
"""


def wait_us(*, tat: int, now: int, cost: int, burst: int) -> int:
    """Return the time until `cost` fits; 0 if it fits now. A larger cost needs a full burst."""
    ahead = max(tat, now) + min(cost, burst) - now
    return max(0, ahead - burst)


def taken(*, tat: int, now: int, cost: int) -> int:
    """Return the TAT after taking `cost`."""
    return max(tat, now) + cost


def clamped(*, tat: int, now: int, max_ahead: int) -> int:
    """Limit the lead of a TAT to `max_ahead`, in case the clock was set back."""
    return min(tat, now + max_ahead)
