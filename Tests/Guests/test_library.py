"""libmuntin in guests: the example programs, unchanged, whose way to the hub is the card of their machine."""

import subprocess

import pytest
from PIL import Image

from harness.environment import PROJECT
from harness.pictures import difference, with_rectangle
from harness.sharing import sharing
from harness.waiting import wait_for

WIDTH, HEIGHT, SQUARE = 160, 120, 32
PRODUCER = f"producer --buffer front --size {WIDTH}x{HEIGHT} --rate 10"
CONSUMER = "consumer --owner vm:a --buffer front --output /run/frame"


def build_examples(folder):
    """The examples with the library in them, as programs that need nothing of the guest."""
    subprocess.run(["make", "-s", "-C", PROJECT / "Library", f"O={folder}", "CFLAGS=-O2"], check=True)
    for name in ("producer", "consumer"):
        subprocess.run(
            ["gcc", "-O2", "-static", "-I", PROJECT / "Library/include", "-o", folder / name,
             PROJECT / f"Examples/{name}.c", folder / "libmuntin.a", "-lpng16", "-lz", "-lm"],
            check=True,
        )  # fmt: skip
    subprocess.run(
        ["gcc", "-O2", "-Wall", "-static", "-I", PROJECT / "Library/include", "-o", folder / "fenced_picture",
         PROJECT / "Tests/Guests/programs/fenced_picture.c", folder / "libmuntin.a"],
        check=True,
    )  # fmt: skip
    return [folder / "producer", folder / "consumer", folder / "fenced_picture"]


def drawn(generation):
    """What Examples/producer.c shows: a pattern, and a square that moves over it."""
    pattern = bytes(part for y in range(HEIGHT) for x in range(WIDTH) for part in (x & 255, y & 255, (x ^ y) & 255))
    x, y = generation * 7 % (WIDTH - SQUARE + 1), generation * 5 % (HEIGHT - SQUARE + 1)
    picture = Image.frombytes("RGB", (WIDTH, HEIGHT), pattern)
    return with_rectangle(picture, x, y, SQUARE, SQUARE, (255, 255, generation & 255))


@pytest.fixture(scope="module")
def started(built):
    with sharing(build_examples, memory=192) as guests:
        yield guests


def consume(guests, count, more=""):
    """The generations of so many frames that b's consumer has written, each of them a whole one."""
    b = guests["b"]
    b.start("consumer", f"{CONSUMER} --count {count} {more}")
    frames = [b.wait_for_line("consumer", r"^frame (\d+)", after=2 + index).group(1) for index in range(count)]
    for frame in frames:
        assert difference(b.picture(f"/run/frame-{frame}.png"), drawn(int(frame))) is None
    return [int(frame) for frame in frames]


@pytest.mark.parametrize("address", ["", "--hub drm:", "--hub drm:/dev/dri/renderD128"])
def test_one_guests_producer_is_seen_by_the_others_consumer_to_the_last_bit(guests, address):
    guests["a"].start("producer", f"{PRODUCER} {address} --grant vm:b --property lens=wide", "^granted")
    generations = consume(guests, 4, address)
    assert generations == sorted(set(generations))
    assert "named front lens=wide" in guests["b"].log("consumer")


def test_memory_goes_when_the_programs_go(guests):
    before = guests["a"] and guests.memory("a"), guests["b"] and guests.memory("b")
    guests["a"].start("producer", f"{PRODUCER} --grant vm:b", "^granted")
    consume(guests, 2)
    guests["b"].kill("consumer")
    guests["b"].start("consumer", CONSUMER)
    guests["b"].wait_for_line("consumer", "^frame")
    guests["a"].kill("producer")
    guests["b"].wait_for_line("consumer", "^retired$")
    wait_for(lambda: (guests.memory("a"), guests.memory("b")) == before, lambda: f"{guests.memory('a')}, {guests.memory('b')}: {before}")


def test_a_right_that_is_revoked_ends_the_lease(guests):
    guests["a"].start("producer", PRODUCER, "^offered")
    grant = guests.grant("--name", "front")
    guests["b"].start("consumer", CONSUMER)
    guests["b"].wait_for_line("consumer", "^frame")
    guests.up.ask("revoke", grant)
    guests["b"].wait_for_line("consumer", "^revoked$")


def test_a_hub_that_was_restarted_is_told_all_again(guests):
    guests["a"].start("producer", f"{PRODUCER} --grant vm:b", "^granted")
    guests["b"].start("consumer", f"{CONSUMER} --count 100000")
    guests["b"].wait_for_line("consumer", "^frame")
    contexts = lambda: [guests.ledger(name)["contexts"]["used"] for name in "ab"]
    before_it = contexts()
    for _ in range(3):
        guests.restart_hub()
        for name, program in (("a", "producer"), ("b", "consumer")):
            guests[name].wait_for_line(program, "^disconnected")
        before = len(guests["b"].log("consumer").splitlines())
        frame = guests["b"].wait_for_line("consumer", r"^frame (\d+)", after=before).group(1)
        assert difference(guests["b"].picture(f"/run/frame-{frame}.png"), drawn(int(frame))) is None
    wait_for(lambda: contexts() == before_it, lambda: f"contexts {contexts()}, before {before_it}")


def test_what_a_fence_is_about_is_said_when_that_is_ready(guests):
    words = guests["a"].vm.shell("fenced_picture", 60)
    expected = ["update waits", "woke in time", "update came", "next waits", "woke in time", "next came"]
    assert words.splitlines() == expected


def test_a_guest_without_a_channel_says_so(guests):
    said = guests["c"].vm.shell("producer --hub drm: --size 64x64 || echo status $?", check=False)
    assert "producer: shared memory: No such file or directory" in said and "status 1" in said
