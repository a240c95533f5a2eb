"""Logs of executions and status events, told to sinks outside: complete over kill -9, in order, patient with a sink
that is down, and never in the way of executions."""
import hashlib
import hmac
import json
import threading
import time
import urllib.request
from collections import defaultdict
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from botocore.exceptions import BotoCoreError, ClientError
from harness import PASS, Server, client_of, create, free_port, history, wait_for_status, wait_until

SECRET = "a secret of the two of us"
GROUP = "arn:aws:logs:us-east-1:000000000000:log-group:tests:*"
CHAIN = {
    "StartAt": "A",
    "States": {"A": {"Type": "Pass", "Next": "B"}, "B": {"Type": "Wait", "Seconds": 1, "Next": "C"}, "C": {"Type": "Succeed"}},
}


def logging(level="ALL", data=True, group=GROUP):
    return {
        "level": level,
        "includeExecutionData": data,
        "destinations": [{"cloudWatchLogsLogGroup": {"logGroupArn": group}}],
    }


class Receiver:
    """A receiver of webhooks, and as much of CloudWatch Logs as is called. It can be told to refuse or to hang."""

    def __init__(self, port=None):
        self.port = port or free_port()
        self.posts, self.records, self.streams, self.groups = [], [], [], {"tests"}
        self.refuse = lambda event: None
        self.go_on = threading.Event()
        self.go_on.set()
        self.server = None

    def __enter__(self):
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self):
                body = self.rfile.read(int(self.headers["content-length"]))
                receiver.go_on.wait()
                target = self.headers.get("x-amz-target")
                status, answer = receiver.logs(target, json.loads(body)) if target else receiver.hook(self.headers, body)
                out = json.dumps(answer).encode()
                self.send_response(status)
                self.send_header("content-length", str(len(out)))
                try:
                    self.end_headers()
                    self.wfile.write(out)
                except ConnectionError:
                    pass  # Killed, or out of patience.

            def log_message(self, *_):
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", self.port), Handler)
        self.server.daemon_threads = True
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_):
        self.go_on.set()
        self.server.shutdown()
        self.server.server_close()

    def hook(self, headers, body):
        status = self.refuse(json.loads(body)) or 200
        self.posts.append((status, dict(headers.items()), body))
        return status, {}

    def logs(self, target, request):
        group, stream = request["logGroupName"], request["logStreamName"]
        if group not in self.groups:
            return 400, {"__type": "ResourceNotFoundException", "message": "The specified log group does not exist."}
        if target.endswith("CreateLogStream"):
            if stream in self.streams:
                return 400, {"__type": "ResourceAlreadyExistsException", "message": "It exists."}
            self.streams.append(stream)
            return 200, {}
        assert target.endswith("PutLogEvents"), target
        if stream not in self.streams:
            return 400, {"__type": "ResourceNotFoundException", "message": "The specified log stream does not exist."}
        times = [event["timestamp"] for event in request["logEvents"]]
        assert times == sorted(times), "records come in the order of their times"
        self.records += [json.loads(event["message"]) for event in request["logEvents"]]
        return 200, {}

    def taken(self):
        return [json.loads(body) for status, _, body in self.posts if status == 200]

    def url(self, path=""):
        return f"http://127.0.0.1:{self.port}{path}"


@pytest.fixture
def receiver():
    with Receiver() as receiver:
        yield receiver


def hooked(data, receiver, *options):
    return Server(data, "--status-events-webhooks", receiver.url("/hook?from=here"), *options,
                  environment={"STEPWRIGHT_STATUS_EVENTS_WEBHOOK_SECRET": SECRET})


def to_cloudwatch(data, receiver, *options):
    return Server(data, "--status-events-eventbridge", "off", *options, environment={"AWS_ENDPOINT_URL_LOGS": receiver.url()})


def sinks(server):
    return json.load(urllib.request.urlopen(server.endpoint + "/healthz", timeout=5))["sinks"]


def start(sfn, machine, name):
    return sfn.start_execution(stateMachineArn=machine, name=name, input=json.dumps({"name": name}))["executionArn"]


