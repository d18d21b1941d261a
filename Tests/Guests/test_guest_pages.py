"""A buffer in a guest's own pages (`muntin-guest export --allocate guest`): b's configuration lets it see a's memory, c's
does not."""

import tempfile
import time
from pathlib import Path

import pytest

from harness.environment import MUNTIN_GUEST
from harness.pictures import difference, painted
from harness.sharing import Guests, number_of, said
from harness.waiting import wait_for

# Where the host makes dma-bufs, nobody has to see the memory: test_inside_pages.py.
pytestmark = pytest.mark.skipif(Path("/dev/udmabuf").exists(), reason="this host makes dma-bufs of guests' pages")

SIZE = 320, 200
EXPORT = "muntin-guest export clock --size 320x200 --allocate guest"


@pytest.fixture(scope="module")
def started(built):
    with tempfile.TemporaryDirectory(prefix="muntin-") as folder:
        settings = {"b": {"sees_memory_of": ["a"]}}
        guests = Guests(folder, [MUNTIN_GUEST], channels=("a", "b", "c"), settings=settings)
        try:
            yield guests
        finally:
            guests.kill()


@pytest.fixture
def guests(started):
    yield started
    started.clean()


def test_who_may_see_its_memory_has_a_guests_own_pages_as_they_change(guests):
    before = guests["a"] and guests.memory("a")
    guests["a"].start("clock", f"{EXPORT} --pattern --rate 4", "^exported")
    guests.grant("--name", "clock")
    b = guests["b"]
    keep = "cp /run/now.png /run/$MUNTIN_GENERATION.png; echo $MUNTIN_GENERATION"
    b.start("follow", f"muntin-guest import clock --png /run/now.png --follow '{keep}'")
    wait_for(lambda: len(b.log("follow").splitlines()) >= 5, lambda: f"five updates:\n{b.logs()}", 30)
    frames = []
    for generation in b.log("follow").split()[:5]:
        picture = b.picture(f"/run/{generation}.png")
        frames.append(number_of(picture))
        assert difference(picture, painted(SIZE, frames[-1])) is None
    assert len(set(frames)) >= 4 and frames == sorted(frames)
    assert guests.memory("a") == before, "the owner has no memory of the host's for it"
    (buffer,) = guests.exports()
    assert buffer["memory"] == "ranges", buffer


def test_who_may_not_is_told_what_the_configuration_would_have_to_say(guests):
    guests["a"].start("clock", f"{EXPORT} --pattern --frames 1", "^exported")
    guests.up.ask("grant", "vm:a", "vm:c", "--name", "clock")
    refusal = said(guests["c"], "muntin-guest import clock --owner a --raw /run/stolen")
    assert "sees_memory_of" in refusal and "VM a" in refusal
    assert "no buffer" in said(guests["b"], "muntin-guest import clock --owner a --raw /run/stolen")


def test_an_export_that_nobody_could_see_is_refused_at_once_with_what_is_missing(guests):
    guests["c"]
    begin = time.monotonic()
    refusal = said(guests["c"], "muntin-guest export clock --size 320x200 --allocate guest --pattern")
    assert "/dev/udmabuf" in refusal and 'sees_memory_of = ["c"]' in refusal
    refusal = said(guests["a"], f"{EXPORT} --pattern --writable")
    assert "dma-buf only" in refusal
    assert time.monotonic() - begin < 5


@pytest.mark.parametrize("end", ["program", "kill"])
def test_what_was_copied_goes_with_the_owner(guests, end):
    before = guests["b"] and guests.memory("b")
    guests["a"].start("clock", f"{EXPORT} --pattern --rate 5", "^exported")
    guests.grant("--name", "clock")
    guests["b"].start("follow", "muntin-guest import clock --follow 'echo update'")
    guests["b"].wait_for_line("follow", "^update")
    if end == "program":
        guests["a"].kill("clock")
    else:
        guests.restart("a", end)
    guests["b"].wait_for_line("follow", "took it back, or is gone")
    wait_for(lambda: guests.memory("b") == before, lambda: f"{guests.memory('b')}, before {before}")
    wait_for(lambda: not guests.exports(), lambda: f"{guests.exports()}")
