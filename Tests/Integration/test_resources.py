"""Resources through files, command line and REST: what is applied, refused, remembered and rolled back."""

import json
import subprocess

import pytest

from conftest import BINARY, Tundish, eventually, free_port

RULE = """
kind: Rule
name: {name}
spec:
  sql: SELECT payload.x AS x FROM "in/#" WHERE payload.x > {limit}
  outputs:
    - publish: {{ topic: "out/{name}" }}
"""


def check(folder, text, name="bad.yaml"):
    (folder / name).write_text(text)
    done = subprocess.run([str(BINARY), "check", name], cwd=folder, capture_output=True, text=True, timeout=60)
    return done.returncode, done.stdout + done.stderr


def test_check_names_file_line_column_and_the_known_keys(tmp_path):
    code, text = check(tmp_path, "kind: Device\nname: a\nspec:\n  driver: modbus_tcp\n  conection: { host: 127.0.0.1 }\n")
    assert code == 1
    assert "bad.yaml:5:3:" in text and "conection" in text and "connection" in text and "groups" in text


def test_check_lists_the_known_drivers(tmp_path):
    code, text = check(tmp_path, "kind: Device\nname: a\nspec:\n  driver: modbsu\n  connection: {}\n")
    assert code == 1 and "bad.yaml:4:" in text and "modbus_tcp" in text


def test_check_points_into_the_sql(tmp_path):
    code, text = check(tmp_path, "kind: Rule\nname: r\nspec:\n  sql: |\n    SELECT x\n    FORM \"a\"\n  outputs: []\n")
    assert code == 1 and "bad.yaml:6:" in text, text


def test_check_points_to_a_bad_address(tmp_path):
    code, text = check(tmp_path, """kind: Device
name: a
spec:
  driver: modbus_tcp
  connection: { host: 127.0.0.1 }
  groups:
    - name: g
      interval: 1s
      tags:
        - { name: t, address: "1!50001", type: uint16 }
""")
    assert code == 1 and "bad.yaml:10:" in text and "area" in text, text


@pytest.mark.parametrize("text", ["kind: [", "\t", "{\"kind\": ", "- 1\n- 2\n", "kind: Nothing\nname: x\nspec: {}\n", "\0\1"])
def test_malformed_files_are_refused_with_a_position(tmp_path, text):
    code, said = check(tmp_path, text)
    assert code == 1 and "bad.yaml:" in said


