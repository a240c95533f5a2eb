"""`stepwright dev`: what it finds, what it does with a save, what it shows, and that it keeps what it has."""
import json
import os
import queue
import shutil
import signal
import statistics
import subprocess
import sys
import threading
import time

import pytest

from harness import REGION, client_of, wait_for_status, wait_until

HERE = os.path.dirname(__file__)
EXAMPLES = os.path.join(HERE, "..", "..", "examples", "projects")
RUNS = json.load(open(os.path.join(HERE, "dev_examples.json")))
ARN = f"arn:aws:states:{REGION}:000000000000:stateMachine:"


class Dev:
    """`stepwright dev --json` on a folder; its lines as they come."""

    def __init__(self, folder, *options, as_json=True):
        self.folder, self.options, self.as_json = str(folder), options, as_json
        self.lines, self.notes = [], queue.Queue()

    def __enter__(self):
        command = [os.environ["STEPWRIGHT_BIN"], "dev", self.folder, "--port", "0", *self.options]
        environment = {k: v for k, v in os.environ.items() if not k.startswith(("AWS_", "STEPWRIGHT_"))}
        self.process = subprocess.Popen(
            command + (["--json"] if self.as_json else []),
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=environment,
        )
        threading.Thread(target=self.read, daemon=True).start()
        self.endpoint = None
        if self.as_json:
            self.ready = self.wait("ready")
            self.endpoint = self.ready["endpoint"]
            self.sfn = client_of(self, account="000000000000")
        return self

    def read(self):
        for line in self.process.stdout:
            self.lines.append(line)
            if self.as_json and line.startswith("{"):
                self.notes.put((time.monotonic(), json.loads(line)))

    def wait(self, kind, **fields):
        """The next line of a kind; `at` is when it was read."""
        deadline = time.monotonic() + 60
        while True:
            try:
                at, note = self.notes.get(timeout=max(deadline - time.monotonic(), 0.01))
            except queue.Empty:
                raise AssertionError(f"no {kind} {fields} in:\n{''.join(self.lines)}") from None
            if note["type"] == kind and all(note.get(name) == value for name, value in fields.items()):
                return note | {"read": at}

    def run(self, machine, data=None):
        """Starts an execution, waits for its success, and gives its output."""
        started = self.sfn.start_execution(stateMachineArn=ARN + machine, input=json.dumps(data or {}))
        return json.loads(wait_for_status(self.sfn, started["executionArn"], "SUCCEEDED")["output"])

    def stop(self):
        self.process.send_signal(signal.SIGINT)
        return self.process.wait(30)

    def __exit__(self, *_):
        if self.process.poll() is None:
            assert self.stop() == 0, "".join(self.lines)
        said = "".join(self.lines)
        assert "panicked" not in said, said


def passing(result):
    return json.dumps({"StartAt": "A", "States": {"A": {"Type": "Pass", "Result": result, "End": True}}})


def save(path, text):
    """As most editors do: another file takes the place of the one before."""
    path.with_suffix(".saving").write_text(text)
    os.replace(path.with_suffix(".saving"), path)


def test_from_an_empty_folder_to_two_functions_in_five_commands(tmp_path):
    began = time.monotonic()
    folder = tmp_path / "hello"
    script = f"""
        mkdir -p {folder}
        echo 'def handler(event, context): return {{"price": event["count"] * 7}}' > {folder}/price.py
        echo 'exports.handler = async event => `${{event.price}} euros`' > {folder}/show.js
        printf '[functions.price]\\npython = "price.handler"\\n[functions.show]\\nnode = "show.handler"\\n' > {folder}/stepwright.toml
        printf 'StartAt: Price\\nStates:\\n  Price: {{Type: Task, Resource: "${{price}}", Next: Show}}\\n  Show: {{Type: Task, Resource: "${{show}}", End: true}}\\n' > {folder}/hello.asl.yaml
    """
    subprocess.run(["sh", "-ec", script], check=True)
    with Dev(folder) as dev:
        assert dev.ready["functions"] == ["price", "show"]
        assert dev.run("hello", {"count": 6}) == "42 euros"
    assert time.monotonic() - began < 60


