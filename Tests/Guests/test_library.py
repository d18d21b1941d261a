"""libmuntin in guests: the example programs, unchanged, whose way to the hub is the card of their machine."""

import subprocess
import tempfile
from pathlib import Path

import pytest
from PIL import Image

from harness.environment import PROJECT
from harness.inside import Inside, initrd_with
from harness.machines import Vm, generic_gpu
from harness.muntin import Screen, Up
from harness.pictures import difference
from harness.waiting import wait_for

SIZE = 160, 120


def build_examples(folder):
    """The examples with the library in them, as programs that need nothing of the guest."""
    subprocess.run(["make", "-s", "-C", PROJECT / "Library", f"O={folder}", "CFLAGS=-O2"], check=True)
    for name in ("producer", "consumer"):
        subprocess.run(
            ["gcc", "-O2", "-static", "-I", PROJECT / "Library/include", "-o", folder / name,
             PROJECT / f"Examples/{name}.c", folder / "libmuntin.a", "-lpng16", "-lz", "-lm"],
            check=True,
        )  # fmt: skip
    return [folder / "producer", folder / "consumer"]


def drawn(generation):
    """What Examples/producer.c shows: a pattern, and a square that moves."""
    picture = Image.new("RGB", SIZE)
    for y in range(SIZE[1]):
        for x in range(SIZE[0]):
            picture.putpixel((x, y), (x & 255, y & 255, (x ^ y) & 255))
    return picture


class Guests:
    def __init__(self, folder):
        self.folder = Path(folder)
        places = {name: [Screen(x, 0, 64, 64)] for name, x in (("a", 0), ("b", 64))}
        channel = {"channel": "hub"}
        self.up = Up(folder, places, size=(128, 64), limits={"a": channel, "b": channel}).wait_until_ready()
        initrd = initrd_with(build_examples(self.folder), self.folder)
        self.a, self.b = (self._boot(name, initrd) for name in ("a", "b"))

    def _boot(self, name, initrd):
        vm = Vm(self.folder, name, generic_gpu(self.up.socket(name)), version=11, initrd=initrd, memory=192)
        return Inside(vm.boot())

    def memory(self, name):
        (ledger,) = (vm["ledger"] for vm in self.up.list("vms") if vm["name"] == name)
        return ledger["host_memory"]["used"], ledger["imported"]["used"]

    def clean(self):
        for inside in self.a, self.b:
            inside.kill_all()
        wait_for(lambda: not self.offers(), lambda: f"nothing is offered: {self.offers()}")

    def offers(self):
        return [buffer for buffer in self.up.list("buffers") if buffer["name"]]

    def kill(self):
        for inside in self.a, self.b:
            inside.vm.kill()
        self.up.stop()
        self.up.process.kill()


@pytest.fixture(scope="module")
def started(built):
    with tempfile.TemporaryDirectory(prefix="muntin-") as folder:
        guests = Guests(folder)
        try:
            yield guests
        finally:
            guests.kill()


@pytest.fixture
def guests(started):
    yield started
    started.clean()


def test_one_guests_producer_is_seen_by_the_others_consumer(guests):
    guests.a.start("producer", "producer --buffer front --size 160x120 --rate 4 --grant vm:b", "^granted")
    guests.b.start("consumer", "consumer --owner vm:a --buffer front --output /run/frame --count 4")
    guests.b.wait_for_line("consumer", "^frame")
    wait_for(lambda: len(guests.b.log("consumer").splitlines()) >= 6, guests.b.logs)
    print(guests.b.log("consumer"))
    print(guests.a.log("producer"))
