"""A guest without an operating system, in Embedded Swift, with the project's own driver: what a simple OS would be."""

import os
import signal
import subprocess

import pytest

from harness.bare import BY_MMIO, BY_PCI, BareVm, build_bare_guest
from harness.environment import MUNTIN, PROJECT, QEMU
from harness.muntin import Screen
from harness.pictures import painted, with_rectangle
from harness.waiting import wait_for


@pytest.fixture(scope="module")
def programs():
    return build_bare_guest()


@pytest.fixture
def bare(folder, programs):
    made = []

    def start(machine, socket_path, device, options=""):
        made.append(BareVm(folder, programs, machine, socket_path, device, options))
        return made[-1]

    yield start
    for one in made:
        one.process.kill()


@pytest.mark.parametrize(
    "machine, device, options, how",
    [
        ("q35", BY_PCI, "", "a split ring over PCI"),
        ("q35", BY_PCI, ",packed=on", "a packed ring over PCI"),
        ("microvm", BY_MMIO, "", "a split ring over MMIO"),
        ("virt", BY_MMIO, "", "a split ring over MMIO"),
        ("virt", BY_MMIO, ",packed=on", "a packed ring over MMIO"),
    ],
)
def test_guest_without_an_operating_system_draws_to_the_last_bit(up, bare, machine, device, options, how):
    size = (500, 300)
    display = up({"vm": [Screen(40, 20, *size)]}, size=(640, 400))
    guest = bare(machine, display.socket("vm"), device, options)
    assert guest.wait_for_words() == f"drawn {size[0]}x{size[1]} by {how}"
    display.wait_for_picture("vm", with_rectangle(painted(size, 1), 16, 8, 64, 32, (0xC0, 0xFF, 0x40)))


def test_commands_of_the_documentation_build_and_start_it(folder, built):
    """As they stand there, but for a window, which QEMU would open."""
    commands = (PROJECT / "Documentation/bare-guests.md").read_text().split("```sh\n")[1].split("```")[0]
    stand_ins = {
        "Scripts/build-bare-guest": PROJECT / "Scripts/build-bare-guest",
        "bin/muntin": MUNTIN,
        "bin/qemu-system-x86_64": f"{QEMU} -display none",
    }
    for name, command in stand_ins.items():
        path = folder / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(f'#!/bin/sh\nexec {command} "$@"\n')
        path.chmod(0o755)
    environment = {**os.environ, "PATH": f"{folder / 'bin'}:{os.environ['PATH']}", "SWIFT_BACKTRACE": "enable=no"}
    log = folder / "commands.log"
    shell = subprocess.Popen(
        ["bash", "-euc", commands], cwd=folder, env=environment, stdin=subprocess.DEVNULL, stdout=log.open("wb"),
        stderr=subprocess.STDOUT, start_new_session=True,
    )  # fmt: skip
    try:
        wait_for(lambda: "drawn 1280x800 by a split ring over PCI" in log.read_text(), log.read_text, 120)
    finally:
        os.killpg(shell.pid, signal.SIGKILL)
        shell.wait(10)
