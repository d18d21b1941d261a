"""Vulkan for guests: a card with a newer renderer than the machine's own, and work whose results are known."""

import re
import subprocess

from PIL import Image

from .environment import CACHE, MUNTIN, PROJECT
from .inside import Inside, disk_with
from .machines import Vm, generic_gpu
from .muntin import QUIET, StandaloneGPU, muntin
from .processes import Process, children_of
from .waiting import wait_for

WITH_RENDERER = CACHE / "renderer" / "with-renderer"


def build(folder):
    """The program Tests/Guests/programs/vulkan_work.c."""
    program = folder / "vulkan_work"
    source = PROJECT / "Tests/Guests/programs/vulkan_work.c"
    subprocess.run(["gcc", "-std=gnu17", "-O2", "-Wall", "-Wextra", "-Werror", "-o", program, source, "-lvulkan"], check=True)
    return program


class VulkanCard(StandaloneGPU):
    """`muntin gpu --venus` with the renderer of Scripts/prepare-renderer."""

    def __init__(self, folder, *arguments, name="vulkan"):
        super().__init__(folder, "--venus", *arguments, name=name, runner=[WITH_RENDERER])

    @property
    def server(self):
        """The render server's process."""
        return next(pid for pid, command in children_of(self.process.pid).items() if "virgl_render_server" in " ".join(command))

    @property
    def contexts(self):
        """The processes that it has made, one for each of the guest's contexts, the oldest first."""
        return sorted(children_of(self.server))


class Shown:
    """A hub, a display, and a Vulkan card that is shown there: `muntin up` starts cards with the machine's own renderer."""

    SIZE = 640, 480

    def __init__(self, folder):
        size = "{}x{}".format(*self.SIZE)
        self._hub = folder / "hub.sock"
        self._picture = folder / "shown.png"
        self._parts = [Process("hub", [MUNTIN, "hub", "--socket-path", self._hub], folder, environment=QUIET)]
        wait_for(self._hub.is_socket, "the hub listens", 10)
        arguments = ["compositor", "--hub", self._hub, "--size", size]
        self._parts.append(Process("compositor", [MUNTIN, *arguments], folder, environment=QUIET))
        self.card = VulkanCard(folder, "--hub", self._hub, "--vm", "vm", "--size", size, name="shown")
        self._parts.append(self.card.process)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for part in reversed(self._parts):
            part.kill()

    def look(self):
        """What the display shows."""
        muntin("screenshot", "--display", "main", self._picture, hub=self._hub)
        with Image.open(self._picture) as picture:
            return picture.convert("RGB")


class VulkanGuest:
    """A guest of a Vulkan card, with the program for work."""

    def __init__(self, folder, card):
        disk = disk_with(build(folder), folder)
        self.machine = Vm(folder, "vulkan-guest", generic_gpu(card.socket), version=11, large=True, extra=disk).boot()
        self.inside = Inside(self.machine)
        self.inside.install("vulkan_work")

    def devices(self):
        """The devices that the guest's Vulkan has, by their names."""
        told = self.machine.shell("vulkaninfo --summary 2>&1", 120, check=False)
        return re.findall(r"deviceName +=? *(.*)", told)

    def work(self, rounds=1, mebibytes=1, seconds=120.0):
        """Does work; microseconds of a round."""
        told = self.machine.shell(f"vulkan_work {rounds} {mebibytes} 2>&1", seconds, check=False)
        match = re.search(r"(?m)^ok (\d+)$", told)
        assert match, told
        return int(match.group(1))

    def start(self, name):
        """Starts work that goes on until it fails or is killed."""
        self.inside.start(name, "vulkan_work hold", r"^ok ", 120)

    def is_working(self, name):
        return self.machine.shell(f"kill -0 $(cat /run/{name}.pid) 2>/dev/null && echo yes", check=False).startswith("yes")
