"""What one guest shows on its screen, another one sees: `muntin-guest` with VM:DISPLAY, in unmodified Linux guests.

Three guests serve all tests of this file: a and b have channels to the hub, and a may share its display."""

import json

import pytest

from harness.environment import MUNTIN_GUEST
from harness.inside import Inside, initrd_with
from harness.machines import generic_gpu
from harness.muntin import Screen
from harness.pictures import difference, painted, with_rectangle
from harness.sharing import muntin_guest, said, sharing
from harness.waiting import wait_for

SIZE = 320, 200
BLACK = painted(SIZE, 0).point(lambda _: 0)


@pytest.fixture(scope="module")
def started(built):
    with sharing(muntin_guest(), settings={"a": {"share_displays": True}}) as guests:
        yield guests


def paint(guests, *commands):
    """Draws on a's screen, by a program that keeps it."""
    a = guests["a"]
    if "paint" not in a.running:
        a.start("paint", "paint", "^ok paint")
        a.ask("paint", "use 0", "^ok")
    for command in commands:
        a.ask("paint", command, "^ok")


def screen(guests):
    """What b sees."""
    guests["b"].vm.shell("muntin-guest import a:0 --png /run/screen.png")
    return guests["b"].picture("/run/screen.png")


def wait_for_screen(guests, expected):
    seen = []

    def same():
        seen[:] = [difference(screen(guests), expected)]
        return seen[0] is None

    wait_for(same, lambda: seen[0], 15)


def screens(inside):
    return [entry for entry in json.loads(inside.vm.shell("muntin-guest list --json")) if "display" in entry]


def test_a_granted_screen_is_seen_to_the_last_bit(guests):
    paint(guests, "fill 3")
    guests.grant("--display", 0)
    (entry,) = screens(guests["b"])
    assert (entry["owner"], entry["display"], entry["size"], entry["state"]) == ("vm:a", 0, "320x200", "shown")
    (grant,) = guests.up.list("grants")
    assert (grant["display"], grant["buffer"], grant["access"]) == (0, None, "read")
    assert difference(screen(guests), painted(SIZE, 3)) is None
    paint(guests, "fill 4")
    wait_for_screen(guests, painted(SIZE, 4))
    guests.up.wait_for_picture("a", painted(SIZE, 4))


def test_a_guests_screen_shows_another_guests_screen_live(guests):
    paint(guests, "fill 5")
    guests.grant("--display", 0)
    guests["b"].start("show", "muntin-guest show a:0 --kms")
    guests.up.wait_for_picture("b", painted(SIZE, 5))
    for seed in (6, 7):
        paint(guests, f"fill {seed}")
        guests.up.wait_for_picture("b", painted(SIZE, seed))


def test_flips_between_framebuffers_are_seen(guests):
    paint(guests, "fill 1")
    guests.grant("--display", 0)
    b = guests["b"]
    b.start("follow", "muntin-guest import a:0 --png /run/now.png --follow 'echo $MUNTIN_GENERATION $MUNTIN_DAMAGE'")
    b.wait_for_line("follow", "^1 0 0 320 200$")
    paint(guests, "flip 10 6")  # the last one shows 10
    wait_for(lambda: difference(b.picture("/run/now.png"), painted(SIZE, 10)) is None, b.logs, 20)


def test_a_revoked_screen_is_seen_no_more_and_its_owner_goes_on(guests):
    paint(guests, "fill 1")
    grant = guests.grant("--display", 0)
    b = guests["b"]
    before = guests.memory("b")
    b.start("follow", "muntin-guest import a:0 --follow 'echo update'")
    b.wait_for_line("follow", "^update")
    assert guests.memory("b")[0] > before[0]
    guests.up.ask("revoke", grant)
    b.wait_for_line("follow", "revoked")
    assert "no screen a:0 that this VM may see" in said(b, "muntin-guest import a:0 --png /run/late.png")
    assert screens(b) == []
    wait_for(lambda: guests.memory("b") == before, lambda: f"{guests.memory('b')}, before {before}")
    paint(guests, "fill 2")
    guests.up.wait_for_picture("a", painted(SIZE, 2))


def test_without_a_grant_a_screen_is_as_one_that_does_not_exist(guests):
    paint(guests, "fill 1")
    words = set()
    for name in ("a:0", "a:1", "c:0", "nobody:0"):
        text = said(guests["b"], f"muntin-guest import {name} --png /run/late.png")
        vm, number = name.split(":")
        words.add(text.replace(name, "VM:N").replace(f"vm:{vm}", "vm:VM").replace(f"--display {number}", "--display N"))
    assert len(words) == 1 and "no screen VM:N" in words.pop()


@pytest.mark.parametrize("end", ["reset", "kill"])
def test_a_machine_that_ends_is_black_and_is_seen_again_when_it_is_back(guests, end):
    paint(guests, "fill 1")
    guests.grant("--display", 0)
    b = guests["b"]
    b.start("show", "muntin-guest show a:0 --kms")
    guests.up.wait_for_picture("b", painted(SIZE, 1))
    if end == "kill":
        guests["a"].vm.kill()
        guests.up.wait_for_picture("b", BLACK)
    guests.restart("a", end)
    paint(guests, "fill 9")
    guests.up.wait_for_picture("b", painted(SIZE, 9))