def run(sfn, machine, name, status="SUCCEEDED"):
    execution = start(sfn, machine, name)
    wait_for_status(sfn, execution, status)
    return execution


def verified(headers, body, secret=SECRET):
    """As a receiver would: the time, and the HMAC-SHA256 of time and body."""
    parts = dict(part.split("=", 1) for part in headers["stepwright-signature"].split(","))
    expected = hmac.new(secret.encode(), parts["t"].encode() + b"." + body, hashlib.sha256).hexdigest()
    return hmac.compare_digest(expected, parts["v1"]) and abs(time.time() - int(parts["t"])) < 300


def test_webhooks_are_signed_and_say_what_eventbridge_would(tmp_path, receiver):
    with hooked(tmp_path / "data", receiver) as server:
        sfn = client_of(server)
        machine = create(sfn, "m", PASS)
        execution = run(sfn, machine, "e")
        wait_until("both events are told", lambda: len(receiver.posts) >= 2)
        for status, headers, body in receiver.posts:
            assert verified(headers, body)
            assert not verified(headers, body, "another secret") and not verified(headers, body + b" ")
            assert headers["stepwright-event-id"] == json.loads(body)["id"]
        started, ended = receiver.taken()
        described = sfn.describe_execution(executionArn=execution)
        start, stop = (int(described[name].timestamp() * 1000 + 0.5) for name in ("startDate", "stopDate"))
        assert {key: value for key, value in ended.items() if key not in ("id", "time", "detail")} == {
            "version": "0",
            "detail-type": "Step Functions Execution Status Change",
            "source": "aws.states",
            "account": "000000000000",
            "region": "us-east-1",
            "resources": [execution],
        }
        assert ended["detail"] == {
            "executionArn": execution, "stateMachineArn": machine, "name": "e", "status": "SUCCEEDED",
            "startDate": start, "stopDate": stop, "input": '{"name": "e"}', "output": '"world"',
            "stateMachineVersionArn": None, "stateMachineAliasArn": None,
            "redriveCount": 0, "redriveDate": None, "redriveStatus": "NOT_REDRIVABLE",
            "redriveStatusReason": "Execution is SUCCEEDED and cannot be redriven",
            "inputDetails": {"included": True}, "outputDetails": {"included": True}, "error": None, "cause": None,
        }
        assert started["detail"] == ended["detail"] | {
            "status": "RUNNING", "stopDate": None, "output": None, "outputDetails": None,
            "redriveStatusReason": "Execution is RUNNING and cannot be redriven",
        }


def test_failures_are_told_with_their_error(tmp_path, receiver):
    with hooked(tmp_path / "data", receiver) as server:
        sfn = client_of(server)
        machine = create(sfn, "m", {"StartAt": "F", "States": {"F": {"Type": "Fail", "Error": "E", "Cause": "c"}}})
        run(sfn, machine, "e", "FAILED")
        wait_until("both events are told", lambda: len(receiver.posts) >= 2)
        detail = receiver.taken()[1]["detail"]
        assert [detail[key] for key in ("status", "error", "cause", "output", "outputDetails")] == ["FAILED", "E", "c", None, None]
        assert [detail["redriveStatus"], detail["redriveStatusReason"]] == ["REDRIVABLE", None]


def test_a_redrive_is_told_and_counted(tmp_path, receiver):
    with hooked(tmp_path / "data", receiver, "--execution-logs-destination", "stdout") as server:
        sfn = client_of(server)
        fails = {"StartAt": "F", "States": {"F": {"Type": "Fail", "Error": "E"}}}
        execution = run(sfn, create(sfn, "m", fails, loggingConfiguration=logging("ERROR")), "e", "FAILED")
        wait_until("both events are told", lambda: len(receiver.taken()) >= 2)
        date = sfn.redrive_execution(executionArn=execution)["redriveDate"]
        wait_until("two more are told", lambda: len(receiver.taken()) >= 4)
        told = [event["detail"] for event in receiver.taken()]
        assert [detail["status"] for detail in told] == ["RUNNING", "FAILED", "RUNNING", "FAILED"]
        assert [detail["redriveCount"] for detail in told] == [0, 0, 1, 1]
        at = int(date.timestamp() * 1000 + 0.5)
        assert [detail["redriveDate"] for detail in told] == [None, None, at, at]
        assert told[2]["stopDate"] is None and told[3]["redriveStatus"] == "REDRIVABLE"
        assert len({event["id"] for event in receiver.taken()}) == 4

        def records():
            return [json.loads(line) for line in server.said().splitlines() if line.startswith('{"id"')]

        wait_until("the second failure is logged", lambda: records() and records()[-1]["redrive_count"] == "1")
        kinds = [(record["type"], record["redrive_count"]) for record in records()]
        assert kinds[:2] == [("FailStateEntered", "0"), ("ExecutionFailed", "0")] and kinds[-1] == ("ExecutionFailed", "1")


