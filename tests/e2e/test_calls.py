"""Calls of services by the real binary: kill -9 while they are in flight, limits, and services that hang."""
import http.server
import json
import re
import threading
import time
import urllib.request

import pytest
from harness import Server, client_of, create, history, types, wait_for_status, wait_until

ACCOUNT = "000000000000"
LAMBDA = f"arn:aws:lambda:us-east-1:{ACCOUNT}:function:"


class Service(http.server.ThreadingHTTPServer):
    """Notes when requests come, and answers them with {} once it is told to."""

    daemon_threads = True
    request_queue_size = 1024

    def __init__(self, answers=True):
        super().__init__(("127.0.0.1", 0), Handler)
        self.times, self.paths, self.sent, self.answers = [], [], 0, threading.Event()
        if answers:
            self.answers.set()
        threading.Thread(target=self.serve_forever, daemon=True).start()
        self.url = f"http://127.0.0.1:{self.server_address[1]}"

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.answers.set()
        self.shutdown()
        self.server_close()

    def handle_error(self, *_):
        """Clients that were killed close their connections."""


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def attack(self):
        """By the path of a Lambda function's name: an answer without end, or one that comes byte by byte."""
        self.wfile.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        endless = "/endless/" in self.path
        piece = b"10000\r\n" + b"[" * 0x10000 + b"\r\n" if endless else b"1\r\n[\r\n"
        try:
            while True:
                self.wfile.write(piece)
                self.server.sent += len(piece)
                if not endless:
                    time.sleep(0.05)
        except OSError:
            self.close_connection = True

    def do_POST(self):
        self.rfile.read(int(self.headers.get("content-length") or 0))
        self.server.times.append(time.monotonic())
        self.server.paths.append(self.path)
        self.server.answers.wait()
        if "/endless/" in self.path or "/drip/" in self.path:
            return self.attack()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"{}")


def task(resource, parameters=None, **more):
    state = {"Type": "Task", "Resource": resource, "End": True} | more
    if parameters is not None:
        state["Parameters"] = parameters
    return {"StartAt": "T", "States": {"T": state}}


def metrics(server):
    """The figures of services: {name: {(connector, service): value}}."""
    with urllib.request.urlopen(server.endpoint + "/metrics", timeout=5) as answer:
        assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")
        lines = answer.read().decode().splitlines()
    found = {}
    for line in lines:
        if not line.startswith("#"):
            name, connector, service, value = re.fullmatch(r'stepwright_(\w+){connector="(.*)",service="(.*)"} (.*)', line).groups()
            found.setdefault(name, {})[connector, service] = float(value)
    return found


SQS = {"QueueUrl": "q", "MessageBody": "m"}
CALLS = [
    pytest.param("arn:aws:states:::aws-sdk:dynamodb:listTables", {}, "DynamoDb.SdkClientException", id="sdk"),
    pytest.param("arn:aws:states:::sqs:sendMessage", SQS, "SQS.SdkClientException", id="sqs"),
    pytest.param("arn:aws:states:::lambda:invoke", {"FunctionName": "f"}, "Lambda.SdkClientException", id="lambda"),
]


def calling(service, folder, *options):
    """A server whose tasks call this service."""
    environment = {f"AWS_ENDPOINT_URL_{name}": service.url for name in ("DYNAMODB", "SQS", "LAMBDA")}
    return Server(folder / "data", *options, environment=environment)


@pytest.mark.parametrize("resource, parameters, error", CALLS)
def test_a_call_that_a_kill_hides_fails_and_the_state_may_handle_it(tmp_path, resource, parameters, error):
    with Service(answers=False) as service, calling(service, tmp_path) as server:
        sfn = client_of(server)
        plain = create(sfn, "plain", task(resource, parameters))
        retry = [{"ErrorEquals": [error], "MaxAttempts": 1, "IntervalSeconds": 1}]
        retried = create(sfn, "retried", task(resource, parameters, Retry=retry))
        arns = [sfn.start_execution(stateMachineArn=machine, input="{}")["executionArn"] for machine in (plain, retried)]
        wait_until("both calls are in flight", lambda: len(service.times) == 2)
        server.kill()
        service.answers.set()
        server.start()
        failed = wait_for_status(sfn, arns[0], "FAILED")
        assert failed["error"] == error and "not known whether" in failed["cause"], failed
        wait_for_status(sfn, arns[1], "SUCCEEDED")
        assert types(history(sfn, arns[0]))[2:5] == ["TaskScheduled", "TaskStarted", "TaskFailed"]
        kinds = types(history(sfn, arns[1]))
        assert kinds[2:8] == ["TaskScheduled", "TaskStarted", "TaskFailed", "TaskScheduled", "TaskStarted", "TaskSucceeded"]
        assert len(service.times) == 3, "nothing is sent again but what Retry asks for"


@pytest.mark.parametrize("resource, parameters, error", CALLS)
def test_a_call_that_a_kill_hides_is_sent_again_if_that_is_wanted(tmp_path, resource, parameters, error):
    with Service(answers=False) as service, calling(service, tmp_path, "--tasks-on-lost", "resend") as server:
        sfn = client_of(server)
        execution = sfn.start_execution(stateMachineArn=create(sfn, "m", task(resource, parameters)))["executionArn"]
        for calls in (1, 2):
            wait_until("the call is in flight", lambda: len(service.times) == calls)
            server.kill()
            server.start()
        wait_until("it is in flight once more", lambda: len(service.times) == 3)
        service.answers.set()
        wait_for_status(sfn, execution, "SUCCEEDED")
        kinds = types(history(sfn, execution))
        assert kinds[2:5] == ["TaskScheduled", "TaskStarted", "TaskSucceeded"], "the history knows of one call"
        assert len(service.times) == 3


