"""What one guest draws, another one has: `muntin-guest` in unmodified Linux guests with QEMU 11's generic device.

Three guests serve all tests of this file: a and b have channels to the hub, c has none."""

import base64
import functools
import hashlib
import subprocess
from pathlib import Path

import pytest

from harness.environment import PROJECT
from harness.pictures import difference, painted
from harness.sharing import listed, muntin_guest, number_of, said, sharing
from harness.waiting import wait_for

SIZE = 320, 200


def fenced_message(folder):
    """The program that sends a message behind a fence."""
    made = Path(folder) / "fenced_message"
    sources = [PROJECT / "Tests/Guests/programs/fenced_message.c", *(PROJECT / "Sources/CDRM").glob("*.c")]
    compiler = ["cc", "-std=gnu17", "-O2", "-Wall", "-Wextra", "-Werror", "-static", "-o", made, *sources]
    subprocess.run([*compiler, f"-I{PROJECT}/Sources/CDRM/include", f"-I{PROJECT}/Sources/CDRM"], check=True)
    return made


def keeps_mapping(folder):
    """The program that keeps what was taken from it mapped."""
    made = Path(folder) / "keeps_mapping"
    subprocess.run(["make", "-s", "-C", PROJECT / "Library", f"O={folder}/library", "CFLAGS=-O2"], check=True)
    source = PROJECT / "Tests/Guests/programs/keeps_mapping.c"
    compiler = ["cc", "-std=gnu17", "-O2", "-Wall", "-Wextra", "-Werror", "-static", "-o", made, source]
    subprocess.run([*compiler, f"-I{PROJECT}/Library/include", f"{folder}/library/libmuntin.a"], check=True)
    return made


@pytest.fixture(scope="module")
def started(built):
    with sharing(muntin_guest(fenced_message, keeps_mapping)) as guests:
        yield guests


def export(guests, name="clock", more="--pattern --frames 3"):
    """Starts an export in a; its id."""
    guests["a"].start(name, f"muntin-guest export {name} --size 320x200 {more}")
    return guests["a"].wait_for_line(name, f"^exported {name} 320x200 XR24 as (.*)").group(1)


