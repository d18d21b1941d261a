"""Fixtures: each test has a folder of its own, and all that it starts ends with it."""

import shutil
import tempfile
from pathlib import Path

import pytest

from harness.environment import MUNTIN, QEMU_GPU
from harness.machines import Vm
from harness.muntin import StandaloneGPU, Up
from harness.processes import Process
from harness.waiting import wait_for


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item):
    outcome = yield
    if outcome.get_result().failed:
        item.has_failed = True


@pytest.fixture
def folder(request):
    """A short path, since Unix sockets live in it. When the test fails, the ends of its logs are shown."""
    path = Path(tempfile.mkdtemp(prefix="muntin-"))
    yield path
    if getattr(request.node, "has_failed", False):
        for log in sorted(path.rglob("*.log")):
            print(f"---- {log.relative_to(path)} ends with:\n{log.read_text(errors='replace')[-3000:]}")
    shutil.rmtree(path, ignore_errors=True)


@pytest.fixture
def machines(folder):
    """Makes virtual machines: machines("left", vhost_user_gpu(socket), large=True)."""
    made = []

    def make(name, gpu, **options):
        made.append(Vm(folder, name, gpu, **options))
        return made[-1]

    yield make
    for machine in made:
        machine.kill()


@pytest.fixture(scope="session")
def built():
    """Muntin's executable is there."""
    assert MUNTIN.is_file(), f"{MUNTIN} is missing: build it (make build), or name another in MUNTIN"


@pytest.fixture
def up(folder, built):
    """Starts `muntin up`: up({"left": [Screen(0, 0, 640, 400)]}) ; see harness.muntin.Up."""
    made = []

    def start(machines, **options):
        made.append(Up(folder, machines, **options))
        return made[-1].wait_until_ready()

    yield start
    for one in made:
        try:
            one.stop()
        finally:
            one.process.kill()


@pytest.fixture
def standalone(folder, built):
    """Starts `muntin gpu` without a hub: standalone("--size", "640x400")."""
    made = []

    def start(*arguments):
        made.append(StandaloneGPU(folder, *arguments, name=f"gpu{len(made)}"))
        return made[-1]

    yield start
    for one in made:
        one.process.kill()


@pytest.fixture
def guests(started):
    """Guests that serve all tests of a file (its fixture `started`, of harness.sharing); programs and grants end with each."""
    yield started
    started.clean()


@pytest.fixture
def qemu_gpu(folder):
    """QEMU's own back-end, listening."""
    path = folder / "qemu-gpu.sock"
    process = Process("qemu-gpu", [QEMU_GPU, "-s", path], folder)
    wait_for(path.exists, "QEMU's vhost-user-gpu listens")
    yield path
    process.kill()