def test_a_service_that_hangs_delays_nobody_and_is_there_to_be_seen(tmp_path):
    with Service(answers=False) as hanging, Service() as quick:
        environment = {"AWS_ENDPOINT_URL_DYNAMODB": hanging.url, "AWS_ENDPOINT_URL_SSM": quick.url}
        with Server(tmp_path / "data", "--tasks-concurrency", "20", environment=environment) as server:
            sfn = client_of(server)
            hangs = create(sfn, "hangs", task("arn:aws:states:::aws-sdk:dynamodb:listTables", {}))
            held = [sfn.start_execution(stateMachineArn=hangs)["executionArn"] for _ in range(60)]
            wait_until("it has what it may have", lambda: len(hanging.times) == 10)
            machine = create(sfn, "quick", task("arn:aws:states:::aws-sdk:ssm:getParameter", {"Name": "n"}))
            began = time.monotonic()
            for _ in range(30):
                execution = sfn.start_execution(stateMachineArn=machine)["executionArn"]
                wait_for_status(sfn, execution, "SUCCEEDED")
            assert time.monotonic() - began < 20
            figures = metrics(server)
            hung, ran = ("aws-sdk", "dynamodb"), ("aws-sdk", "ssm")
            assert (figures["task_calls_in_flight"][hung], figures["task_calls_waiting"][hung]) == (10, 50)
            assert figures["task_calls_oldest_wait_seconds"][hung] > 0
            assert (figures["task_calls_total"][ran], figures["task_call_failures_total"][ran]) == (30, 0)
            assert figures["task_calls_waiting"][ran] == 0
            hanging.answers.set()
            for execution in held:
                wait_for_status(sfn, execution, "SUCCEEDED")
            figures = metrics(server)
            assert (figures["task_calls_total"][hung], figures["task_calls_waiting"][hung]) == (60, 0)


def test_limits_by_name_in_the_file(tmp_path):
    """Five in flight of one function; twenty a second of another; two of one state machine."""
    file = tmp_path / "stepwright.toml"
    file.write_text("""
        [tasks.limits."lambda:narrow"]
        concurrency = 5
        [tasks.limits."lambda:slow"]
        rate = 20
        [tasks.limits."machine:modest"]
        concurrency = 2
    """)
    with Service(answers=False) as service:
        with calling(service, tmp_path, "--config", str(file)) as server:
            sfn = client_of(server)
            machines = {
                "narrow": create(sfn, "narrow", task(LAMBDA + "narrow")),
                "slow": create(sfn, "slow", task(LAMBDA + "slow")),
                "free": create(sfn, "modest", task(LAMBDA + "free")),
            }
            held = [sfn.start_execution(stateMachineArn=machines[name])["executionArn"] for name in ("narrow", "free") for _ in range(9)]

            def called(name):
                return sum(f"/{name}/" in path for path in service.paths)

            wait_until("as many are called as may be", lambda: (called("narrow"), called("free")) == (5, 2))
            figures = metrics(server)
            assert figures["task_calls_waiting"][("lambda", "narrow")] == 4
            assert figures["task_calls_waiting"][("lambda", "free")] == 7
            service.answers.set()
            for execution in held:
                wait_for_status(sfn, execution, "SUCCEEDED")
            service.times.clear()
            held = [sfn.start_execution(stateMachineArn=machines["slow"])["executionArn"] for _ in range(30)]
            for execution in held:
                wait_for_status(sfn, execution, "SUCCEEDED")
            # Two may begin at once; each of the others has a twentieth of a second to itself. The clocks are two.
            assert len(service.times) == 30 and service.times[-1] - service.times[0] >= 1.3, service.times


def resident(server):
    with urllib.request.urlopen(server.endpoint + "/healthz", timeout=5) as answer:
        return json.load(answer)["process"]["residentBytes"]


@pytest.mark.parametrize("function, error, cause", [
    ("endless", "States.DataLimitExceeded", "returned a result with a size exceeding"),
    ("drip", "Lambda.SdkClientException", "Read timed out"),
])
def test_hostile_answers_take_a_bounded_time_and_memory(tmp_path, function, error, cause):
    with Service() as service, calling(service, tmp_path, "--tasks-answer-seconds", "3") as server:
        sfn = client_of(server)
        hostile = create(sfn, "hostile", task(LAMBDA + function))
        regular = create(sfn, "regular", task(LAMBDA + "regular"))
        before, most = resident(server), 0
        held = [sfn.start_execution(stateMachineArn=hostile)["executionArn"] for _ in range(200)]
        began = time.monotonic()
        while sfn.list_executions(stateMachineArn=hostile, statusFilter="RUNNING", maxResults=1)["executions"]:
            execution = sfn.start_execution(stateMachineArn=regular)["executionArn"]
            wait_for_status(sfn, execution, "SUCCEEDED", 10)
            most = max(most, resident(server))
            assert time.monotonic() - began < 60, "hostile answers hold up their executions"
        for execution in held:
            failed = wait_for_status(sfn, execution, "FAILED")
            assert failed["error"] == error and cause in failed["cause"], failed
        # Answers may hold 64 MiB; the rest is for executions, connections and what the allocator keeps.
        assert most - before < 160 << 20, f"{most - before} bytes more"