def test_a_save_is_live_and_what_runs_stays_as_it_began(tmp_path):
    definition = tmp_path / "flow.asl.json"
    waits = {"StartAt": "W", "States": {"W": {"Type": "Task", "Resource": ARN.replace("stateMachine", "activity") + "go", "Next": "A"}}}
    waits["States"] |= json.loads(passing("first"))["States"]
    save(definition, json.dumps(waits))
    with Dev(tmp_path) as dev:
        early = dev.sfn.start_execution(stateMachineArn=ARN + "flow")["executionArn"]
        took = []
        for number in range(20):
            saved = time.monotonic()
            save(definition, passing(number))
            note = dev.wait("registered", name="flow", what="updated: the next start uses it")
            took.append(note["read"] - saved)
            assert dev.run("flow") == number
        print(f"a save is live after {statistics.median(took) * 1000:.0f} ms (median of {len(took)})")
        assert statistics.median(took) < 10, took
        # Whoever waited all along goes on as it began.
        task = dev.sfn.get_activity_task(activityArn=ARN.replace("stateMachine", "activity") + "go")
        dev.sfn.send_task_success(taskToken=task["taskToken"], output="{}")
        assert wait_for_status(dev.sfn, early, "SUCCEEDED")["output"] == '"first"'


def test_a_broken_file_is_shown_and_the_last_good_revision_stays(tmp_path):
    definition = tmp_path / "flow.asl.yaml"
    definition.write_text(passing("good"))
    with Dev(tmp_path) as dev:
        save(definition, "StartAt: A\nStates:\n  A: {Type: Pass, Next: Nowhere}\n  B: {Type: Succeed}\n")
        problem = dev.wait("problem")
        assert (problem["severity"], problem["file"], problem["line"]) == ("error", "flow.asl.yaml", 3)
        assert "Nowhere" in problem["message"]
        assert dev.run("flow") == "good"
        save(definition, "StartAt: [\n")
        wait_until("what is not YAML is told of", lambda: "YAML" in dev.wait("problem")["message"])
        assert dev.run("flow") == "good"
        save(definition, passing("better"))
        dev.wait("registered", name="flow")
        dev.wait("right")
        assert dev.run("flow") == "better"
        definition.unlink()
        assert "no longer in the folder" in dev.wait("registered", name="flow")["what"]
        assert dev.run("flow") == "better"


def test_a_broken_template_takes_nothing_away(tmp_path):
    folder = tmp_path / "project"
    shutil.copytree(os.path.join(EXAMPLES, "sam-orders"), folder, ignore=shutil.ignore_patterns(".stepwright"))
    template = folder / "template.yaml"
    right, run = template.read_text(), RUNS["sam-orders"]["orders-dev"]
    with Dev(folder) as dev:
        save(template, right.replace("Handler: app.handler", "Handler: [app.handler"))
        assert dev.wait("problem")["file"] == "template.yaml"
        assert dev.run("orders-dev", run["input"]) == run["output"]
        save(template, right.replace("Default: dev", "Default: test"))
        dev.wait("registered", name="orders-test")
        output = dev.run("orders-test", run["input"])
        assert output == {"message": run["output"]["message"].replace("dev", "test")}


def test_state_is_kept_until_it_is_to_be_fresh(tmp_path):
    (tmp_path / "flow.asl.json").write_text(passing(1))
    with Dev(tmp_path) as dev:
        execution = dev.sfn.start_execution(stateMachineArn=ARN + "flow", name="kept")["executionArn"]
        wait_for_status(dev.sfn, execution, "SUCCEEDED")
    assert (tmp_path / ".stepwright" / ".gitignore").read_text() == "*\n"
    with Dev(tmp_path) as dev:
        assert dev.sfn.describe_execution(executionArn=execution)["status"] == "SUCCEEDED"
        second = subprocess.run(
            [os.environ["STEPWRIGHT_BIN"], "dev", str(tmp_path), "--port", "0", "--fresh"], capture_output=True, text=True
        )
        assert second.returncode == 1 and "--fresh" in second.stderr, second
    with Dev(tmp_path, "--fresh") as dev:
        assert dev.sfn.list_executions(stateMachineArn=ARN + "flow")["executions"] == []


