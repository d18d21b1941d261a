"""Ends of everything, while one guest shows what another one draws and a third tries to: each kind in turn, then at random.

Guest a exports two moving patterns, b judges every frame of both, c was granted nothing; each paints its own screen. After
each end the pictures of those that live are right, nobody has seen a wrong frame, and the counts are what they were.
MUNTIN_CHAOS=600 lets things end at random for so many seconds; MUNTIN_SEED repeats a run."""

import collections
import os
import random
import re
import tempfile
import time
from pathlib import Path

import pytest

from harness.environment import INSIDE_GUEST, MUNTIN_GUEST
from harness.pictures import painted
from harness.sharing import Guests
from harness.waiting import wait_for

SECONDS = float(os.environ.get("MUNTIN_CHAOS", "60"))
SEED = int(os.environ.get("MUNTIN_SEED", time.time_ns() % 1_000_000))
# What a shares, and how b may use it: by its own copy, and a's memory itself.
BUFFERS = {"copied": "read", "shared": "read-write"}
SEEDS = {"a": 1, "b": 2, "c": 3}
ENDS = ["reset a", "kill a", "reset b", "kill b", "gpu a", "gpu b", "hub"]


class Stage:
    """The three guests with their programs."""

    def __init__(self, folder):
        grants = [{"from": "vm:a", "to": "vm:b", "buffer": name, "access": access} for name, access in BUFFERS.items()]
        programs = [MUNTIN_GUEST, INSIDE_GUEST]
        self.guests = Guests(folder, programs, channels="abc", grants=grants, memory=256)
        self.up = self.guests.up
        self._ended, self._booting = set(), set()
        # Frames that b's programs judged, and frames that the owner did not wait for, before they were ended.
        self._past = collections.Counter()
        for name in SEEDS:
            self.guests.start(name)
        self._ready(SEEDS)

    def _ready(self, names):
        """Waits for guests that boot, and starts their programs."""
        for name in names:
            self.guests[name].vm.console.wait_until_ready(120)
        for name in names:
            inside = self.guests[name]
            # The kernel tells of each command that its card refused.
            inside.vm.shell("echo 1 >/proc/sys/kernel/printk")
            inside.start("paint", "paint", "^ok paint")
            inside.ask("paint", "use 0 320 200", "^ok")
            inside.ask("paint", f"fill {SEEDS[name]}", "^ok")
        for buffer, access in BUFFERS.items():
            if "a" in names:
                more = "--writable" if access == "read-write" else ""
                export = f"muntin-guest export {buffer} --size 80x50 --pattern --rate 10 {more}"
                self.guests["a"].start(buffer, export, "^exported")
            if "b" in names:
                self.guests["b"].start(buffer, f"InsideGuest witness {buffer} a {access}")

    # Ends

    def _end(self, what):
        """One end of ENDS."""
        kind, _, name = what.partition(" ")
        if kind == "hub":
            self._replaced("hub", None)
        elif kind == "gpu":
            # No QEMU that is known connects to its graphics card again.
            self._replaced("gpu", name)
            self._ended.add(name)
        elif kind == "kill":
            self.guests.end(name)
            self._ended.add(name)
        elif name not in self._ended:
            self.guests.reset(name)
            self._booting.add(name)

    def _replaced(self, kind, name):
        old = self.up.kill_part(kind, name)
        self.up.wait_for_new_part(kind, name, instead_of=old)

    def ends(self, *what):
        """Ends that follow each other; those that live are as they were; then all is again as it was."""
        seen = self.judged()
        for one in what:
            self._end(one)
        if "b" not in self._survivors(what):
            self._past = seen
        self.up.wait_until_ready()
        shot = self.guests.folder / "shot.png"
        wait_for(lambda: self.up.ask("screenshot", shot, check=False).returncode == 0, "the display is back at the hub", 20)
        for name in self._survivors(what):
            self.up.wait_for_picture(name, painted((320, 200), SEEDS[name]))
        if "a" in self._survivors(what):
            self.guests["a"].vm.shell("kill -0 $(cat /run/copied.pid) $(cat /run/shared.pid)")
        for name in self._ended:
            self.guests.end(name)
            self.guests.start(name)
        self._ready(sorted(self._ended | self._booting))
        self._ended.clear()
        self._booting.clear()

    def _survivors(self, what):
        """The guests that none of the ends is about."""
        return [name for name in SEEDS if not any(one.endswith(f" {name}") for one in what)]

    # What is to be seen

    def witnessed(self):
        """What b's programs said last: {buffer: (generation, frames judged, frames overtaken)}."""
        seen = {}
        for buffer in BUFFERS:
            look = f"grep -v '^away' /run/{buffer}.log | tail -n 1; grep WRONG /run/{buffer}.log"
            text = self.guests["b"].vm.shell(look, check=False)
            assert "WRONG" not in text, text
            match = re.match(r"frame (\d+) (\d+) (\d+)", text)
            seen[buffer] = tuple(map(int, match.groups())) if match else (0, 0, 0)
            # A frame is a reader's for as long as it holds it.
            assert seen[buffer][2] == 0, f"{buffer}: {text}"
        return seen

    def judged(self):
        """How many frames of each buffer b has judged so far, and how many were overtaken."""
        now = collections.Counter(self._past)
        for buffer, (_, judged, overtaken) in self.witnessed().items():
            now.update({buffer: judged, f"{buffer}, overtaken": overtaken})
        return now

    def expect_frames(self):
        """b judges new frames of both buffers."""
        before = self.witnessed()
        seen = {}

        def moves():
            seen.update(self.witnessed())
            return all(seen[buffer][1] >= before[buffer][1] + 5 for buffer in BUFFERS)

        logs = self.guests["b"].logs
        wait_for(moves, lambda: f"five frames since {before}: {seen}\n{logs()}\n{self.up.list('buffers')}", 40, 0.3)

    def expect_pictures(self):
        for name, seed in SEEDS.items():
            self.up.wait_for_picture(name, painted((320, 200), seed))

    def counts(self):
        """Descriptors and mapped memory files of each process, the ledger, the buffers."""
        pids = {"hub": self.up.part("hub"), "compositor": self.up.part("compositor")}
        pids.update({f"gpu {name}": self.up.part("gpu", name) for name in SEEDS})
        found = {name: (len(os.listdir(f"/proc/{pid}/fd")), memory_files(pid)) for name, pid in pids.items()}
        found.update({f"QEMU {name}": memory_files(self.guests[name].vm.process.pid) for name in SEEDS})
        for vm in self.up.list("vms"):
            amounts = {key: amount["used"] for key, amount in vm["ledger"].items() if isinstance(amount, dict)}
            # Commands that wait change with every frame; how long page lists are is the guest's luck at each boot.
            found[f"ledger {vm['name']}"] = {**amounts, "commands": 0, "bookkeeping": amounts["bookkeeping"] // 16384}
        buffers = self.up.list("buffers")
        found["buffers"] = sorted({(b["owner"], b["name"] or "", b["size"], b["state"], b["leases"]) for b in buffers})
        # A hub that was restarted knows only of pictures that have been shown to it: each is a descriptor there, and a
        # mapping at the display.
        found["hub"] = found["hub"][0] - len(buffers), found["hub"][1]
        pictures = sum(not b["name"] for b in buffers)
        found["compositor"] = found["compositor"][0], found["compositor"][1] - pictures
        return found

    def expect_counts(self, expected):
        def different():
            now = self.counts()
            return {key: (now.get(key), expected.get(key)) for key in expected | now if now.get(key) != expected.get(key)}

        wait_for(lambda: not different(), lambda: f"counts are as before (now, before): {different()}", 20, 0.3)

    def intrude(self):
        """c tries all that it can, knowing everything; nobody is the worse for it."""
        for buffer in self.guests.exports():
            about = f"{buffer['id']} {buffer['name']} vm:a 16384 vm:c"
            words = self.guests["c"].vm.shell(f"InsideGuest intrude {about}", 60, check=False)
            assert re.search(r"(?m)^ok nothing after \d+ attempts", words), words
        assert not [grant for grant in self.up.list("grants") if "vm:c" in (grant["owner"], grant["to"])]


def memory_files(pid):
    """How many mappings of memory files a process has."""
    return Path(f"/proc/{pid}/maps").read_text().count("/memfd:")


@pytest.fixture(scope="module")
def stage(built):
    for program in (MUNTIN_GUEST, INSIDE_GUEST):
        assert program.is_file(), f"{program} is missing: make build, swift build --build-tests"
    with tempfile.TemporaryDirectory(prefix="muntin-") as folder:
        stage = Stage(folder)
        try:
            yield stage
        finally:
            stage.guests.kill()


@pytest.fixture(scope="module")
def expected(stage):
    """The counts when all is well."""
    stage.expect_frames()
    stage.expect_pictures()
    seen = []

    def settled():
        seen.append(stage.counts())
        return len(seen) > 2 and seen[-1] == seen[-2] == seen[-3]

    wait_for(settled, lambda: f"counts stay: {seen[-1]}", 20, 0.5)
    return seen[-1]


def test_a_machine_without_a_grant_gets_nothing(stage, expected):
    stage.intrude()
    stage.expect_frames()
    stage.expect_counts(expected)


@pytest.mark.parametrize("what", ENDS)
def test_all_is_as_before_when_something_has_ended(stage, expected, what):
    stage.ends(what)
    stage.expect_frames()
    stage.expect_pictures()
    stage.expect_counts(expected)


def test_all_is_as_before_whatever_ends_when(stage, expected):
    print(f"seed {SEED}")
    dice = random.Random(SEED)
    counts = collections.Counter()
    end = time.monotonic() + SECONDS
    while time.monotonic() < end:
        what = dice.sample(ENDS, dice.choice((1, 1, 2, 3)))
        counts.update(what)
        print(f"{SECONDS - (end - time.monotonic()):.0f} s: {', '.join(what)}", flush=True)
        stage.ends(*what)
        stage.expect_frames()
        stage.expect_pictures()
        stage.expect_counts(expected)
        if dice.random() < 0.3:
            stage.intrude()
    print(f"seed {SEED}: {dict(counts)}; frames judged: {dict(stage.judged())}")