def test_a_webhook_needs_a_secret(tmp_path):
    server = Server(tmp_path / "data", "--status-events-webhooks", "http://127.0.0.1:1/")
    with pytest.raises(AssertionError, match="status_events.webhook_secret"):
        server.start()


def test_one_execution_that_is_refused_holds_up_no_other(tmp_path, receiver):
    receiver.refuse = lambda event: 500 if event["detail"]["name"] == "bad" else None
    with hooked(tmp_path / "data", receiver) as server:
        sfn = client_of(server)
        machine = create(sfn, "m", PASS)
        run(sfn, machine, "bad")
        for n in range(20):
            run(sfn, machine, f"good{n}")
        wait_until("the good ones are told", lambda: len(receiver.taken()) == 40)
        receiver.refuse = lambda event: None
        wait_until("the bad one is told, too", lambda: len(receiver.taken()) == 42, 60)
        statuses = [event["detail"]["status"] for event in receiver.taken() if event["detail"]["name"] == "bad"]
        assert statuses == ["RUNNING", "SUCCEEDED"]


def test_a_receiver_that_is_down_gets_everything_later_and_in_order(tmp_path):
    receiver = Receiver()
    with hooked(tmp_path / "data", receiver) as server:
        sfn = client_of(server)
        machine = create(sfn, "m", CHAIN)
        for execution in [start(sfn, machine, f"e{n}") for n in range(30)]:
            wait_for_status(sfn, execution, "SUCCEEDED")
        told = wait_until("trouble shows", lambda: sinks(server)["webhook1"]["trouble"] and sinks(server)["webhook1"])
        assert told["backlog"] == 60 and told["delivered"] == 0 and told["retried"] > 0 and told["oldestSeconds"] > 0
        server.kill()
        server.start()
        with receiver:
            wait_until("all is told", lambda: len(receiver.taken()) >= 60, 60)
            by_name = defaultdict(list)
            for event in receiver.taken():
                by_name[event["detail"]["name"]].append(event["detail"]["status"])
            assert by_name == {f"e{n}": ["RUNNING", "SUCCEEDED"] for n in range(30)}
            wait_until("nothing is left", lambda: sinks(server)["webhook1"]["backlog"] == 0)
            assert sinks(server)["webhook1"]["trouble"] is None


def under_load(server, machine, until, threads=6):
    """Starts executions from several threads until told to stop; the ARNs of those that were acknowledged."""
    started, number, lock = [], iter(range(10**9)), threading.Lock()

    def work():
        sfn = client_of(server)
        while not until():
            with lock:
                name = f"e{next(number)}"
            try:
                answer = sfn.start_execution(stateMachineArn=machine, name=name, input=json.dumps({"name": name}))
            except (ClientError, BotoCoreError):
                continue
            started.append(answer["executionArn"])

    with ThreadPoolExecutor(threads) as pool:
        for job in [pool.submit(work) for _ in range(threads)]:
            job.result()
    return started


