"""Backups of a server under load, restored elsewhere: whole, clean, and going on; and damage that a check finds."""
import json
import os
import subprocess
import threading

import pytest
from botocore.exceptions import BotoCoreError, ClientError
from harness import PASS, Server, check_chain, client_of, create, history, task, wait_for_status, wait_until


def command(*arguments, code=0):
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("AWS_", "STEPWRIGHT_"))}
    done = subprocess.run(
        [os.environ["STEPWRIGHT_BIN"], *map(str, arguments)], capture_output=True, text=True, timeout=300, env=environment
    )
    assert done.returncode == code, f"{arguments}: exit code {done.returncode}\n{done.stdout}{done.stderr}"
    return done


def check_clean(data):
    report = json.loads(command("check", "--data-directory", data, "--json").stdout)
    assert report["totalFindings"] == 0 and report["findings"] == []
    return report


class Load:
    """Starts executions all the time, and remembers what was acknowledged."""

    def __init__(self, server, machine, threads=4):
        self.acknowledged, self.lock, self.stop = [], threading.Lock(), threading.Event()
        self.threads = [threading.Thread(target=self.run, args=(server, machine, n)) for n in range(threads)]

    def run(self, server, machine, worker):
        sfn = client_of(server)
        for n in range(100_000):
            if self.stop.is_set():
                return
            name = f"w{worker}-{n}"
            try:
                sfn.start_execution(stateMachineArn=machine, name=name, input=json.dumps({"name": name}))
            except (BotoCoreError, ClientError) as error:
                assert self.stop.is_set(), error
                return
            with self.lock:
                self.acknowledged.append(name)

    def __enter__(self):
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self.stop.set()
        for thread in self.threads:
            thread.join(60)

    def so_far(self):
        with self.lock:
            return list(self.acknowledged)


def test_a_backup_under_load_is_restored_elsewhere_and_goes_on(own_server, tmp_path):
    sfn = client_of(own_server)
    machine = create(sfn, "m", PASS)
    activity = sfn.create_activity(name="a")["activityArn"]
    work = create(sfn, "work", task(activity))
    short = create(sfn, "short", {"StartAt": "W", "States": {"W": {"Type": "Wait", "Seconds": 3, "End": True}}})
    held = sfn.start_execution(stateMachineArn=work, name="held")["executionArn"]
    token = sfn.get_activity_task(activityArn=activity)["taskToken"]
    queued = sfn.start_execution(stateMachineArn=work, name="queued")["executionArn"]
    waits = [sfn.start_execution(stateMachineArn=short, name=f"w{n}")["executionArn"] for n in range(3)]
    file = tmp_path / "b.backup"
    with Load(own_server, machine) as load:
        wait_until("some starts", lambda: len(load.so_far()) >= 100, 120)
        before = load.so_far()
        taken = json.loads(command("backup", "--endpoint", own_server.endpoint, "--to", file, "--json").stdout)
        wait_until("starts go on", lambda: len(load.so_far()) > len(before), 60)
    assert taken["bytes"] == file.stat().st_size and taken["position"] > len(before)
    assert file.stat().st_mode & 0o077 == 0, "only its owner may read it"
    refused = command("backup", "--endpoint", own_server.endpoint, "--to", file, code=1)
    assert "is not overwritten" in refused.stderr
    assert [path.name for path in tmp_path.iterdir() if "partial" in path.name] == []
    own_server.kill()

    elsewhere = tmp_path / "elsewhere"
    restored = json.loads(command("restore", "--from", file, "--data-directory", elsewhere, "--json").stdout)
    assert (restored["position"], restored["rows"]) == (taken["position"], taken["rows"])
    assert check_clean(elsewhere)["executions"] >= len(before) + 5
    refused = command("restore", "--from", file, "--data-directory", elsewhere, code=1)
    assert "is not empty" in refused.stderr

    with Server(elsewhere) as server:
        sfn = client_of(server)
        for name in before:
            execution = machine.replace(":stateMachine:", ":execution:") + ":" + name
            described = wait_for_status(sfn, execution, "SUCCEEDED")
            assert json.loads(described["input"]) == {"name": name}
        for execution in waits:
            wait_for_status(sfn, execution, "SUCCEEDED")
        sfn.send_task_success(taskToken=token, output='"from before"')
        assert wait_for_status(sfn, held, "SUCCEEDED")["output"] == '"from before"'
        again = sfn.get_activity_task(activityArn=activity)["taskToken"]
        sfn.send_task_success(taskToken=again, output="2")
        wait_for_status(sfn, queued, "SUCCEEDED")
        for execution in (held, queued, *waits):
            check_chain(history(sfn, execution))
        with pytest.raises(ClientError, match="ExecutionAlreadyExists"):
            sfn.start_execution(stateMachineArn=machine, name=before[0], input="{}")
        server.kill()
    check_clean(elsewhere)


def test_a_stopped_directory_is_backed_up_and_checked_without_a_change(own_server, tmp_path):
    sfn = client_of(own_server)
    machine = create(sfn, "m", PASS)
    for n in range(20):
        sfn.start_execution(stateMachineArn=machine, name=f"e{n}")
    data = own_server.data
    assert "in use by another process" in command("check", "--data-directory", data, code=1).stderr
    assert "in use" in command("backup", "--data-directory", data, "--to", tmp_path / "no", code=1).stderr
    own_server.kill()

    def files():
        found = {}
        for folder, _, names in os.walk(data):
            for name in names:
                path = os.path.join(folder, name)
                with open(path, "rb") as opened:
                    found[path] = opened.read()
        return found

    before = files()
    assert check_clean(data)["executions"] == 20
    (tmp_path / "out").mkdir()
    command("backup", "--data-directory", data, "--to", tmp_path / "out")
    assert files() == before
    (file,) = (tmp_path / "out").iterdir()
    command("restore", "--from", file, "--data-directory", tmp_path / "copy")
    assert check_clean(tmp_path / "copy")["executions"] == 20
    shown = command("check", "--data-directory", tmp_path / "copy").stdout
    assert "fold" in shown and "20 executions" in shown

    damaged = bytearray(file.read_bytes())
    damaged[len(damaged) // 2] ^= 1
    (tmp_path / "damaged").write_bytes(damaged)
    refused = command("restore", "--from", tmp_path / "damaged", "--data-directory", tmp_path / "none", code=1)
    assert "damaged at byte" in refused.stderr and not (tmp_path / "none").exists()


def test_a_backup_is_not_for_web_pages(own_server):
    import urllib.error
    import urllib.request

    def status(method, **headers):
        request = urllib.request.Request(own_server.endpoint + "/_stepwright/backup", method=method, headers=headers)
        try:
            return urllib.request.urlopen(request, timeout=30).status
        except urllib.error.HTTPError as error:
            return error.code

    json_type = {"Content-Type": "application/json"}
    assert status("GET") == 405
    assert status("POST") == 415
    assert status("POST", **json_type, Origin="http://127.0.0.1:1") == 403
    assert status("POST", **json_type) == 200
