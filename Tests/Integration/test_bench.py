"""`tundish bench broker`, as short as it can be: that it measures, accounts and reports, not what the figures are."""

import shutil
import subprocess
import xml.etree.ElementTree

import pytest

from conftest import BINARY


def bench(folder, *arguments, seconds=120):
    return subprocess.run(
        [str(BINARY), "bench", "broker", *arguments], cwd=folder, capture_output=True, text=True, timeout=seconds)


def test_the_list_names_every_scenario(tmp_path):
    listed = bench(tmp_path, "--list")
    assert listed.returncode == 0, listed.stderr
    names = [line.split()[0] for line in listed.stdout.splitlines()]
    assert len(names) == len(set(names)) > 20
    assert "pairs-50-q0-w20-64" in names and "durable-pairs-100" in names


def test_a_scenario_that_nobody_knows_is_refused(tmp_path):
    refused = bench(tmp_path, "--only", "no-such-scenario")
    assert refused.returncode != 0
    assert "--list" in refused.stderr


def test_a_tiny_run_counts_every_message_and_writes_report_and_chart(tmp_path):
    run = bench(
        tmp_path, "--rounds", "1", "--seconds", "0.2", "--without-mosquitto", "--only", "pairs-2-q1-w3-64", "--only",
        "fanin-3-q2-w2-100", "--only", "fanout-3-q0-w2-64", "--only", "pairs-2-q1-w2-64-persistent", "--report",
        "report.md", "--chart", "chart.svg")
    assert run.returncode == 0, run.stdout + run.stderr
    assert "not counted" not in run.stdout, run.stdout
    assert run.stdout.count("deliveries per second") == 4, run.stdout
    report = (tmp_path / "report.md").read_text()
    assert "2 pairs, QoS 1, window 3, 64 bytes" in report
    assert xml.etree.ElementTree.parse(tmp_path / "chart.svg").getroot().tag.endswith("svg")


@pytest.mark.skipif(shutil.which("mosquitto", path="/usr/sbin:/usr/bin") is None, reason="mosquitto is not installed")
def test_mosquitto_runs_in_turn_and_gives_a_ratio(tmp_path):
    run = bench(tmp_path, "--rounds", "1", "--seconds", "0.2", "--only", "pairs-2-q1-w3-64", "--only", "connect")
    assert run.returncode == 0, run.stdout + run.stderr
    assert "mosquitto" in run.stdout and "not counted" not in run.stdout, run.stdout
