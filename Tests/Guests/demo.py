"""The demo: two guests on one display. Scripts/demo prepares what it needs and calls it."""

import os
import shutil
import signal
import sys
import tempfile
import time
from pathlib import Path

from harness.accelerator import find_accelerator
from harness.environment import PROJECT
from harness.machines import Vm, generic_gpu, vhost_user_gpu
from harness.muntin import Screen, Up, free_port
from harness.pictures import area, colour_count, difference

LIMIT = 180.0
PICTURE = Path(os.environ.get("MUNTIN_DEMO_PICTURE", PROJECT / "demo.png"))
SIZE = 1920, 720
SCREENS = {"cube": Screen(0, 0, 960, 720), "desktop": Screen(960, 0, 960, 720)}
PROGRAMS = {
    "cube": "kmscube",
    "desktop": "seatd-launch -- weston --idle-time=0 --renderer=pixman --no-config"
    " -- sh -c 'weston-flower & exec weston-simple-shm'",
}
# QEMU 10's own kind of front-end, which knows no blobs, and QEMU 11's generic one: pictures in the guest's own pages.
DEVICES = {"cube": (vhost_user_gpu, 10), "desktop": (generic_gpu, 11)}
# A placeholder or a text console has fewer colours than that; a shaded cube and a desktop have more.
COLOURS = {"cube": 1000, "desktop": 300}


class Stopped(Exception):
    """Ctrl-C, or a request to end."""


def say(text):
    print(f"demo: {text}", flush=True)


def commands(folder, accelerator):
    """What starts each guest, for `muntin up`."""
    guests = {}
    for name, program in PROGRAMS.items():
        device, version = DEVICES[name]
        gpu = device(folder / f"{name}.sock")
        guest = Vm(folder, name, gpu, large=True, version=version, run=program, accelerator=accelerator)
        guests[name] = [str(argument) for argument in guest.arguments]
    return guests


class Watcher:
    """Looks at each guest's area until it has been seen drawing: many colours, and changing."""

    def __init__(self):
        self.last = {}
        self.changes = dict.fromkeys(SCREENS, 0)
        self.colours = dict.fromkeys(SCREENS, 0)

    def look(self, picture):
        for name, screen in SCREENS.items():
            part = area(picture, screen.x, screen.y, screen.width, screen.height)
            self.colours[name] = colour_count(part)
            is_drawn = self.colours[name] >= COLOURS[name]
            if is_drawn and name in self.last and difference(part, self.last[name]):
                self.changes[name] += 1
            self.last[name] = part

    def has_seen(self, name):
        return self.colours[name] >= COLOURS[name] and self.changes[name] >= 2

    def state(self, name):
        return f"{name}: {'drawing' if self.has_seen(name) else 'not drawing yet'} ({self.colours[name]} colours)"


def wait_for_guests(display, started):
    """Watches until both guests draw; returns a picture with both, or says what is missing and returns None."""
    watcher = Watcher()
    told = started
    while time.monotonic() - started < LIMIT:
        if not display.process.is_running:
            say(f"error: muntin up ended:\n{display.process.log[-3000:]}")
            return None
        picture = display.screenshot()
        watcher.look(picture)
        if all(map(watcher.has_seen, SCREENS)):
            return picture
        if time.monotonic() - told > 5:
            told = time.monotonic()
            say(f"{told - started:3.0f} s  " + "   ".join(map(watcher.state, SCREENS)))
        time.sleep(0.5)
    missing = [name for name in SCREENS if not watcher.has_seen(name)]
    say(f"error: not on the display within {LIMIT:g} s: {', '.join(missing)}")
    for name in missing:
        for log in ("serial.log", "qemu.log"):
            path = display.folder / name / log
            if path.exists():
                say(f"{name}: end of its {log}:\n{path.read_text(errors='replace')[-1500:]}")
    say(f"end of Muntin's log:\n{display.process.log[-3000:]}")
    return None


def run(folder):
    has_terminal = sys.stdin.isatty() and sys.stdout.isatty()
    accelerator = find_accelerator()
    say(f"guests run with {accelerator}")
    port = free_port()
    started = time.monotonic()
    display = Up(
        folder, {name: [screen] for name, screen in SCREENS.items()},
        size=SIZE, output=f"vnc=127.0.0.1:{port}", commands=commands(folder, accelerator),
    )  # fmt: skip
    try:
        display.wait_until_ready()
        say(f"the display is at vnc://127.0.0.1:{port}; configuration: {display.file}")
        picture = wait_for_guests(display, started)
        if picture is None:
            return 1
        picture.save(PICTURE)
        say(f"both guests are on the display after {time.monotonic() - started:.0f} s; picture: {PICTURE}")
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


def main():
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, stop)
    folder = Path(tempfile.mkdtemp(prefix="muntin-demo-"))
    try:
        return run(folder)
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
