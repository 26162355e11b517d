"""The ledger's short form: a broker killed under load keeps what it acknowledged."""

import pathlib
import subprocess
import sys

import pytest

from conftest import BINARY

ROOT = pathlib.Path(__file__).resolve().parents[2]


@pytest.mark.parametrize("seed", [1, 2])
def test_a_killed_broker_loses_nothing_that_it_acknowledged(tmp_path, seed):
    result = subprocess.run(
        [sys.executable, str(ROOT / "Tests" / "Ledger" / "ledger.py"), "--binary", str(BINARY), "--kills", "6", "--seed",
         str(seed), "--folder", str(tmp_path)],
        capture_output=True, text=True, timeout=240)
    assert result.returncode == 0, result.stdout[-4000:] + result.stderr[-2000:]
    assert "missing 0, doubled at QoS 2 0, out of order 0, retained lost 0, sessions lost 0" in result.stdout
