"""A guest's Wayland compositor shows what another guest draws: `muntin-guest show --wayland` under Weston."""

import tempfile
from pathlib import Path

import pytest

from harness.environment import MUNTIN_GUEST
from harness.inside import Inside, disk_with, initrd_with
from harness.machines import Vm, generic_gpu
from harness.muntin import Screen, Up
from harness.pictures import difference, painted
from harness.sharing import number_of
from harness.waiting import wait_for

SIZE = 320, 200
SOCKET = "/run/compositor"
WESTON = f"env LIBSEAT_BACKEND=seatd weston --backend=drm --idle-time=0 --socket={SOCKET} --config=/run/weston.ini"
CONFIGURATION = """[core]
shell=kiosk
[output]
name=Virtual-1
app-ids=muntin-guest
[output]
name=Virtual-2
app-ids=second
"""
SHOW = f"env WAYLAND_DISPLAY={SOCKET} muntin-guest show"


class Machines:
    """`a` exports; `desk` runs Weston on two screens of the picture's size."""

    def __init__(self, folder):
        self.folder = Path(folder)
        channel = {"channel": "hub"}
        places = {"a": [Screen(0, 0, *SIZE)], "desk": [Screen(320, 0, *SIZE), Screen(640, 0, *SIZE)]}
        self.up = Up(folder, places, size=(960, 200), limits={"a": channel, "desk": channel}).wait_until_ready()
        self.a = self._boot("a", initrd=initrd_with([MUNTIN_GUEST], self.folder), memory=256)
        self.desk = self._boot("desk", large=True, extra=disk_with(MUNTIN_GUEST, self.folder))
        self.desk.install("muntin-guest")
        for line in CONFIGURATION.splitlines():
            self.desk.vm.shell(f"echo {line} >>/run/weston.ini")

    def _boot(self, name, **options):
        vm = Vm(self.folder, name, generic_gpu(self.up.socket(name)), version=11, **options)
        return Inside(vm.boot())

    def start_weston(self, renderer):
        self.desk.start("seatd", "seatd")
        self.desk.start("weston", f"{WESTON} --renderer={renderer}")
        there = f"[ -S {SOCKET} ] && echo there"
        wait_for(lambda: "there" in self.desk.vm.shell(there, check=False), self.desk.logs, 60)

    def clean(self):
        for inside in self.a, self.desk:
            inside.kill_all()
        self.desk.vm.shell(f"rm -f {SOCKET}*")
        for grant in self.up.list("grants"):
            self.up.ask("revoke", grant["number"])

    def kill(self):
        for inside in self.a, self.desk:
            inside.vm.kill()
        self.up.stop()
        self.up.process.kill()


@pytest.fixture(scope="module")
def started(built):
    with tempfile.TemporaryDirectory(prefix="muntin-") as folder:
        machines = Machines(folder)
        try:
            yield machines
        finally:
            machines.kill()


@pytest.fixture
def desktop(started):
    yield started
    started.clean()


def export(desktop, *grant, more=""):
    desktop.a.start("clock", f"muntin-guest export clock --size 320x200 --pattern --rate 4 {more}")
    desktop.a.wait_for_line("clock", "^exported")
    desktop.up.ask("grant", "vm:a", "vm:desk", "--name", "clock", *grant)


def show(desktop, more=""):
    """Shows the clock; how that is done."""
    desktop.desk.start("show", f"{SHOW} clock --wayland {more}")
    return desktop.desk.wait_for_line("show", "^shown by (.*)").group(1)


def wait_for_frames(desktop, count, screen=0):
    """Waits until a screen of the compositor's has shown so many different frames to the last bit."""
    frames = set()

    def move():
        picture = desktop.up.look("desk", screen)
        if difference(picture, painted(SIZE, number_of(picture))) is None:
            frames.add(number_of(picture))
        return len(frames) >= count

    wait_for(move, lambda: f"frames {frames}:\n{desktop.desk.logs()}", 60)


@pytest.mark.parametrize("access", ["read", "read-write"])
def test_a_compositor_that_takes_the_memory_itself_shows_it_as_it_changes(desktop, access):
    export(desktop, "--access", access, more="--writable")
    desktop.start_weston("gl")
    assert show(desktop, f"--access {access}") == "linux-dmabuf"
    wait_for_frames(desktop, 5)


@pytest.mark.parametrize(
    ("renderer", "more", "how"),
    [
        ("pixman", "", "wl_shm: the compositor has no linux-dmabuf"),
        ("gl", "--shm --fullscreen", "wl_shm: it was asked for"),
    ],
)
def test_a_compositor_that_does_not_gets_a_copy_of_what_changes(desktop, renderer, more, how):
    export(desktop)
    desktop.start_weston(renderer)
    assert show(desktop, more) == how
    wait_for_frames(desktop, 5)


def test_the_compositors_configuration_says_where_a_window_is(desktop):
    export(desktop)
    desktop.start_weston("pixman")
    desktop.desk.start("other", f"{SHOW} clock --wayland --app-id second")
    wait_for_frames(desktop, 2, screen=1)
    show(desktop)
    wait_for_frames(desktop, 2, screen=0)
    wait_for_frames(desktop, 2, screen=1)


def test_the_owners_end_ends_the_window(desktop):
    export(desktop)
    desktop.start_weston("pixman")
    show(desktop)
    wait_for_frames(desktop, 1)
    desktop.a.kill("clock")
    desktop.desk.wait_for_line("show", "took it back, or is gone")


@pytest.mark.parametrize(("renderer", "how"), [("gl", "linux-dmabuf"), ("pixman", "wl_shm")])
def test_the_window_stays_and_goes_on_when_the_hub_is_back(desktop, renderer, how):
    export(desktop)
    desktop.start_weston(renderer)
    assert show(desktop).startswith(how)
    wait_for_frames(desktop, 2)
    old = desktop.up.kill_part("hub")
    desktop.up.wait_for_new_part("hub", instead_of=old)
    desktop.up.wait_until_ready()
    desktop.up.ask("grant", "vm:a", "vm:desk", "--name", "clock")
    wait_for(lambda: desktop.desk.log("show").count("shown by") == 2, desktop.desk.logs, 20)
    wait_for_frames(desktop, 3)


def test_without_a_compositor_it_says_what_is_missing(desktop):
    export(desktop)
    said = desktop.desk.vm.shell(f"{SHOW} clock --wayland || echo status $?", check=False)
    assert f"no Wayland compositor: connect {SOCKET}" in said and "status 1" in said
    said = desktop.desk.vm.shell("env -u XDG_RUNTIME_DIR muntin-guest show clock --wayland || echo status $?", check=False)
    assert "XDG_RUNTIME_DIR is not set" in said and "status 1" in said
