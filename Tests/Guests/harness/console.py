"""A guest's serial port: runs commands in the guest's shell and speaks with its painter."""

import re
import select
import socket
import time

from .waiting import TooLong, deadline, wait_for


class GuestError(AssertionError):
    pass


class Console:
    def __init__(self, path):
        def connect():
            link = socket.socket(socket.AF_UNIX)
            try:
                link.connect(str(path))
                return link
            except OSError:
                link.close()
                return None

        self._socket = wait_for(connect, f"serial port at {path}")
        self._seen = ""
        self._count = 0

    def close(self):
        self._socket.close()

    def read_until(self, pattern, seconds):
        """Reads up to and including what matches, and returns the match; what came before is dropped."""
        end = deadline(seconds)
        expression = re.compile(pattern)
        while True:
            match = expression.search(self._seen)
            if match:
                self._before, self._seen = self._seen[: match.start()], self._seen[match.end() :]
                return match
            left = end - time.monotonic()
            if left <= 0 or not select.select([self._socket], [], [], left)[0]:
                raise TooLong(f"no {pattern!r} from the guest within {seconds} s; it said:\n{self._seen[-2000:]}")
            try:
                data = self._socket.recv(65536)
            except ConnectionResetError:
                data = b""
            if not data:
                raise GuestError(f"the guest's serial port closed; it said:\n{self._seen[-2000:]}")
            self._seen += data.decode(errors="replace").replace("\r", "")

    def wait_until_ready(self, seconds=60.0):
        """Waits for the end of the boot; returns the guest's uptime then."""
        return float(self.read_until(r"muntin-guest: ready after ([\d.]+) s\n", seconds).group(1))

    def send(self, line):
        self._socket.sendall(line.encode() + b"\n")

    def shell(self, command, seconds=30.0, check=True):
        """Runs a command in the guest and returns what it printed."""
        self._count += 1
        mark = f"@@{self._count}"
        separator = "" if command.endswith("&") else ";"
        self.send(f"{{ {command}{separator} }} </dev/null 2>&1; echo {mark} $?")
        match = self.read_until(rf"{mark} (\d+)\n", seconds)
        if check and match.group(1) != "0":
            raise GuestError(f"in the guest, {command!r} ended with {match.group(1)}:\n{self._before[-2000:]}")
        return self._before

    def ask(self, program, line, seconds):
        """Gives a line to a program that reads the console, and returns what it answered after "ok"."""
        self.send(line)
        match = self.read_until(r"(?m)^(ok|error)(?: (.*))?\n", seconds)
        answer = match.group(2) or ""
        if match.group(1) == "error":
            raise GuestError(f"{program}: {line[:100]}: {answer}")
        return answer

    def start(self, command):
        """Starts a command in the guest in the background, with a silent keyboard; its output goes to /tmp/background.log."""
        self.shell(f"(sleep 86400 | {command}) >/tmp/background.log 2>&1 &")

    def painter(self, connector=0, size=None, memory=None):
        """Starts `paint` in the guest and takes a connector. The shell is busy until the painter quits."""
        self.send("paint")
        self.read_until(r"ok paint\n", 20)
        return Painter(self, connector, size, memory)


class Painter:
    """The guest's `paint` program: see Scripts/guest/paint.c."""

    def __init__(self, console, connector, size, memory):
        self._console = console
        if memory:
            self.ask(f"memory {memory}")
        answer = self.ask(f"use {connector}" + (f" {size[0]} {size[1]}" if size else ""))
        width, height = answer.split()[-1].split("x")
        self.size = int(width), int(height)

    def ask(self, command, seconds=30.0):
        """Gives a command and returns what it answered after "ok": the milliseconds it took, and more."""
        return self._console.ask("paint", command, seconds)

    def fill(self, seed):
        return self.ask(f"fill {seed}")

    def rectangle(self, x, y, width, height, colour):
        return self.ask(f"rect {x} {y} {width} {height} {colour[0]:02x}{colour[1]:02x}{colour[2]:02x}")

    def flip(self, seed, count, seconds=60.0):
        """Page flips; returns how many milliseconds they took together."""
        return int(self.ask(f"flip {seed} {count}", seconds).split()[0])

    def cursor(self, x, y):
        return self.ask(f"cursor {x} {y}")

    def hide_cursor(self):
        return self.ask("cursor off")

    def start(self, command):
        """Gives a command without waiting for its end."""
        self._console.send(command)

    def quit(self):
        self._console.send("quit")