def test_death_of_the_owners_card_or_of_the_program_that_looks_is_survived(guests):
    paint(guests, "fill 1")
    guests.grant("--display", 0)
    b = guests["b"]
    before = guests.memory("b")
    b.start("follow", "muntin-guest import a:0 --png /run/now.png --follow 'echo update'")
    b.wait_for_line("follow", "^update")
    old = guests.up.kill_part("gpu", "a")
    guests.up.wait_for_new_part("gpu", "a", instead_of=old)
    wait_for(lambda: difference(b.picture("/run/now.png"), BLACK) is None, b.logs)
    b.kill("follow")
    wait_for(lambda: guests.memory("b") == before, lambda: f"{guests.memory('b')}, before {before}")
    guests.restart("a", "kill")
    paint(guests, "fill 2")
    wait_for_screen(guests, painted(SIZE, 2))


def test_a_screen_is_seen_again_when_the_hub_is_back(guests):
    paint(guests, "fill 1")
    guests.grant("--display", 0)
    b = guests["b"]
    b.start("show", "muntin-guest show a:0 --kms")
    guests.up.wait_for_picture("b", painted(SIZE, 1))
    guests.restart_hub()
    guests.up.wait_until_ready()
    guests.grant("--display", 0)
    guests.up.wait_for_picture("b", painted(SIZE, 1))
    paint(guests, "fill 8")
    guests.up.wait_for_picture("b", painted(SIZE, 8))


def test_nobody_waits_for_a_guest_that_does_not_read(guests):
    paint(guests, "fill 1")

    def flips():
        """Milliseconds of 30 page flips."""
        return min(int(guests["a"].ask("paint", "flip 1 30", r"^ok (\d+)", 60).group(1)) for _ in range(3))

    alone = flips()
    guests.grant("--display", 0)
    b = guests["b"]
    b.start("follow", "muntin-guest import a:0 --follow 'echo update; sleep 600'")
    b.wait_for_line("follow", "^update")
    watched = flips()
    assert watched < 1.5 * alone + 100, f"{alone} ms alone, {watched} ms while b does not read"


def test_a_guest_shares_its_display_where_the_configuration_says_so(guests):
    paint(guests, "fill 8")
    assert "b may see display 0" in guests["a"].vm.shell("muntin-guest share-display 0 b")
    assert difference(screen(guests), painted(SIZE, 8)) is None
    guests["a"].vm.shell("muntin-guest share-display 0 b --stop")
    assert "no screen a:0" in said(guests["b"], "muntin-guest import a:0 --png /run/late.png")
    assert "share_displays" in said(guests["b"], "muntin-guest share-display 0 a")
    assert guests.up.list("grants") == []


@pytest.fixture
def pair(up, machines, folder):
    """A guest whose pictures are in its own pages, with a kernel that flushes only what a program marked dirty, and one that may
    see its screen; the display, the owner's painter, and the viewer."""
    places = {"owner": [Screen(0, 0, *SIZE)], "viewer": [Screen(320, 0, *SIZE)]}
    grant = {"from": "vm:owner", "to": "vm:viewer", "display": 0}
    display = up(places, size=(640, 200), limits={"viewer": {"channel": "hub"}}, grants=[grant])
    owner = machines("owner", generic_gpu(display.socket("owner")), version=11, older=True).boot()
    initrd = initrd_with([MUNTIN_GUEST], folder)
    viewer = machines("viewer", generic_gpu(display.socket("viewer")), version=11, initrd=initrd, memory=256).boot()
    return display, owner.painter(), Inside(viewer)


def ways(display):
    return {buffer["way"] for buffer in display.list("buffers") if buffer["owner"] == "owner"}


def test_pages_of_a_guest_are_copied_while_somebody_looks_and_only_what_has_changed(pair):
    display, painter, viewer = pair
    painter.fill(1)
    expected = painted(SIZE, 1)
    display.wait_for_picture("owner", expected)
    assert ways(display) and "copy" not in ways(display)
    viewer.start("follow", "muntin-guest import owner:0 --png /run/now.png --follow 'echo $MUNTIN_DAMAGE'")
    viewer.wait_for_line("follow", "^0 0 320 200$")
    wait_for(lambda: "copy" in ways(display), lambda: f"{ways(display)}")
    for place in [(100, 50, 64, 64), (0, 0, 1, 1), (301, 7, 3, 190)]:
        lines = len(viewer.log("follow").splitlines())
        painter.rectangle(*place, (10, 200, 30))
        expected = with_rectangle(expected, *place, (10, 200, 30))
        viewer.wait_for_line("follow", f"^{' '.join(map(str, place))}$", after=lines)
        assert difference(viewer.picture("/run/now.png"), expected) is None
        display.wait_for_picture("owner", expected)
    viewer.kill("follow")
    wait_for(lambda: "copy" not in ways(display), lambda: f"{ways(display)}")
    display.wait_for_picture("owner", expected)
