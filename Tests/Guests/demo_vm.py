"""A compositor in a virtual machine: Weston in "dash" shows the live screens of "ivi" and "map", and its own screens are what the
display shows. Scripts/demo-vm prepares what it needs and calls it; Examples/compositor-vm.toml is the same by hand."""

import os
import sys
from pathlib import Path

from demo import WESTON, Demo, Guest, Sight, main
from harness.environment import MUNTIN_GUEST, PROJECT
from harness.inside import disk_with
from harness.muntin import Screen

SIZE = 480, 360
PLACES = {"ivi": Screen(0, 0, *SIZE), "map": Screen(480, 0, *SIZE)}
NOWHERE = [Screen(0, 0, *SIZE, display=None)]

INSTALL = "cat /dev/vdb >/run/muntin/muntin-guest; chmod +x /run/muntin/muntin-guest"
# Weston's kiosk shell gives each of its outputs the window that has the output's app-id.
CONFIGURATION = "".join(
    f"[output]\\nname=Virtual-{number}\\napp-ids={vm}\\n" for number, vm in enumerate(PLACES, start=1)
)
SHOW = "; ".join(
    f"(until muntin-guest show {vm}:0 --wayland --app-id {vm} --title {vm} --fullscreen; do sleep 1; done) &" for vm in PLACES
).replace("&;", "&")

DEMO = Demo(
    guests={
        "ivi": Guest("kmscube", NOWHERE),
        "map": Guest(f"{WESTON} --no-config -- sh -c 'weston-flower & exec weston-simple-shm'", NOWHERE),
        "dash": Guest(
            f"{INSTALL}; printf '{CONFIGURATION}' >/run/weston.ini; "
            f"{WESTON} --shell=kiosk --config=/run/weston.ini -- sh -c '{SHOW} wait'",
            list(PLACES.values()), settings={"channel": "hub"}, extra=lambda folder: disk_with(MUNTIN_GUEST, folder),
        ),  # fmt: skip
    },
    sights={"ivi": Sight(PLACES["ivi"], 600), "map": Sight(PLACES["map"], 200)},
    size=(960, 360),
    picture=Path(os.environ.get("MUNTIN_DEMO_PICTURE", PROJECT / "demo-vm.png")),
    limit=300.0,
    grants=tuple({"from": f"vm:{vm}", "to": "vm:dash", "display": 0} for vm in PLACES),
)


if __name__ == "__main__":
    sys.exit(main(DEMO))
