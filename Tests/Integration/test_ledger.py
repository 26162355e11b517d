"""The ledger's short form: a broker killed under load keeps what it acknowledged, and so does one whose disk goes bad."""

import pathlib
import re
import subprocess
import sys

import pytest

from conftest import BINARY

ROOT = pathlib.Path(__file__).resolve().parents[2]


def ledger(folder, *arguments):
    return subprocess.run(
        [sys.executable, str(ROOT / "Tests" / "Ledger" / "ledger.py"), "--binary", str(BINARY), "--folder", str(folder),
         *arguments],
        capture_output=True, text=True, timeout=240)


def holds(result):
    assert result.returncode == 0, result.stdout[-4000:] + result.stderr[-2000:]
    assert "missing 0, doubled at QoS 2 0, out of order 0, retained lost 0, sessions lost 0" in result.stdout


@pytest.mark.parametrize("seed", [1, 2])
def test_a_killed_broker_loses_nothing_that_it_acknowledged(tmp_path, seed):
    holds(ledger(tmp_path, "--kills", "6", "--seed", str(seed)))


@pytest.mark.parametrize("disk", ["full", "read-only", "failing-sync"])
def test_nothing_acknowledged_is_lost_when_the_disk_goes_bad(tmp_path, disk):
    """Twice the disk heals, twice the broker is killed before it does."""
    result = ledger(tmp_path, "--kills", "4", "--disk", disk, "--seed", "1")
    holds(result)
    book = re.search(r"The book of (\d+) kills on a bad disk \(%s\), (\d+) times healed.* (\d+) refused" % disk, result.stdout)
    assert book and all(int(count) > 0 for count in book.groups()), result.stdout
    log = (tmp_path / "tundish.log").read_text()
    assert "what must be kept is refused" in log and "the broker's log is writable again" in log
