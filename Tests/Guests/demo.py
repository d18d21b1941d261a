"""The demo: guests on one display. Scripts/demo prepares what it needs and calls it; demo_vm.py is another one."""

import os
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from harness.accelerator import find_accelerator
from harness.environment import PROJECT
from harness.machines import Vm, generic_gpu, vhost_user_gpu
from harness.muntin import Screen, Up, free_port
from harness.pictures import area, colour_count, difference

WESTON = "seatd-launch -- weston --idle-time=0 --renderer=pixman"


@dataclass
class Guest:
    """A guest of a demo: what runs in it, on which device and QEMU, with which screens, and more."""

    program: str
    screens: list
    device: Callable = generic_gpu
    version: int = 11
    settings: dict = field(default_factory=dict)
    extra: Callable = lambda folder: []


@dataclass
class Sight:
    """What is to be seen: a part of the display, and how many colours tell it from a placeholder or a text console."""

    screen: Screen
    colours: int


@dataclass
class Demo:
    """Guests, and what has to be seen of them within a time."""

    guests: dict
    sights: dict
    size: tuple
    picture: Path
    limit: float = 180.0
    grants: tuple = ()


DEMO = Demo(
    guests={
        # QEMU 10's own kind of front-end, which knows no blobs, and QEMU 11's generic one: pictures in the guest's own pages.
        "cube": Guest("kmscube", [Screen(0, 0, 960, 720)], vhost_user_gpu, 10),
        "desktop": Guest(
            f"{WESTON} --no-config -- sh -c 'weston-flower & exec weston-simple-shm'", [Screen(960, 0, 960, 720)]
        ),
    },
    # A shaded cube and a desktop.
    sights={"cube": Sight(Screen(0, 0, 960, 720), 1000), "desktop": Sight(Screen(960, 0, 960, 720), 300)},
    size=(1920, 720),
    picture=Path(os.environ.get("MUNTIN_DEMO_PICTURE", PROJECT / "demo.png")),
)


class Stopped(Exception):
    """Ctrl-C, or a request to end."""


def say(text):
    print(f"demo: {text}", flush=True)


def commands(demo, folder, accelerator):
    """What starts each guest, for `muntin up`."""
    started = {}
    for name, guest in demo.guests.items():
        gpu = guest.device(folder / f"{name}.sock")
        vm = Vm(
            folder, name, gpu, large=True, version=guest.version, run=guest.program, accelerator=accelerator,
            extra=guest.extra(folder),
        )  # fmt: skip
        started[name] = [str(argument) for argument in vm.arguments]
    return started


class Watcher:
    """Looks at each part of the display until something has been seen drawing there: many colours, and changing."""

    def __init__(self, sights):
        self.sights = sights
        self.last = {}
        self.changes = dict.fromkeys(sights, 0)
        self.colours = dict.fromkeys(sights, 0)

    def look(self, picture):
        for name, sight in self.sights.items():
            screen = sight.screen
            part = area(picture, screen.x, screen.y, screen.width, screen.height)
            self.colours[name] = colour_count(part)
            is_drawn = self.colours[name] >= sight.colours
            if is_drawn and name in self.last and difference(part, self.last[name]):
                self.changes[name] += 1
            self.last[name] = part

    def has_seen(self, name):
        return self.colours[name] >= self.sights[name].colours and self.changes[name] >= 2

    def state(self, name):
        return f"{name}: {'drawing' if self.has_seen(name) else 'not drawing yet'} ({self.colours[name]} colours)"


def wait_for_guests(demo, display, started):
    """Watches until all guests draw; returns a picture with them, or says what is missing and returns None."""
    watcher = Watcher(demo.sights)
    told = started
    while time.monotonic() - started < demo.limit:
        if not display.process.is_running:
            say(f"error: muntin up ended:\n{display.process.log[-3000:]}")
            return None
        picture = display.screenshot()
        watcher.look(picture)
        if all(map(watcher.has_seen, demo.sights)):
            return picture
        if time.monotonic() - told > 5:
            told = time.monotonic()
            say(f"{told - started:3.0f} s  " + "   ".join(map(watcher.state, demo.sights)))
        time.sleep(0.5)
    missing = [name for name in demo.sights if not watcher.has_seen(name)]
    say(f"error: not on the display within {demo.limit:g} s: {', '.join(missing)}")
    for name in demo.guests:
        for log in ("serial.log", "qemu.log"):
            path = display.folder / name / log
            if path.exists():
                say(f"{name}: end of its {log}:\n{path.read_text(errors='replace')[-1500:]}")
    say(f"end of Muntin's log:\n{display.process.log[-3000:]}")
    return None


def run(demo, folder):
    has_terminal = sys.stdin.isatty() and sys.stdout.isatty()
    accelerator = find_accelerator()
    say(f"guests run with {accelerator}")
    port = free_port()
    started = time.monotonic()
    display = Up(
        folder, {name: guest.screens for name, guest in demo.guests.items()},
        size=demo.size, output=f"vnc=127.0.0.1:{port}", commands=commands(demo, folder, accelerator),
        limits={name: guest.settings for name, guest in demo.guests.items()}, grants=demo.grants,
    )  # fmt: skip
    try:
        display.wait_until_ready()
        say(f"the display is at vnc://127.0.0.1:{port}; configuration: {display.file}")
        picture = wait_for_guests(demo, display, started)
        if picture is None:
            return 1
        picture.save(demo.picture)
        say(f"all is on the display after {time.monotonic() - started:.0f} s; picture: {demo.picture}")
        say(f"muntin list buffers:\n{display.ask('list', 'buffers').stdout}")
        if has_terminal:
            say(f"look at it: gvncviewer 127.0.0.1::{port} (or any VNC client); Ctrl-C ends the demo")
            while display.process.is_running:
                time.sleep(0.2)
            say(f"error: muntin up ended:\n{display.process.log[-3000:]}")
            return 1
        return 0
    finally:
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        status = display.stop()
        if status != 0:
            say(f"muntin up ended with status {status}")


def stop(*_):
    raise Stopped


def main(demo=DEMO):
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, stop)
    folder = Path(tempfile.mkdtemp(prefix="muntin-demo-"))
    try:
        return run(demo, folder)
    except Stopped:
        say("ended")
        return 0
    except AssertionError as problem:
        say(f"error: {problem}")
        return 1
    finally:
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    sys.exit(main())
