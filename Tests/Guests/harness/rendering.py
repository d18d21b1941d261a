"""3D: whether this program has it, and what guests do with it."""

import json
import re

import pytest

from .muntin import muntin

# What a machine's configuration has besides.
VIRGL = {"virgl": True}

# What kmscube clears to, and the same in a format whose halves are rounded up.
CUBE_BACKGROUND = [(127, 127, 127), (128, 128, 128)]


def need_virgl():
    """Skips a test where the program offers no 3D: libvirglrenderer is loaded at run time."""
    if "virgl" not in json.loads(muntin("gpu", "--print-capabilities").stdout).get("features", []):
        pytest.skip("muntin gpu --print-capabilities names no virgl: libvirglrenderer1 is not installed")


def renderers(machine):
    """The OpenGL drivers that a guest's programs get."""
    told = machine.shell("eglinfo.x86_64-linux-gnu -B -p gbm", 60)
    return set(re.findall(r"(?m)^OpenGL .*profile renderer: (.*)$", told))


def start_cube(machine, arguments=""):
    machine.console.start(f"kmscube {arguments}")


def is_cube(picture):
    """A shaded cube before kmscube's grey."""
    width, height = picture.size
    corners = [picture.getpixel(place) for place in [(0, 0), (width - 1, 0), (0, height - 1), (width - 1, height - 1)]]
    return len(set(corners)) == 1 and corners[0] in CUBE_BACKGROUND and _shades(picture) > 2000


def _shades(picture):
    return len(picture.getcolors(maxcolors=1 << 24))


def start_weston(machine, *, size):
    """Weston with the OpenGL renderer on the guest's screen; programs of the guest's shell are its clients then."""
    output = f"[output]\\nname=Virtual-1\\nmode={size[0]}x{size[1]}\\n"
    machine.shell(f"printf '{output}' >/tmp/weston.ini")
    options = "--idle-time=0 --renderer=gl --log=/tmp/weston.log --config=/tmp/weston.ini --socket=wayland-0"
    machine.console.start(f"seatd-launch -- weston {options}")
    wait = "for i in $(seq 100); do [ -S /run/wayland-0 ] && break; sleep 0.2; done; [ -S /run/wayland-0 ]"
    machine.shell(wait, 60)


def glmark(machine, scenes, seconds=1.0, options="--fullscreen"):
    """Frames per second of glmark2's scenes in Weston: {scene: frames}."""
    wanted = " ".join(f"-b {scene}:duration={seconds}" for scene in scenes)
    told = machine.shell(f"WAYLAND_DISPLAY=wayland-0 glmark2-es2-wayland {options} {wanted}", 60 + 20 * len(scenes))
    found = dict(re.findall(r"\[(\w+)\][^\n]*FPS: (\d+)", told))
    assert list(found) == list(scenes), told[-2000:]
    return {scene: int(frames) for scene, frames in found.items()}
