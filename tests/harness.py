"""The real binary as a thing that tests start, kill and start again, and small helpers around it.

The binary is named by STEPWRIGHT_BIN (`cargo xtask test` sets it). Nothing here sleeps and hopes: every wait is for a
condition, with a deadline that only a hanging server meets.
"""
import json
import os
import signal
import socket
import subprocess
import time
import urllib.request

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError

ROLE = "arn:aws:iam::000000000000:role/tests"
REGION = "us-east-1"
TERMINAL = {"ExecutionSucceeded", "ExecutionFailed", "ExecutionAborted", "ExecutionTimedOut"}


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def wait_until(what, condition, seconds=30, pause=0.02):
    """Calls `condition` until it returns something true, and returns that."""
    deadline = time.monotonic() + seconds
    while True:
        result = condition()
        if result:
            return result
        if time.monotonic() > deadline:
            raise AssertionError(f"waited {seconds} s in vain: {what}")
        time.sleep(pause)


class Server:
    """A server on a data directory; it keeps its port over restarts, as a real one would."""

    def __init__(self, data, *options, environment=None):
        self.binary = os.environ.get("STEPWRIGHT_BIN")
        assert self.binary, "STEPWRIGHT_BIN must name the server binary; `cargo xtask test` sets it"
        self.data, self.options, self.environment = str(data), options, environment or {}
        self.port = free_port()
        self.log_path = self.data.rstrip("/") + ".log"
        self.process = None

    @property
    def endpoint(self):
        return f"http://127.0.0.1:{self.port}"

    def start(self):
        command = [self.binary, "serve", "--listen", f"127.0.0.1:{self.port}", "--data-directory", self.data, *self.options]
        self.log = open(self.log_path, "ab")
        environment = {k: v for k, v in os.environ.items() if not k.startswith(("AWS_", "STEPWRIGHT_"))}
        self.process = subprocess.Popen(command, stdout=self.log, stderr=self.log, env=environment | self.environment)
        wait_until("the server is healthy", self.healthy, 30)
        return self

    def healthy(self):
        code = self.process.poll()
        assert code is None, f"the server ended with {code}; its log says:\n{self.said()}"
        try:
            return urllib.request.urlopen(self.endpoint + "/healthz", timeout=5).status == 200
        except OSError:
            return False

    def said(self):
        with open(self.log_path, errors="replace") as log:
            return log.read()

    def kill(self):
        """SIGKILL: no goodbye, nothing flushed."""
        self.process.kill()
        self.process.wait()

    def stop(self, seconds=30):
        """SIGTERM, and the exit code."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(seconds)

    def __enter__(self):
        return self.start()

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.kill()
        self.log.close()
        assert "panicked" not in self.said(), f"the server panicked:\n{self.said()}"


def served(by, operation):
    """Notes that a client called an operation with success, for the table in docs/compatibility.md."""
    folder = os.environ.get("STEPWRIGHT_SERVED_BY")
    if folder:
        with open(os.path.join(folder, by), "a") as file:
            file.write(operation + "\n")


def client_of(server, account="test", region=REGION, **config):
    """A plain boto3 client; it does not try again unless asked to, so that a test sees every answer.

    It puts no `sync-` before the host: no name server knows `sync-127.0.0.1`.
    """
    config = {"retries": {"total_max_attempts": 1}, "read_timeout": 75, "inject_host_prefix": False} | config
    client = boto3.client(
        "stepfunctions",
        endpoint_url=server.endpoint,
        region_name=region,
        aws_access_key_id=account,
        aws_secret_access_key="test",
        config=Config(**config),
    )

    def note(http_response, model, **_):
        if http_response.status_code == 200:
            served("boto3", model.name)

    client.meta.events.register("after-call.sfn", note)
    return client


def create(sfn, name, definition, **more):
    if not isinstance(definition, str):
        definition = json.dumps(definition)
    return sfn.create_state_machine(name=name, definition=definition, roleArn=ROLE, **more)["stateMachineArn"]


def refused(call, *args, **kwargs):
    """The type and message of the error a call answers with."""
    try:
        answer = call(*args, **kwargs)
    except ClientError as error:
        told = error.response
        if "not served by this version" in told["Error"]["Message"]:
            raise
        assert told["ResponseMetadata"]["HTTPStatusCode"] == 400
        assert told["ResponseMetadata"]["RequestId"]
        return type(error).__name__, told["Error"]["Message"]
    raise AssertionError(f"not refused: {answer}")


def wait_for_status(sfn, execution, status, seconds=30):
    def ended():
        answer = sfn.describe_execution(executionArn=execution)
        assert answer["status"] in ("RUNNING", status), f"{answer['status']} instead of {status}: {answer}"
        return answer["status"] == status and answer

    return wait_until(f"{execution} is {status}", ended, seconds)


def history(sfn, execution, page=1000):
    """All events, page by page."""
    events, token = [], {}
    while True:
        answer = sfn.get_execution_history(executionArn=execution, maxResults=page, **token)
        events += answer["events"]
        if "nextToken" not in answer:
            return events
        token = {"nextToken": answer["nextToken"]}


def types(events):
    return [event["type"] for event in events]


def check_chain(events):
    """Ids are 1, 2, 3 … without a gap, and every event follows an earlier one."""
    assert [event["id"] for event in events] == list(range(1, len(events) + 1))
    for event in events:
        assert 0 <= event["previousEventId"] < event["id"], event
    times = [event["timestamp"] for event in events]
    assert times == sorted(times), "time went back"
    assert [t for t in types(events)[:-1] if t in TERMINAL] == [], "something follows the end"


PASS = {"StartAt": "Hello", "States": {"Hello": {"Type": "Pass", "Result": "world", "End": True}}}
FAIL = {"StartAt": "Fail", "States": {"Fail": {"Type": "Fail", "Error": "Broken", "Cause": "on purpose"}}}
WAIT = {"StartAt": "Long", "States": {"Long": {"Type": "Wait", "Seconds": 3600, "End": True}}}


def task(activity_arn, **more):
    return {"StartAt": "Work", "States": {"Work": {"Type": "Task", "Resource": activity_arn, "End": True} | more}}
