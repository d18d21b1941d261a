"""Guests that share pictures: `muntin up` with channels to its hub, and Linux guests with QEMU 11's generic device."""

import contextlib
import json
import tempfile
from pathlib import Path

from .environment import MUNTIN_GUEST
from .inside import Inside, initrd_with
from .machines import Vm, generic_gpu
from .muntin import Screen, Up
from .waiting import wait_for


class Guests:
    """The display, and the guests by name, with programs that run in them. Their screens of 320x200 are side by side."""

    def __init__(self, folder, programs, names=("a", "b", "c"), channels=("a", "b"), grants=(), memory=256, settings=None, older=()):
        self.folder = Path(folder)
        self._initrds = {is_older: initrd_with(programs, self.folder, is_older) for is_older in {name in older for name in names}}
        self._older = set(older)
        self._memory = memory
        places = {name: [Screen(320 * index, 0, 320, 200)] for index, name in enumerate(names)}
        limits = {name: {"channel": "hub", **(settings or {}).get(name, {})} for name in channels}
        self.up = Up(folder, places, size=(320 * len(names), 200), limits=limits, grants=grants).wait_until_ready()
        self._inside = {}

    def __getitem__(self, name):
        """A guest, which boots when it is first asked for."""
        if name not in self._inside:
            self.start(name)
            self._inside[name].vm.console.wait_until_ready(90)
        return self._inside[name]

    def start(self, name):
        """Starts a guest's boot."""
        gpu = generic_gpu(self.up.socket(name))
        older = name in self._older
        vm = Vm(self.folder, name, gpu, version=11, initrd=self._initrds[older], memory=self._memory, older=older)
        self._inside[name] = Inside(vm)
        vm.start()

    def restart(self, name, how):
        """Ends a guest with all that runs in it, and boots it again: "reset" by its button, "kill" by kill -9 of QEMU."""
        if how == "reset":
            self.reset(name)
            self._inside[name].vm.console.wait_until_ready()
        else:
            self.end(name)
            _ = self[name]

    def reset(self, name):
        """Presses a guest's button."""
        vm = self[name].vm
        vm.qmp("system_reset")
        self._inside[name] = Inside(vm)

    def end(self, name):
        """kill -9 of QEMU; nothing when it does not run."""
        inside = self._inside.pop(name, None)
        if inside is None:
            return
        inside.vm.kill()
        for socket in (inside.vm.qmp_path, inside.vm.serial_path):
            socket.unlink()

    def restart_hub(self):
        """kill -9 of the hub, in whose place another one comes, to which the display connects."""
        old = self.up.kill_part("hub")
        self.up.wait_for_new_part("hub", instead_of=old)

        def has_display():
            displays = self.up.ask("list", "displays", "--json", check=False)
            return displays.returncode == 0 and any(display["frame"] for display in json.loads(displays.stdout))

        wait_for(has_display, "the display is connected to the new hub", 10)

    def grant(self, *arguments):
        """Lets b use buffers of a; the grant's number."""
        return self.up.ask("grant", "vm:a", "vm:b", *arguments).stdout.strip()

    def memory(self, name):
        """What a guest has of the host's memory, and of others'."""
        ledger = self.ledger(name)
        return ledger["host_memory"]["used"], ledger["imported"]["used"]

    def ledger(self, name):
        (ledger,) = (vm["ledger"] for vm in self.up.list("vms") if vm["name"] == name)
        return ledger

    def clean(self):
        """Ends programs and grants."""
        for inside in self._inside.values():
            inside.kill_all()
        for grant in self.up.list("grants"):
            self.up.ask("revoke", grant["number"])
        wait_for(lambda: not self.exports(), lambda: f"nothing is offered: {self.exports()}")

    def exports(self):
        return [buffer for buffer in self.up.list("buffers") if buffer["name"]]

    def kill(self):
        for inside in self._inside.values():
            inside.vm.kill()
        self.up.stop()
        self.up.process.kill()


@contextlib.contextmanager
def sharing(programs, **options):
    """The guests, with what `programs` says of a folder to build in; all ends with the block."""
    with tempfile.TemporaryDirectory(prefix="muntin-") as folder:
        guests = Guests(folder, programs(Path(folder)), **options)
        try:
            yield guests
        finally:
            guests.kill()


def muntin_guest(*others):
    """The programs of most guests: muntin-guest, and others that are built in the folder they are given."""
    assert MUNTIN_GUEST.is_file(), f"{MUNTIN_GUEST} is missing: build it (make build), or name another in MUNTIN_GUEST"
    return lambda folder: [MUNTIN_GUEST, *(build(folder) for build in others)]


def listed(inside):
    """What a guest is told of a's buffers."""
    return [buffer for buffer in json.loads(inside.vm.shell("muntin-guest list --json")) if buffer["owner"] == "vm:a"]


def said(inside, command):
    """What a command says that fails."""
    return inside.vm.shell(f"{command} && echo succeeded", check=False)


def number_of(picture):
    """Which frame of the pattern a picture shows, as its first pixel says, modulo 256."""
    return picture.getpixel((0, 0))[2] * pow(37, -1, 256) % 256