def check_complete(sfn, started, records):
    """Every event of every execution has a record that says the same, and no record is made up."""
    by_execution = defaultdict(dict)
    order = defaultdict(list)
    for record in records:
        known = by_execution[record["execution_arn"]].setdefault(record["id"], record)
        assert known == record, "what is told again is told the same way"
        order[record["execution_arn"]].append(int(record["id"]))
    for execution in started:
        wait_for_status(sfn, execution, "SUCCEEDED")
        events = history(sfn, execution)
        told = by_execution.pop(execution)
        assert sorted(map(int, told)) == [event["id"] for event in events]
        for event in events:
            record = told[str(event["id"])]
            assert (record["type"], record["previous_event_id"]) == (event["type"], str(event["previousEventId"]))
            assert record["event_timestamp"] == str(int(event["timestamp"].timestamp() * 1000 + 0.5))
        firsts = list(dict.fromkeys(order[execution]))
        assert firsts == sorted(firsts), "the first time, an execution's records come in order"
    # What is left was started and not acknowledged before the kill: it exists all the same.
    for execution in by_execution:
        assert sfn.describe_execution(executionArn=execution)["status"] in ("RUNNING", "SUCCEEDED")


@pytest.mark.parametrize("sink", ["cloudwatch", "file"])
def test_every_record_arrives_over_kill_9(tmp_path, receiver, sink):
    lines = tmp_path / "executions.log"
    if sink == "cloudwatch":
        server = to_cloudwatch(tmp_path / "data", receiver)
    else:
        server = Server(tmp_path / "data", "--execution-logs-destination", "file", "--execution-logs-file", str(lines))
    with server:
        sfn = client_of(server)
        machine = create(sfn, "m", CHAIN, loggingConfiguration=logging())
        started = []
        for _ in range(3):
            end = time.monotonic() + 1.5
            killer = threading.Timer(1.0, server.kill)
            killer.start()
            started += under_load(server, machine, lambda end=end: time.monotonic() > end)
            killer.join()
            server.start()
        assert len(started) > 30
        for execution in started:
            wait_for_status(sfn, execution, "SUCCEEDED")
        wait_until("all is told", lambda: sinks(server)["logs"]["backlog"] == 0, 60)
        assert sinks(server)["logs"]["dropped"] == 0
        if sink == "cloudwatch":
            records = receiver.records
            assert any(stream.startswith("states/m/") for stream in receiver.streams)
        else:
            # A kill may cut a line: it stands alone and is told again.
            records = []
            for line in lines.read_text().splitlines():
                try:
                    records.append(json.loads(line))
                except ValueError:
                    pass
        check_complete(sfn, started, records)


def test_a_hanging_sink_is_in_nobodys_way(tmp_path, receiver):
    receiver.go_on.clear()
    with to_cloudwatch(tmp_path / "data", receiver, "--sinks-backlog", "50") as server:
        sfn = client_of(server)
        # The look at the group gives up, and the machine is taken.
        machine = create(sfn, "m", CHAIN, loggingConfiguration=logging())
        for execution in [start(sfn, machine, f"e{n}") for n in range(100)]:
            wait_for_status(sfn, execution, "SUCCEEDED")
        told = sinks(server)["logs"]
        assert told["backlog"] <= 50 and told["dropped"] > 0 and told["delivered"] == 0
        receiver.go_on.set()
        run(sfn, machine, "last")
        wait_until("the newest are told", lambda: sinks(server)["logs"]["backlog"] == 0, 60)
        names = {record["execution_arn"].rsplit(":", 1)[1] for record in receiver.records}
        # The first were in the sink's hands already.
        assert "last" in names and "e20" not in names


def test_a_log_group_that_is_missing_is_refused_and_one_that_goes_away_is_not_missed(tmp_path, receiver):
    with to_cloudwatch(tmp_path / "data", receiver) as server:
        sfn = client_of(server)
        missing = logging(group=GROUP.replace(":tests:", ":missing:"))
        with pytest.raises(ClientError, match="Invalid Logging Configuration: Log Destination not found."):
            create(sfn, "m", PASS, loggingConfiguration=missing)
        with pytest.raises(ClientError, match="Log Destination not found."):
            create(sfn, "m", PASS, loggingConfiguration=logging(group="arn:aws:sqs:us-east-1:000000000000:tests:*"))
        machine = create(sfn, "m", PASS, loggingConfiguration=logging())
        with pytest.raises(ClientError, match="Log Destination not found."):
            sfn.update_state_machine(stateMachineArn=machine, loggingConfiguration=missing)
        receiver.groups.clear()
        receiver.streams.clear()
        run(sfn, machine, "lost")
        wait_until("it is lost", lambda: sinks(server)["logs"]["dropped"] > 0)
        receiver.groups.add("tests")
        run(sfn, machine, "told")
        wait_until("the next is told", lambda: len(receiver.records) == 4)
        assert {record["execution_arn"].rsplit(":", 1)[1] for record in receiver.records} == {"told"}


