"""A guest's Wayland client is a window of the host's compositor: unmodified kernels, QEMU 11's generic device."""

import subprocess
import tempfile
from pathlib import Path

import pytest

from harness.environment import PROJECT
from harness.inside import Inside, initrd_with
from harness.machines import Vm, generic_gpu
from harness.muntin import Screen, Up
from harness.pictures import painted
from harness.waiting import wait_for
from harness.weston import Weston

SIZE = 320, 200
ORANGE, BLUE = (255, 128, 16), (32, 64, 224)


def word(colour):
    return "{:02x}{:02x}{:02x}".format(*colour)


@pytest.fixture(scope="module")
def program():
    """`wayland_window`, which speaks the channel itself: no proxy is packaged for Debian."""
    with tempfile.TemporaryDirectory(prefix="muntin-program-") as folder:
        requests = PROJECT / "Sources/CDRM"
        sources = [PROJECT / "Tests/Guests/programs/wayland_window.c", requests / "requests.c"]
        compiler = ["cc", "-std=gnu17", "-O2", "-Wall", "-Wextra", "-Werror", "-static", f"-I{requests}/include"]
        subprocess.run([*compiler, "-o", f"{folder}/wayland_window", *sources], check=True)
        yield Path(folder) / "wayland_window"


class Machine:
    """A guest with a display of ours, whose programs may have windows of a Weston on this host, too."""

    def __init__(self, folder, program):
        self.folder = Path(folder)
        self.weston = Weston(folder)
        self.up = Up(folder, {"a": [Screen(0, 0, *SIZE)]}, size=SIZE, limits={"a": {"wayland": self.weston.socket}})
        self.up.wait_until_ready()
        initrd = initrd_with([program], self.folder)
        self.vm = Vm(folder, "a", generic_gpu(self.up.socket("a")), version=11, initrd=initrd, memory=256).boot()
        self.inside = Inside(self.vm)

    def window(self, name, width, height, colour):
        self.inside.start(name, f"wayland_window {width} {height} {word(colour)}", f"^shown {word(colour)}")

    def wait_for_pixels(self, colour, count):
        seen = []
        wait_for(lambda: seen.append(self.weston.pixels(colour)) or seen[-1] == count, lambda: f"{count}, not {seen}", 20, 0.3)

    def memory(self):
        """What the guest has of the host's memory."""
        (vm,) = self.up.list("vms")
        return vm["ledger"]["host_memory"]["used"]

    def kill(self):
        self.vm.kill()
        self.up.stop()
        self.up.process.kill()
        self.weston.kill()


@pytest.fixture
def machine(folder, built, program):
    machine = Machine(folder, program)
    yield machine
    machine.kill()


def test_a_guests_window_is_on_the_hosts_desktop_and_its_own_screen_goes_on(machine):
    before = machine.memory()
    machine.window("first", 200, 150, ORANGE)
    machine.wait_for_pixels(ORANGE, 200 * 150)
    assert machine.memory() >= before + 200 * 150 * 4
    machine.inside.ask("first", word(BLUE), f"^shown {word(BLUE)}")
    machine.wait_for_pixels(BLUE, 200 * 150)
    assert machine.weston.pixels(ORANGE) == 0
    painter = machine.vm.painter()
    painter.fill(3)
    machine.up.wait_for_picture("a", painted(SIZE, 3))
    painter.quit()
    machine.inside.kill("first")
    machine.wait_for_pixels(BLUE, 0)
    wait_for(lambda: machine.memory() <= before + SIZE[0] * SIZE[1] * 4, lambda: f"{machine.memory()} bytes are kept")


def test_when_the_compositor_dies_its_clients_are_told_and_the_next_ones_reach_the_next_compositor(machine):
    machine.window("first", 64, 48, ORANGE)
    machine.weston.kill()
    machine.inside.wait_for_line("first", "^over$")
    machine.inside.start("nobody", "wayland_window 64 48 000000", "^over$")
    machine.weston.start()
    machine.window("second", 64, 48, BLUE)
    machine.wait_for_pixels(BLUE, 64 * 48)
    machine.vm.qmp("system_reset")
    machine.wait_for_pixels(BLUE, 0)
    machine.vm.console.wait_until_ready()
    machine.inside = Inside(machine.vm)
    machine.window("third", 64, 48, ORANGE)
    machine.wait_for_pixels(ORANGE, 64 * 48)
