"""What README shows is there: the configuration is one, the commands exist with the options that are named."""

import re

from harness.environment import PROJECT
from harness.muntin import muntin

README = (PROJECT / "README.md").read_text()


def test_configuration_is_right(folder, built):
    (configuration,) = re.findall(r"```toml\n(.*?)```", README, re.DOTALL)
    file = folder / "readme.toml"
    file.write_text(configuration)
    muntin("up", "--check", file)


def test_commands_have_the_options_that_are_named(built):
    rows = [line for line in README.splitlines() if line.startswith("| `muntin ")]
    assert len(rows) > 5
    for row in rows:
        for command in re.findall(r"`muntin ([a-z-]+)", row):
            usage = muntin(command, "--help").stdout
            assert all(option in usage for option in re.findall(r"--[a-z-]+", row)), row


def test_everything_that_can_be_listed_is_named(built):
    (row,) = [line for line in README.splitlines() if line.startswith("| `muntin list ")]
    for what in ["vms", "buffers", "displays", "clients", "grants"]:
        assert what in row and what in muntin("list", "--help").stdout
