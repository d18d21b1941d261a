"""`make demo`, less the building: it ends as it promises, and leaves nothing behind."""

import os
import pty
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from PIL import Image

from harness.environment import MUNTIN, PROJECT
from harness.processes import children_of, is_running
from harness.waiting import deadline, wait_for


@pytest.fixture
def demo(folder, built):
    """Starts the demo with the given standard input and output."""
    started = []

    def start(terminal):
        environment = {**os.environ, "MUNTIN_DEMO_PICTURE": str(folder / "demo.png"), "TMPDIR": str(folder)}
        command = [sys.executable, "-B", PROJECT / "Tests/Guests/demo.py"]
        log = open(folder / "demo.log", "wb")
        inputs = (terminal, terminal) if terminal else (subprocess.DEVNULL, log)
        started.append(subprocess.Popen(command, stdin=inputs[0], stdout=inputs[1], stderr=log, env=environment))
        return started[-1]

    yield start
    for process in started:
        process.terminate()
        process.wait(30)


def test_without_a_terminal_it_ends_when_both_guests_are_seen(demo, folder):
    process = demo(None)
    assert process.wait(240) == 0, (folder / "demo.log").read_text()
    with Image.open(folder / "demo.png") as picture:
        assert picture.size == (1920, 720)
    said, shown = (listed_buffers(file.read_text()) for file in (folder / "demo.log", PROJECT / "README.md"))
    if Path("/dev/udmabuf").exists():  # another way, or for another reason
        said, shown = ({buffer[:5] for buffer in buffers} for buffers in (said, shown))
    assert said == shown


def test_with_a_terminal_it_goes_on_until_it_is_interrupted(demo, folder):
    controller, terminal = pty.openpty()
    process = demo(terminal)
    os.close(terminal)
    said = read_until(controller, "Ctrl-C ends the demo", 240)
    assert "vnc://127.0.0.1:" in said
    up = next(pid for pid, command in children_of(process.pid).items() if "up" in command)
    parts = children_of(up)
    assert len(parts) == 6, parts
    process.send_signal(signal.SIGINT)
    assert process.wait(30) == 0
    os.close(controller)
    wait_for(lambda: not any(map(is_running, parts)), f"all of these end: {parts}")
    assert not list(folder.glob("muntin-demo-*"))


def test_it_says_why_when_a_part_fails(folder, built):
    broken = folder / MUNTIN.name
    broken.write_text("#!/bin/sh\necho the hub is out of order >&2\nexit 3\n")
    broken.chmod(0o755)
    environment = {**os.environ, "MUNTIN": str(broken), "TMPDIR": str(folder)}
    command = [sys.executable, "-B", PROJECT / "Tests/Guests/demo.py"]
    finished = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, env=environment, timeout=120)
    assert finished.returncode == 1
    assert "the hub is out of order" in finished.stdout + finished.stderr


def listed_buffers(text):
    """What `muntin list buffers` says in a text of the buffers, less their ids and how many there are of a kind."""
    rows = [re.split(r"  +", line) for line in text.splitlines()]
    (head,) = [row for row in rows if row[:2] == ["ID", "OWNER"]]
    assert head[2:] == ["SIZE", "FORMAT", "MEMORY", "SIDE", "WAY", "STATE", "LEASES", "WHY"]
    buffers = {tuple(row[1:]) for row in rows if len(row) == len(head) and row is not head}
    assert {row[0] for row in buffers} == {"cube", "desktop"}
    return buffers


def read_until(descriptor, text, seconds):
    said = ""
    end = deadline(seconds)
    while text not in said:
        assert time.monotonic() < end, said
        said += os.read(descriptor, 4096).decode(errors="replace")
    return said