@functools.cache
def numbers():
    """The numbers of the frames, by the digests of their pixels as they are in memory."""
    found = {}
    for number in range(256):
        rgb = painted(SIZE, number).tobytes()
        pixels = bytearray(b"\xff" * (len(rgb) // 3 * 4))
        pixels[0::4], pixels[1::4], pixels[2::4] = rgb[2::3], rgb[1::3], rgb[0::3]
        found[hashlib.md5(pixels).hexdigest()] = number
    return found


class Frame:
    """What a follower in a guest says of a picture: its generation, when it came, and its digest; which frame it is, or None
    when it is no whole one. It says it with few processes: an owner with one image waits a quarter of a second for readers."""

    SAY = "read now rest </proc/uptime; echo frame $MUNTIN_GENERATION $now $(md5sum </run/now)"

    def __init__(self, line):
        _, generation, time, digest, *_ = line.split()
        self.generation, self.time = int(generation), float(time)
        self.number = numbers().get(digest)

    @property
    def is_whole(self):
        return self.number is not None


def follow(inside, options, count):
    """Follows the clock until so many frames have come; these."""
    inside.start("follow", f"muntin-guest import clock {options} --raw /run/now --follow '{Frame.SAY}'")
    lines = lambda: [line for line in inside.log("follow").splitlines() if line.startswith("frame ")]
    wait_for(lambda: len(lines()) >= count or "drawn over" in inside.log("follow"), inside.logs, 60)
    assert "drawn over" not in inside.log("follow"), inside.log("follow")
    return [Frame(line) for line in lines()[:count]]


def check(frames):
    """Whether each is whole and they rise; frames a second that their owner drew meanwhile."""
    assert all(frame.is_whole for frame in frames), [(frame.number, frame.is_whole) for frame in frames]
    generations = [frame.generation for frame in frames]
    assert generations == sorted(set(generations)), generations
    steps = [(after.number - before.number) % 256 for before, after in zip(frames, frames[1:])]
    assert all(0 < step < 128 for step in steps), f"none is stale: {steps}"
    return sum(steps) / (frames[-1].time - frames[0].time)


def test_a_granted_picture_is_imported_to_the_last_bit(guests):
    identifier = export(guests, more="--pattern --frames 3 --property kind=pattern")
    guests.grant("--name", "clock")
    b = guests["b"]
    (buffer,) = listed(b)
    assert (buffer["id"], buffer["name"], buffer["size"], buffer["format"]) == (identifier, "clock", "320x200", "XR24")
    assert (buffer["access"], buffer["properties"]) == ("read", {"kind": "pattern"})
    wait_for(lambda: listed(b)[0]["generation"] == 3, "all frames are drawn")
    for name in ("clock", "clock --owner a", identifier):
        b.vm.shell(f"muntin-guest import {name} --png /run/clock.png")
        assert difference(b.picture("/run/clock.png"), painted(SIZE, 3)) is None
    b.vm.shell("muntin-guest import clock --raw /run/clock.raw")
    pixels = base64.b64decode(b.vm.shell("base64 /run/clock.raw"))
    expected = painted(SIZE, 3).tobytes()
    assert (pixels[0::4], pixels[1::4], pixels[2::4]) == (expected[2::3], expected[1::3], expected[0::3])


def test_without_a_grant_a_buffer_is_as_one_that_does_not_exist(guests):
    identifier = export(guests)
    b = guests["b"]
    assert listed(b) == []
    for there, nowhere in [
        ("clock", "other"),
        ("clock --owner a", "other --owner a"),
        (identifier, "00000000-0000-4000-8000-000000000000"),
    ]:
        refusal = said(b, f"muntin-guest import {there} --raw /run/stolen")
        assert "no buffer" in refusal and "muntin grant" in refusal
        other = said(b, f"muntin-guest import {nowhere} --raw /run/stolen")
        assert refusal.replace(there.split()[0], "X") == other.replace(nowhere.split()[0], "X")
    assert b.vm.shell("ls /run").find("stolen") < 0


def test_every_update_that_is_followed_is_one_whole_frame(guests):
    export(guests, more="--pattern --rate 4")
    guests.grant("--name", "clock")
    b = guests["b"]
    keep = "cp /run/now.png /run/$MUNTIN_GENERATION.png; echo $MUNTIN_GENERATION $MUNTIN_DAMAGE"
    b.start("follow", f"muntin-guest import clock --png /run/now.png --follow '{keep}'")
    wait_for(lambda: len(b.log("follow").splitlines()) >= 6, lambda: f"six updates:\n{b.logs()}", 30)
    updates = [line.split() for line in b.log("follow").splitlines()[:6]]
    generations = [int(update[0]) for update in updates]
    assert generations == sorted(set(generations))
    assert all(update[1:] == ["0", "0", "320", "200"] for update in updates), updates
    frames = []
    for generation in generations:
        picture = b.picture(f"/run/{generation}.png")
        frames.append(number_of(picture))
        assert difference(picture, painted(SIZE, frames[-1])) is None
    # Who asks for a buffer gets a generation of its own, of the same frame.
    assert frames == sorted(frames) and len(set(frames)) >= 5


@pytest.mark.parametrize("access, images", [("read", 1), ("read", 2), ("read", 3), ("read-write", 3)])
def test_a_slow_reader_holds_whole_frames_and_their_owner_does_not_wait(guests, access, images):
    export(guests, more=f"--pattern --rate 30 --images {images} --writable")
    guests.grant("--name", "clock", "--access", access)
    rate = check(follow(guests["b"], f"--access {access} --hold 0.4", 8))
    print(f"{access}, {images} images, each frame held for 0.4 s: the owner draws {rate:.1f} frames a second of 30")
    assert rate > 12, "who waited for the reader would draw 4 at most"


@pytest.mark.parametrize("images, hold", [(1, 0.05), (2, 0.4)])
def test_an_owner_that_has_no_image_left_waits_and_draws_over_none(guests, images, hold):
    export(guests, more=f"--pattern --rate 30 --images {images} --writable")
    guests.grant("--name", "clock", "--access", "read-write")
    rate = check(follow(guests["b"], f"--access read-write --hold {hold}", 8))
    print(f"read-write, {images} images, each frame held for {hold} s: the owner draws {rate:.1f} frames a second of 30")


def test_a_file_that_changes_is_an_update_of_what_differs(guests):
    a, b = guests["a"], guests["b"]
    a.vm.shell("head -c 256000 /dev/zero >/run/picture")
    export(guests, more="--raw /run/picture --rate 20")
    guests.grant("--name", "clock")
    b.start("follow", "muntin-guest import clock --raw /run/now --follow 'echo $MUNTIN_DAMAGE; md5sum </run/now'")
    b.wait_for_line("follow", "^0 0 320 200$")
    a.vm.shell("printf AAAABBBB | dd of=/run/picture bs=4 seek=$((320 * 7 + 5)) conv=notrunc 2>/dev/null")
    b.wait_for_line("follow", "^5 7 2 1$")
    wait_for(lambda: b.log("follow").splitlines()[-1] == a.vm.shell("md5sum </run/picture").strip(), b.logs)


@pytest.mark.parametrize(
    "offer, grant, access, form",
    [("--writable", ["--access", "read-write"], "read-write", None), ("", ["--form", "shared"], "read", "shared")],
)
def test_a_buffer_is_shared_without_a_copy(guests, offer, grant, access, form):
    export(guests, more=f"--pattern --frames 1 {offer}")
    b = guests["b"]
    guests.grant("--name", "clock", *grant)
    assert [grant["form"] for grant in guests.up.list("grants")] == [form]
    before = guests.memory("b")
    b.start("hold", f"muntin-guest import clock --access {access} --png /run/clock.png --follow 'echo written; sleep 5'")
    b.wait_for_line("hold", "^written")
    assert difference(b.picture("/run/clock.png"), painted(SIZE, 1)) is None
    wait_for(lambda: guests.memory("b")[1] > before[1] or guests.memory("b")[0] == before[0], lambda: f"{guests.memory('b')}")
    assert guests.memory("b")[0] == before[0], "no memory of its own"


def wait_for_frames(guests, count):
    """Waits until b's screen has shown so many different frames to the last bit."""
    frames = set()

    def move():
        picture = guests.up.look("b")
        if difference(picture, painted(SIZE, number_of(picture))) is None:
            frames.add(number_of(picture))
        return len(frames) >= count

    wait_for(move, lambda: f"frames {frames}:\n{guests['b'].logs()}", 30)


@pytest.mark.parametrize("access", ["read", "read-write"])
def test_a_guests_screen_shows_what_another_guest_draws(guests, access):
    export(guests, more="--pattern --frames 2 --writable")
    guests.grant("--name", "clock", "--access", access)
    b = guests["b"]
    b.start("show", f"muntin-guest show clock --kms --access {access}")
    guests.up.wait_for_picture("b", painted(SIZE, 2))
    guests["a"].kill("clock")
    b.wait_for_line("show", "took it back, or is gone")
    export(guests, more="--pattern --rate 5")
    guests.grant("--name", "clock")
    b.kill("show")
    b.start("show", "muntin-guest show clock --kms")
    wait_for_frames(guests, 5)


def test_a_revoked_buffer_is_taken_away_and_its_owner_goes_on(guests):
    export(guests, more="--pattern --rate 5")
    grant = guests.grant("--name", "clock")
    a, b = guests["a"], guests["b"]
    before = guests.memory("b")
    b.start("follow", "muntin-guest import clock --follow 'echo update'")
    b.wait_for_line("follow", "^update")
    guests.up.ask("revoke", grant)
    b.wait_for_line("follow", "the right to use the buffer was revoked")
    assert "no buffer" in said(b, "muntin-guest import clock --raw /run/late")
    wait_for(lambda: guests.memory("b") == before, lambda: f"{guests.memory('b')}, before {before}")
    a.vm.shell("kill -0 $(cat /run/clock.pid)")
    guests.grant("--name", "clock")
    b.vm.shell("muntin-guest import clock --png /run/again.png")
    picture = b.picture("/run/again.png")
    assert difference(picture, painted(SIZE, number_of(picture))) is None


@pytest.mark.parametrize("access", ["read", "read-write"])
def test_who_keeps_a_revoked_buffer_mapped_reads_zeros_and_writes_nothing(guests, access):
    export(guests, more="--pattern --rate 5 --writable")
    grant = guests.grant("--name", "clock", "--access", access)
    b = guests["b"]
    b.start("keep", f"keeps_mapping a clock {access}")
    assert int(b.wait_for_line("keep", "^pixel (.*)").group(1), 16) != 0
    guests.up.ask("revoke", grant)
    b.wait_for_line("keep", "^revoked, 0 bytes$")
    b.wait_for_line("keep", "^later, 0 bytes$")
    guests.grant("--name", "clock")
    b.vm.shell("muntin-guest import clock --png /run/again.png")
    picture = b.picture("/run/again.png")
    assert difference(picture, painted(SIZE, number_of(picture))) is None


def test_a_user_needs_the_right_to_the_cards_file(guests):
    for name in "ab":
        guests[name].vm.shell("mkdir -p /etc; echo user:x:1000:1000::/tmp:/bin/sh >/etc/passwd; chmod 755 /; chmod 1777 /run")
    as_user = lambda command: f'su user -c "exec muntin-guest {command}"'
    assert "no right to open /dev/dri/renderD128; run as root, or add" in said(guests["a"], as_user("list"))
    assert "/dev/dri/card0; run as root, or add this user to the file's group (video)" in said(guests["a"], as_user("show x --kms"))
    for name in "ab":
        guests[name].vm.shell("chgrp 1000 /dev/dri/*; chmod 660 /dev/dri/*")
    guests["a"].start("clock", as_user("export clock --size 320x200 --pattern --rate 5"), "^exported")
    guests.grant("--name", "clock")
    guests["b"].vm.shell(as_user("import clock --png /run/user.png"))
    guests["b"].start("show", as_user("show clock --kms"))
    wait_for_frames(guests, 2)


def test_death_of_the_owner_program_is_said_and_leaves_no_memory_behind(guests):
    before = guests["a"] and guests.memory("a"), guests["b"] and guests.memory("b")
    export(guests, more="--pattern --rate 5")
    guests.grant("--name", "clock")
    guests["b"].start("follow", "muntin-guest import clock --follow 'echo update'")
    guests["b"].wait_for_line("follow", "^update")
    guests["a"].kill("clock")
    guests["b"].wait_for_line("follow", "took it back, or is gone")
    wait_for(lambda: (guests.memory("a"), guests.memory("b")) == before, lambda: f"{guests.memory('a')}, {guests.memory('b')}: {before}")


def test_death_of_the_importing_program_leaves_no_memory_behind(guests):
    export(guests, more="--pattern --rate 5")
    guests.grant("--name", "clock")
    before = guests["b"] and guests.memory("b")
    guests["b"].start("follow", "muntin-guest import clock --follow 'echo update'")
    guests["b"].wait_for_line("follow", "^update")
    guests["b"].kill("follow")
    wait_for(lambda: guests.memory("b") == before, lambda: f"{guests.memory('b')}, before {before}")
    guests["b"].vm.shell("muntin-guest import clock --png /run/again.png")


def test_a_buffer_is_offered_again_to_a_hub_that_was_restarted(guests):
    identifier = export(guests, more="--pattern --rate 5")
    guests.restart_hub()
    guests["a"].wait_for_line("clock", "waiting for it to come back")
    wait_for(lambda: [buffer["id"] for buffer in guests.exports()] == [identifier], lambda: f"{guests.exports()}", 20)
    guests.grant("--name", "clock")
    guests["b"].vm.shell("muntin-guest import clock --png /run/clock.png")
    picture = guests["b"].picture("/run/clock.png")
    assert difference(picture, painted(SIZE, number_of(picture))) is None


@pytest.mark.parametrize("access", ["read", "read-write"])
def test_who_follows_or_shows_a_buffer_goes_on_when_the_hub_is_back(guests, access):
    export(guests, more="--pattern --rate 5 --writable")
    guests.grant("--name", "clock", "--access", access)
    b = guests["b"]
    before = guests.memory("b")
    b.start("follow", f"muntin-guest import clock --access {access} --follow 'echo update'")
    b.start("show", f"muntin-guest show clock --access {access} --kms")
    wait_for_frames(guests, 3)
    used = guests.memory("b")
    for _ in range(2):
        lines = len(b.log("follow").splitlines())
        guests.restart_hub()
        guests.up.wait_until_ready()
        guests.grant("--name", "clock", "--access", access)
        b.wait_for_line("follow", "^update", after=lines + 1)
        wait_for_frames(guests, 3)
        wait_for(lambda: guests.memory("b") == used, lambda: f"{guests.memory('b')}, before {used}")
    for program in ("follow", "show"):
        assert b.log(program).count("waiting for it to come back") == 2
    b.kill("follow", "show")
    wait_for(lambda: guests.memory("b") == before, lambda: f"{guests.memory('b')}, before {before}")


@pytest.mark.parametrize("end", ["reset", "kill"])
def test_end_of_the_owners_machine_is_said_and_leaves_no_memory_behind(guests, end):
    before = guests["b"] and guests.memory("b")
    export(guests, more="--pattern --rate 5")
    guests.grant("--name", "clock")
    guests["b"].start("follow", "muntin-guest import clock --follow 'echo update'")
    guests["b"].wait_for_line("follow", "^update")
    guests.restart("a", end)
    guests["b"].wait_for_line("follow", "took it back, or is gone")
    wait_for(lambda: guests.memory("b") == before, lambda: f"{guests.memory('b')}, before {before}")
    export(guests, more="--pattern --frames 1")
    guests["b"].vm.shell("muntin-guest import clock --png /run/clock.png")
    assert difference(guests["b"].picture("/run/clock.png"), painted(SIZE, 1)) is None


@pytest.mark.parametrize("access", ["read", "read-write"])
@pytest.mark.parametrize("end", ["reset", "kill"])
def test_end_of_the_importing_machine_leaves_the_owner_alone(guests, end, access):
    export(guests, more="--pattern --rate 5 --writable")
    guests.grant("--name", "clock", "--access", access)
    guests["b"].start("follow", f"muntin-guest import clock --access {access} --follow 'echo update'")
    guests["b"].wait_for_line("follow", "^update")
    guests.restart("b", end)
    wait_for(lambda: [buffer["leases"] for buffer in guests.exports()] == [0], lambda: f"{guests.exports()}")
    assert guests.memory("b")[1] == 0
    guests["b"].vm.shell("muntin-guest import clock --png /run/clock.png")
    picture = guests["b"].picture("/run/clock.png")
    assert difference(picture, painted(SIZE, number_of(picture))) is None


def test_a_message_leaves_the_guest_when_its_fence_has_signalled(guests):
    lines = guests["a"].vm.shell("fenced_message /dev/dri/renderD128").splitlines()
    said = {word: [float(value) for value in values[:1]][0] for word, *values in (line.split() for line in lines)}
    assert (said["before"], said["after"]) == (0, 1), lines
    assert said["signalled"] >= 1400, lines
    assert said["left"] >= said["signalled"] and said["heard"] >= said["left"], lines


def test_a_machine_without_a_channel_is_told_what_the_host_must_do(guests):
    words = said(guests["c"], "muntin-guest list")
    assert "has no channel to a hub" in words and 'channel = "hub"' in words
    assert "no virtio-gpu card" in said(guests["c"], "mv /dev/dri /dev/drj; muntin-guest list; mv /dev/drj /dev/dri; false")
    assert "/dev/null is no virtio-gpu card" in said(guests["c"], "muntin-guest list --card /dev/null")
