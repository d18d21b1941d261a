"""KVM when it works, found by trying: /dev/kvm can be there and still not run a kernel."""

import os
import tempfile
import time

from .environment import GUEST, QEMU
from .processes import Process

# A guest under KVM says that it is ready after about two seconds.
LIMIT = 12.0


def find_accelerator():
    """ "kvm" if a real guest boots with it within some seconds, else "tcg"."""
    chosen = os.environ.get("MUNTIN_ACCELERATOR")
    if chosen:
        return chosen
    return "kvm" if os.access("/dev/kvm", os.R_OK | os.W_OK) and kvm_boots() else "tcg"


def kvm_boots():
    with tempfile.TemporaryDirectory(prefix="muntin-") as folder:
        arguments = [
            QEMU, "-machine", "q35", "-accel", "kvm", "-cpu", "max", "-m", "384M",
            "-nodefaults", "-display", "none", "-no-reboot", "-serial", "stdio",
            "-kernel", GUEST / "vmlinuz", "-initrd", GUEST / "initrd", "-append", "console=ttyS0 quiet panic=-1",
        ]  # fmt: skip
        guest = Process("kvm-probe", arguments, folder)
        end = time.monotonic() + LIMIT
        try:
            while guest.is_running and time.monotonic() < end:
                if "muntin-guest: ready" in guest.log:
                    return True
                time.sleep(0.1)
            return False
        finally:
            guest.kill()
