"""Waiting for something to become true: never for a fixed time, never without end."""

import os
import time

# One knob for slow machines; every limit below is multiplied by it.
PATIENCE = float(os.environ.get("MUNTIN_PATIENCE", "1"))


class TooLong(AssertionError):
    pass


def deadline(seconds):
    """The moment until which something may take `seconds`, on this machine."""
    return time.monotonic() + seconds * PATIENCE


def wait_for(question, what, seconds=10.0, every=0.05):
    """Asks until the answer is true, and returns it. Raises with `what` (text, or a function giving it) if that takes too long."""
    end = deadline(seconds)
    while True:
        answer = question()
        if answer:
            return answer
        if time.monotonic() > end:
            raise TooLong(f"not within {seconds * PATIENCE:g} s: {what() if callable(what) else what}")
        time.sleep(every)
