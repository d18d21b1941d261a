"""Fixtures: each test has a folder of its own, and all that it starts ends with it."""

import shutil
import tempfile
from pathlib import Path

import pytest

from harness.machines import Vm


@pytest.fixture
def folder():
    """A short path, since Unix sockets live in it; kept when the test fails."""
    path = Path(tempfile.mkdtemp(prefix="muntin-"))
    yield path
    shutil.rmtree(path, ignore_errors=True)


@pytest.fixture
def machines(folder):
    """Makes virtual machines that end with the test."""
    made = []

    def make(name, gpu, **options):
        made.append(Vm(folder, name, gpu, **options))
        return made[-1]

    yield make
    for machine in made:
        machine.kill()