def test_records_without_execution_data_have_none(tmp_path, receiver):
    with to_cloudwatch(tmp_path / "data", receiver) as server:
        sfn = client_of(server)
        run(sfn, create(sfn, "with", PASS, loggingConfiguration=logging()), "e")
        run(sfn, create(sfn, "without", PASS, loggingConfiguration=logging(data=False)), "e")
        wait_until("both are told", lambda: len(receiver.records) == 8)
        for record in receiver.records:
            shown = {"input", "inputDetails", "output", "outputDetails"} & record["details"].keys()
            assert bool(shown) == (":with:" in record["execution_arn"]), record


def test_standard_output_takes_records_too(tmp_path):
    with Server(tmp_path / "data", "--execution-logs-destination", "stdout") as server:
        sfn = client_of(server)
        execution = run(sfn, create(sfn, "m", PASS, loggingConfiguration=logging()), "e")

        def records():
            lines = [line for line in server.said().splitlines() if line.startswith('{"id"')]
            return len(lines) == 4 and [json.loads(line) for line in lines]

        told = wait_until("four records", records)
        assert [record["type"] for record in told] == ["ExecutionStarted", "PassStateEntered", "PassStateExited", "ExecutionSucceeded"]
        assert {record["execution_arn"] for record in told} == {execution}


def test_what_waits_at_the_end_is_told_before_it(tmp_path, receiver):
    with to_cloudwatch(tmp_path / "data", receiver) as server:
        sfn = client_of(server)
        machine = create(sfn, "m", PASS, loggingConfiguration=logging())
        execution = run(sfn, machine, "e")
        assert server.stop() == 0
        assert {record["execution_arn"] for record in receiver.records} == {execution}
        told = len(receiver.records)
        server.start()
        run(sfn, machine, "next")
        wait_until("the next is told", lambda: len(receiver.records) >= told + 4)
        assert [record["execution_arn"] for record in receiver.records].count(execution) == 4, "told once, for it was told and forgotten"


@pytest.mark.parametrize("sync", [False, True])
def test_express_executions_are_logged(tmp_path, receiver, sync):
    with to_cloudwatch(tmp_path / "data", receiver) as server:
        sfn = client_of(server, inject_host_prefix=False)
        machine = create(sfn, "m", PASS, type="EXPRESS", loggingConfiguration=logging())
        failing = {"StartAt": "F", "States": {"F": {"Type": "Fail", "Error": "E", "Cause": "c"}}}
        failing = create(sfn, "f", failing, type="EXPRESS", loggingConfiguration=logging("ERROR"))
        quiet = create(sfn, "q", PASS, type="EXPRESS")
        start = sfn.start_sync_execution if sync else sfn.start_execution
        arns = [start(stateMachineArn=arn, name="e", input='{"a": 1}')["executionArn"] for arn in (machine, failing, quiet)]
        wait_until("both are told", lambda: len(receiver.records) >= 6)
        by_arn = {arn: [record for record in receiver.records if record["execution_arn"] == arn] for arn in arns}
        assert ":express:m:e:" in arns[0]
        assert [record["type"] for record in by_arn[arns[0]]] == ["ExecutionStarted", "PassStateEntered", "PassStateExited", "ExecutionSucceeded"]
        assert [record["id"] for record in by_arn[arns[0]]] == ["1", "2", "3", "4"]
        assert by_arn[arns[0]][0]["details"]["input"] == '{"a": 1}'
        assert [(record["id"], record["type"]) for record in by_arn[arns[1]]] == [("2", "FailStateEntered"), ("3", "ExecutionFailed")]
        assert by_arn[arns[1]][1]["details"] == {"error": "E", "cause": "c"}
        assert by_arn[arns[2]] == []
        told = sinks(server)
        assert told["expressLogs"]["dropped"] == 0 and told["logs"]["delivered"] == 0
