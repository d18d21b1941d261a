"""Processes that a test starts: logged to files, and never left behind."""

import ctypes
import os
import signal
import subprocess
from pathlib import Path

from .waiting import wait_for

_libc = ctypes.CDLL(None, use_errno=True)
_PR_SET_PDEATHSIG = 1


def _end_with_parent():
    _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


class Process:
    """A running program. Its output goes to a log file; it ends with the test at the latest."""

    def __init__(self, name, arguments, folder, environment=None, pass_fds=()):
        self.name = name
        self.log_path = Path(folder) / f"{name}.log"
        self.arguments = [str(argument) for argument in arguments]
        with open(self.log_path, "ab") as log:
            self._popen = subprocess.Popen(
                self.arguments,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                cwd=folder,
                env={**os.environ, **(environment or {})},
                pass_fds=pass_fds,
                preexec_fn=_end_with_parent,
            )

    @property
    def pid(self):
        return self._popen.pid

    @property
    def log(self):
        return self.log_path.read_text(errors="replace")

    @property
    def is_running(self):
        return self._popen.poll() is None

    def expect_running(self):
        assert self.is_running, f"{self.name} ended with status {self._popen.returncode}:\n{self.log[-4000:]}"

    def signal(self, number):
        self._popen.send_signal(number)

    def wait(self, seconds=10.0):
        """The exit status, once it has ended by itself."""
        wait_for(lambda: not self.is_running, f"{self.name} ends:\n{self.log[-2000:]}", seconds)
        return self._popen.returncode

    def kill(self):
        """Ends it as a crash would: SIGKILL, no clean-up."""
        if self.is_running:
            self._popen.kill()
        self._popen.wait()

    def stop(self, seconds=10.0):
        """Ends it as a user would (SIGTERM) and returns the status; kills it, and raises, if it does not obey."""
        if self.is_running:
            self._popen.terminate()
        try:
            return self.wait(seconds)
        finally:
            self.kill()


def children_of(pid):
    """Running processes whose parent is `pid`: {pid: command line}."""
    found = {}
    for folder in Path("/proc").iterdir():
        if not folder.name.isdigit():
            continue
        try:
            stat = (folder / "stat").read_text()
            command = (folder / "cmdline").read_bytes().split(b"\0")
        except OSError:
            continue
        state, parent = stat[stat.rindex(")") + 2 :].split()[:2]
        if int(parent) == pid and state != "Z":
            found[int(folder.name)] = [part.decode(errors="replace") for part in command if part]
    return found


def is_running(pid):
    """Whether a process, of whomever, is there and no zombie."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return False
    return stat.rpartition(")")[2].split()[0] != "Z"


def threads(pid):
    """What each thread of a process says of its sandbox."""
    for thread in os.listdir(f"/proc/{pid}/task"):
        status = Path(f"/proc/{pid}/task/{thread}/status").read_text()
        yield dict(line.split(":\t", 1) for line in status.splitlines() if ":\t" in line)


def is_shut_in(pid):
    """Whether each thread has a filter of system calls, and gets no new privileges."""
    return all(thread["Seccomp"] == "2" and thread["NoNewPrivs"] == "1" for thread in threads(pid))
