"""A guest without an operating system: Examples/bare-guest, started by QEMU's -kernel."""

import os
import subprocess
from pathlib import Path

from .environment import PROJECT, QEMU, QEMU_AARCH64
from .processes import Process
from .waiting import wait_for

# What each machine is started with, and how the GPU is attached to it.
MACHINES = {
    "q35": (QEMU, "x86_64", ["-machine", "q35,accel=tcg,memory-backend=ram", "-cpu", "max"]),
    "microvm": (QEMU, "x86_64", ["-machine", "microvm,accel=tcg,memory-backend=ram", "-cpu", "max"]),
    "virt": (QEMU_AARCH64, "aarch64", ["-machine", "virt,accel=tcg,memory-backend=ram", "-cpu", "cortex-a72"]),
}
BY_PCI = "vhost-user-gpu-pci,chardev=gpu"
BY_MMIO = "vhost-user-gpu,chardev=gpu"


def build_bare_guest():
    """The folder with one program for each architecture; quick when nothing has changed."""
    folder = PROJECT / ".build" / "bare-guest"
    environment = {**os.environ, "SWIFT_BACKTRACE": "enable=no"}
    built = subprocess.run(
        [PROJECT / "Scripts/build-bare-guest", folder], stdin=subprocess.DEVNULL, capture_output=True, text=True, env=environment
    )
    assert built.returncode == 0, f"Scripts/build-bare-guest failed:\n{built.stdout}{built.stderr}"
    return folder


class BareVm:
    """One QEMU with that program, whose words on the serial port are in `serial`."""

    def __init__(self, folder, program_folder, machine, socket_path, device, options=""):
        qemu, architecture, arguments = MACHINES[machine]
        self._serial_path = Path(folder) / "bare-serial.log"
        arguments = [
            qemu, *arguments,
            "-object", "memory-backend-memfd,id=ram,size=128M,share=on",
            "-m", "128M",
            "-nodefaults",
            "-no-reboot",
            "-display", "none",
            "-serial", f"file:{self._serial_path}",
            "-global", "virtio-mmio.force-legacy=false",
            "-kernel", program_folder / architecture / "bare-guest.elf",
            "-chardev", f"socket,id=gpu,path={socket_path}",
            "-device", device + options,
        ]  # fmt: skip
        self.process = Process("bare-qemu", arguments, folder)

    @property
    def serial(self):
        return self._serial_path.read_text(errors="replace") if self._serial_path.exists() else ""

    def wait_for_words(self, seconds=20.0):
        """What the guest says when it has done its work, or why it cannot."""

        def said():
            self.process.expect_running()
            return [line for line in self.serial.splitlines(True) if "muntin-bare: " in line and line.endswith("\n")]

        lines = wait_for(said, lambda: f"the bare guest speaks; so far: {self.serial!r}", seconds)
        return lines[0].partition("muntin-bare: ")[2].strip()
