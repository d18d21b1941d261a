"""A Wayland compositor of the host: Weston without a screen, whose picture can be taken."""

import os
import subprocess
from pathlib import Path

from PIL import Image

from .processes import Process
from .waiting import wait_for


class Weston:
    """Weston's headless backend with a desktop; ends with the test."""

    def __init__(self, folder, size=(640, 480)):
        self._folder = Path(folder) / "weston"
        self._folder.mkdir(mode=0o700)
        self._environment = {"XDG_RUNTIME_DIR": str(self._folder), "WAYLAND_DISPLAY": "wayland-0"}
        self.socket = self._folder / "wayland-0"
        width, height = size
        self._arguments = [
            "weston", "--backend=headless-backend.so", *self._pixman(), "--no-config", "--debug", "--idle-time=0",
            f"--width={width}", f"--height={height}", "--socket=wayland-0",
        ]  # fmt: skip
        self.start()

    def start(self):
        """Starts it, again when it was killed."""
        self.socket.unlink(missing_ok=True)
        self.process = Process("weston", self._arguments, self._folder, environment={"XDG_RUNTIME_DIR": str(self._folder)})
        wait_for(lambda: self.socket.exists() or not self.process.is_running, "Weston listens")
        self.process.expect_running()

    @staticmethod
    def _pixman():
        """Weston 12 renamed the option."""
        version = subprocess.run(["weston", "--version"], capture_output=True, text=True, check=True).stdout
        return ["--use-pixman" if int(version.split()[1].split(".")[0]) < 12 else "--renderer=pixman"]

    def screenshot(self):
        """What the compositor shows."""
        environment = {**os.environ, **self._environment}
        subprocess.run(["weston-screenshooter"], cwd=self._folder, env=environment, check=True, capture_output=True)
        (path,) = self._folder.glob("*.png")
        with Image.open(path) as picture:
            shot = picture.convert("RGB")
        path.unlink()
        return shot

    def pixels(self, colour):
        """How many pixels have a colour."""
        shot = self.screenshot()
        return next((count for count, found in shot.getcolors(shot.width * shot.height) if found == colour), 0)

    def kill(self):
        self.process.kill()
