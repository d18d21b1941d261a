"""Muntin under test: its commands, and `muntin up` with a configuration made for the test."""

import json
import os
import signal
import socket
import subprocess
from dataclasses import dataclass, field
from pathlib import Path

from PIL import Image

from .environment import MUNTIN
from .pictures import area, difference
from .processes import Process, children_of
from .waiting import TooLong, wait_for

QUIET = {"SWIFT_BACKTRACE": "enable=no"}


def muntin(*arguments, hub=None, check=True, seconds=30.0, pass_fds=()):
    """Runs one of Muntin's commands to its end; returns the finished process with its output."""
    environment = {**os.environ, **QUIET}
    environment.pop("MUNTIN_HUB", None)
    if hub:
        environment["MUNTIN_HUB"] = str(hub)
    finished = subprocess.run(
        [MUNTIN, *map(str, arguments)],
        stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=seconds, env=environment, pass_fds=pass_fds,
    )  # fmt: skip
    assert finished.returncode >= 0, f"muntin {arguments} died of signal {-finished.returncode}:\n{finished.stderr}"
    if check:
        assert finished.returncode == 0, f"muntin {arguments} failed with {finished.returncode}:\n{finished.stderr}"
    return finished


def free_port():
    """A TCP port of the loopback address that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@dataclass
class Screen:
    """One scanout of a machine: its area on a display."""

    x: int
    y: int
    width: int
    height: int
    display: str | None = "main"
    more: dict = field(default_factory=dict)

    @property
    def size(self):
        return self.width, self.height


def toml_value(value):
    if isinstance(value, list):
        return "[" + ", ".join(toml_value(item) for item in value) + "]"
    return json.dumps(value if isinstance(value, (int, float, bool)) else str(value))


def toml(header, values):
    return f"{header}\n" + "".join(f"{key} = {toml_value(value)}\n" for key, value in values.items() if value is not None)


class Up:
    """`muntin up` with displays and machines; ends with the test."""

    def __init__(self, folder, machines, size=(1280, 400), output="headless", display=None, commands=None, limits=None, grants=()):
        self.folder = Path(folder)
        self.hub = self.folder / "hub.sock"
        self.machines = machines
        self.file = self.folder / "up.toml"
        self._display = {"name": "main", "size": f"{size[0]}x{size[1]}", "output": output, **(display or {})}
        self._commands = commands or {}
        self._limits = limits or {}
        self._grants = grants
        self.file.write_text(self._configuration())
        self.process = Process("up", [MUNTIN, "up", self.file], folder, environment=QUIET)

    def _configuration(self):
        text = toml("[hub]", {"socket": self.hub}) + toml("[[display]]", self._display)
        for name, screens in self.machines.items():
            values = {"name": name, "socket": self.socket(name), "command": self._commands.get(name)}
            text += toml("[[vm]]", {**values, **self._limits.get(name, {})})
            for screen in screens:
                values = {"display": screen.display, "x": screen.x, "y": screen.y} if screen.display else {}
                text += toml("[[vm.scanout]]", {**values, "width": screen.width, "height": screen.height, **screen.more})
        return text + "".join(toml("[[grant]]", grant) for grant in self._grants)

    def place(self, **machines):
        """Gives machines other screens, as a user does who edits the file and sends SIGHUP."""
        self.machines = {**self.machines, **machines}
        self.file.write_text(self._configuration())
        self.process.signal(signal.SIGHUP)

    def socket(self, machine):
        return self.folder / f"{machine}.sock"

    def wait_until_ready(self):
        def ready():
            self.process.expect_running()
            displays = self.ask("list", "displays", "--json", check=False)
            return displays.returncode == 0 and json.loads(displays.stdout) and all(map(self._listens, self.machines))

        wait_for(ready, lambda: f"muntin up is ready:\n{self.process.log[-3000:]}", 20)
        return self

    def _listens(self, machine):
        return self.socket(machine).is_socket()

    def ask(self, *arguments, **options):
        return muntin(*arguments, hub=self.hub, **options)

    def list(self, what):
        return json.loads(self.ask("list", what, "--json").stdout)

    def screenshot(self, display=None):
        path = self.folder / "screenshot.png"
        self.ask("screenshot", *(["--display", display] if display else []), path)
        with Image.open(path) as picture:
            return picture.convert("RGB")

    def look(self, machine, scanout=0):
        """What the display shows in the area of a machine's scanout."""
        screen = self.machines[machine][scanout]
        return area(self.screenshot(screen.display), screen.x, screen.y, screen.width, screen.height)

    def wait_for_picture(self, machine, expected, scanout=0, seconds=15.0):
        """Waits until the machine's area is equal to the expected picture, to the last bit."""
        seen = []

        def same():
            seen[:] = [difference(self.look(machine, scanout), expected)]
            return seen[0] is None

        wait_for(same, lambda: seen[0], seconds)

    def part(self, kind, name=None):
        """The pid of one of the processes that `up` started: part("hub"), part("gpu", "left")."""
        for pid, command in children_of(self.process.pid).items():
            is_kind = len(command) > 1 and command[1] == kind and Path(command[0]).name == MUNTIN.name
            if is_kind and (name is None or name in command):
                return pid
        return None

    def wait_for_new_part(self, kind, name=None, instead_of=None):
        """Waits until such a process runs that is not the old one; returns its pid."""

        def other():
            pid = self.part(kind, name)
            return pid if pid != instead_of else None

        return wait_for(other, lambda: f"a new {kind} process:\n{self.process.log[-3000:]}", 15)

    def kill_part(self, kind, name=None):
        """kill -9 of one of the processes; returns the old pid."""
        pid = self.part(kind, name)
        assert pid, f"no {kind} process runs:\n{self.process.log[-3000:]}"
        os.kill(pid, 9)
        return pid

    def stop(self):
        return self.process.stop()


class StandaloneGPU:
    """`muntin gpu` without a hub."""

    def __init__(self, folder, *arguments, name="gpu", runner=()):
        self.socket = Path(folder) / f"{name}.sock"
        command = [*runner, MUNTIN, "gpu", "--socket-path", self.socket, *arguments]
        self.process = Process(name, command, folder, environment=QUIET)
        try:
            wait_for(self.socket.is_socket, "muntin gpu listens", 10)
        except TooLong:
            self.process.expect_running()
            raise