def test_an_unreadable_file_is_one_sentence(tmp_path):
    done = subprocess.run([str(BINARY), "check", "absent.yaml"], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 1 and "absent.yaml" in done.stdout + done.stderr


def test_the_examples_are_valid():
    from conftest import ROOT

    done = subprocess.run([str(BINARY), "check", "examples"], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def test_an_apply_of_many_documents_is_all_or_nothing(shared_tundish):
    documents = RULE.format(name="good", limit=1) + "---" + RULE.format(name="bad", limit=1).replace("FROM", "FORM")
    answer = shared_tundish.apply(documents, expected=422)
    assert answer["issues"][0]["line"] > 8
    assert shared_tundish.rest("GET", "/api/v1/rules/good").status == 404


def test_plan_apply_history_rollback_delete(shared_tundish):
    node = shared_tundish
    (node.folder / "rule.yaml").write_text(RULE.format(name="story", limit=1))
    assert "+ Rule story" in node.cli("plan", "-f", "rule.yaml").stdout
    assert node.rest("GET", "/api/v1/rules/story").status == 404
    node.cli("apply", "-f", "rule.yaml")
    first = node.get("/api/v1/rules/story")["revision"]
    assert "unchanged" in node.cli("apply", "-f", "rule.yaml").stdout
    assert node.get("/api/v1/rules/story")["revision"] == first
    (node.folder / "rule.yaml").write_text(RULE.format(name="story", limit=2))
    assert "~ Rule story" in node.cli("plan", "-f", "rule.yaml").stdout
    node.cli("apply", "-f", "rule.yaml")
    assert "> 2" in node.get("/api/v1/rules/story")["spec"]["sql"]
    assert "cli" in node.cli("history", "rule", "story").stdout
    node.cli("rollback", "rule", "story", "--to", str(first))
    assert "> 1" in node.get("/api/v1/rules/story")["spec"]["sql"]
    assert "story" in node.cli("get", "rules").stdout
    node.cli("delete", "rule", "story")
    assert node.rest("GET", "/api/v1/rules/story").status == 404
    assert "delete" in node.cli("history", "rule", "story").stdout


def test_if_match_guards_against_lost_updates(shared_tundish):
    node = shared_tundish
    node.apply(RULE.format(name="guarded", limit=1))
    seen = node.get("/api/v1/rules/guarded")
    spec = {**seen["spec"], "sql": seen["spec"]["sql"].replace("> 1", "> 7")}
    assert node.rest("PUT", "/api/v1/rules/guarded", {"spec": spec}).status == 428
    assert node.rest("PUT", "/api/v1/rules/guarded", {"spec": spec}, headers={"If-Match": "999999"}).status == 412
    answer = node.rest("PUT", "/api/v1/rules/guarded", {"spec": spec}, headers={"If-Match": str(seen["revision"])})
    assert answer.status == 200 and answer.json["revision"] > seen["revision"]


def test_a_secret_is_never_echoed(shared_tundish):
    node = shared_tundish
    node.apply("kind: Secret\nname: plant-db\nspec: { value: hunter2-hunter2 }\n")
    assert b"hunter2" not in node.rest("GET", "/api/v1/secrets/plant-db").body
    assert b"hunter2" not in node.rest("GET", "/api/v1/secrets/plant-db/history").body
    for file in node.data.rglob("*"):
        if file.is_file():
            assert b"hunter2" not in file.read_bytes(), file
    assert "hunter2" not in node.log_text()


def test_a_file_is_applied_again_only_if_it_changed_and_undoes_nothing(tmp_path):
    (tmp_path / "rules.yaml").write_text(RULE.format(name="a", limit=1) + "---" + RULE.format(name="b", limit=1))
    (tmp_path / "tundish.yaml").write_text("resources: [ ./rules.yaml ]\n")
    node = Tundish(tmp_path, arguments=["--config", "tundish.yaml"]).start()
    try:
        eventually(lambda: node.rest("GET", "/api/v1/rules/b").status == 200)
        seen = node.get("/api/v1/rules/a")
        spec = {**seen["spec"], "sql": seen["spec"]["sql"].replace("> 1", "> 5")}
        assert node.rest("PUT", "/api/v1/rules/a", {"spec": spec}, headers={"If-Match": str(seen["revision"])}).status == 200
        node.stop()
        node.start()
        assert "> 5" in node.get("/api/v1/rules/a")["spec"]["sql"]
        node.stop()
        (tmp_path / "rules.yaml").write_text(RULE.format(name="a", limit=1))
        node.start()
        eventually(lambda: node.rest("GET", "/api/v1/rules/b").status == 404, what="pruning what the file no longer has")
        assert "> 5" in node.get("/api/v1/rules/a")["spec"]["sql"]
    finally:
        node.stop()


def test_every_controller_reports_a_status(shared_tundish):
    node = shared_tundish
    node.apply(RULE.format(name="watched", limit=1))
    status = eventually(lambda: (lambda s: s if s["state"] == "running" else None)(node.get("/api/v1/rules/watched")["status"]))
    assert status["observedRevision"] == node.get("/api/v1/rules/watched")["revision"]
    port = free_port()
    node.apply(json.dumps({"kind": "Device", "name": "away", "spec": {
        "driver": "modbus_tcp", "connection": {"host": "127.0.0.1", "port": port}, "groups": [
            {"name": "g", "interval": "200ms", "tags": [{"name": "t", "address": "1!400001", "type": "uint16"}]}]}}))
    eventually(lambda: node.get("/api/v1/devices/away")["status"]["state"] == "degraded", what="a degraded device")
    eventually(lambda: node.tags("away")["t"]["error"]["code"] == "device.unreachable", what="the reason at the tag")