def test_what_happens_reads_well_in_a_pipe(tmp_path):
    (tmp_path / "charge.py").write_text(
        "class Busy(Exception): pass\ntries = []\ndef handler(event, context):\n    print('charging', event)\n"
        "    tries.append(1)\n    if len(tries) < 2: raise Busy('later')\n    return len(tries)\n"
    )
    (tmp_path / "stepwright.toml").write_text('[functions.charge]\npython = "charge.handler"\n')
    (tmp_path / "pay.asl.yaml").write_text(
        'StartAt: Pay\nStates:\n  Pay:\n    Type: Task\n    Resource: "${ChargeFunctionArn}"\n'
        "    Retry: [{ErrorEquals: [Busy], IntervalSeconds: 1, MaxAttempts: 2}]\n    End: true\n"
    )
    with Dev(tmp_path, as_json=False) as dev:
        endpoint = wait_until("the server is there", lambda: [line for line in dev.lines if "serving" in line])
        dev.endpoint = endpoint[0].split()[-1]
        dev.sfn = client_of(dev, account="000000000000")
        assert dev.run("pay", {"n": 1}) == 2
        wait_until("the end is shown", lambda: any("SUCCEEDED" in line for line in dev.lines))
        said = "".join(dev.lines)
        for part in ["started with {\"n\": 1}", "> Pay (Task)", "charge  | charging", "Pay failed: Busy: later",
                     "Pay: attempt 2, 1.0 s after Busy", "SUCCEEDED in"]:
            assert part in said, said
        assert "\x1b" not in said
        # New code counts from its next call on.
        (tmp_path / "charge.py").write_text("def handler(event, context): return 'new'\n")
        wait_until("the new code is taken", lambda: any("runs the new code" in line for line in dev.lines))
        assert dev.run("pay") == "new"


def test_every_example_is_run():
    assert sorted(RUNS) == sorted(entry.name for entry in os.scandir(EXAMPLES) if entry.is_dir())


@pytest.mark.parametrize("project", sorted(RUNS))
def test_examples_are_found_and_run(project, tmp_path):
    """Every example as it is, in a copy: what it finds, without a problem, and what comes out of it."""
    folder = tmp_path / project
    shutil.copytree(os.path.join(EXAMPLES, project), folder, ignore=shutil.ignore_patterns(".stepwright"))
    with Dev(folder) as dev:
        problems = [json.loads(line) for line in dev.lines if '"type":"problem"' in line]
        assert problems == []
        for machine, run in RUNS[project].items():
            assert dev.run(machine, run["input"]) == run["output"]


@pytest.mark.parametrize("has_boto3", [True, False])
def test_order_fulfilment_runs_with_its_workers(tmp_path, has_boto3):
    folder = tmp_path / "shop"
    example = os.path.join(HERE, "..", "..", "examples", "order-fulfilment")
    shutil.copytree(example, folder, ignore=shutil.ignore_patterns(".stepwright"))
    if not has_boto3:
        (folder / "boto3.py").write_text("raise ImportError\n")
    with Dev(folder) as dev:
        assert dev.ready["stateMachines"] == ["order-fulfilment"]
        assert dev.ready["workers"] == ["shop"]
        assert dev.ready["activities"] == [
            "charge-card", "notify", "pack-item", "refund", "release-stock", "reserve-stock", "ship",
        ]
        output = dev.run("order-fulfilment", json.loads((folder / "order.json").read_text()))
        assert output["shipment"]["trackingId"]


def alive(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    # One that nobody waited for is gone as well.
    with open(f"/proc/{pid}/stat") as stat:
        return stat.read().rsplit(")")[-1].split()[0] != "Z"


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGKILL])
def test_workers_are_heard_start_again_and_end_with_everything(tmp_path, how):
    script = "echo at $AWS_ENDPOINT_URL_SFN in $AWS_REGION; if [ -e ran ]; then echo pid $$; exec sleep 600; fi; touch ran; exit 3"
    (tmp_path / "a.asl.json").write_text(passing(1))
    (tmp_path / "stepwright.toml").write_text(f"[dev.workers]\nshy = [\"sh\", \"-c\", {json.dumps(script)}]\n")
    with Dev(tmp_path) as dev:
        dev.wait("log", worker="shy", text=f"at {dev.endpoint} in {REGION}")
        assert "ended (exit status: 3); starts again in 1 s" in dev.wait("worker", name="shy")["what"]
        dev.wait("log", worker="shy", text=f"at {dev.endpoint} in {REGION}")
        pid = int(dev.wait("log", worker="shy")["text"].removeprefix("pid "))
        assert alive(pid)
        dev.process.send_signal(how)
        dev.process.wait(30)
        wait_until("the worker is gone", lambda: not alive(pid))
