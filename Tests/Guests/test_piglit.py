"""OpenGL's conformance tests in a guest: what came of each must be the same with QEMU's own device, which draws with the
same library. MUNTIN_PIGLIT=all runs the whole of piglit.txt (twelve minutes for each side), not a part of it."""

import os
import re
from collections import Counter

import pytest

from harness.environment import PIGLIT, PIGLIT_TESTS
from harness.machines import more_disk, vhost_user_gpu
from harness.muntin import Screen
from harness.own3d import Screenless, own_gpu
from harness.rendering import VIRGL, need_virgl

SIZE = 640, 480
# Some tests make textures as large as there can be: QEMU's own device has no limit.
MACHINE = {**VIRGL, "memory_limit": "4G"}
STRIDE = 1 if os.environ.get("MUNTIN_PIGLIT") == "all" else 20
# What comes out otherwise than with QEMU's own device: each time as the test wants it.
BETTER = {"gl-1.0-scissor-offscreen -fbo -auto": ("fail", "pass")}


def run(machine):
    """What came of each test: {its line: the word}."""
    machine.shell("mount -o ro /dev/vdb /mnt")
    told = machine.shell(f"/mnt/run {STRIDE}", 3600)
    assert "piglit: done" in told, told[-3000:]
    return {int(line): result for line, result in re.findall(r"(?m)^(\d+) (\w+) \d+$", told)}


@pytest.fixture
def own(folder, machines):
    """What came of the tests with QEMU's own device."""
    screenless = Screenless(folder)
    machine = machines(
        "own", own_gpu(SIZE), large=True, display="sdl,gl=on", environment=screenless.environment, extra=more_disk(PIGLIT)
    ).boot()
    results = run(machine)
    machine.kill()
    screenless.end()
    return results


def test_piglit_finds_what_it_finds_with_qemus_own_device(built, own, up, machines):
    need_virgl()
    display = up({"vm": [Screen(0, 0, *SIZE)]}, size=SIZE, limits={"vm": MACHINE})
    machine = machines("vm", vhost_user_gpu(display.socket("vm")), large=True, extra=more_disk(PIGLIT)).boot()
    ours = run(machine)
    tests = [line for line in PIGLIT_TESTS.read_text().splitlines() if not line.startswith("#")]
    print(f"{len(own)} tests; QEMU's own: {dict(Counter(own.values()))}; Muntin: {dict(Counter(ours.values()))}")
    pairs = {tests[line - 1]: (own[line], ours.get(line)) for line in own}
    different = {test: pair for test, pair in pairs.items() if pair[0] != pair[1] and pair != BETTER.get(test)}
    assert not different, "\n".join(f"{test}: {pair[0]}, with Muntin {pair[1]}" for test, pair in different.items())
    assert Counter(ours.values())["pass"] > len(ours) / 2
