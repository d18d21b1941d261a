"""Where things are: the programs under test, the guests, QEMU."""

import os
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[3]
CACHE = Path(os.environ.get("MUNTIN_CACHE", PROJECT / ".cache"))
GUEST = CACHE / "guest"
MUNTIN = Path(os.environ.get("MUNTIN", PROJECT / ".build/release/muntin")).absolute()
PIGLIT = CACHE / "piglit" / "piglit.ext4"
PIGLIT_TESTS = PROJECT / "Tests/Guests/piglit.txt"
# What guests run that take part.
MUNTIN_GUEST = Path(os.environ.get("MUNTIN_GUEST", f"{MUNTIN}-guest")).absolute()
# What tests run inside a guest; `swift test` builds it.
INSIDE_GUEST = Path(os.environ.get("MUNTIN_INSIDE_GUEST", PROJECT / ".build/debug/InsideGuest")).absolute()
QEMU = Path(os.environ.get("MUNTIN_QEMU", "/usr/bin/qemu-system-x86_64"))
QEMU_AARCH64 = Path(os.environ.get("MUNTIN_QEMU_AARCH64", "/usr/bin/qemu-system-aarch64"))
QEMU11 = CACHE / "qemu11" / "qemu-system-x86_64"
QEMU_GPU = Path("/usr/lib/qemu/vhost-user-gpu")
OVMF_CODE = Path("/usr/share/OVMF/OVMF_CODE_4M.fd")
OVMF_VARIABLES = Path("/usr/share/OVMF/OVMF_VARS_4M.fd")
ACCELERATOR = os.environ.get("MUNTIN_ACCELERATOR", "tcg")
