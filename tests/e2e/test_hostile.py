"""Hostile clients over raw sockets against the real binary: a clear answer each, bounded memory, and a regular client
that is served on. `cargo xtask prove hostile` does the same with ten thousand connections and for longer."""
import contextlib
import json
import resource
import socket
import threading
import time
import urllib.request

import pytest
from harness import PASS, Server, client_of, create, task, wait_for_status, wait_until

POLLS = 600
LIMITS = [
    *("--http-connections", "1000"),
    *("--http-header-seconds", "2"),
    *("--http-body-seconds", "2"),
    *("--http-reply-seconds", "2"),
    *("--http-buffered-bytes", str(8 << 20)),
]
MIB = 1 << 20


@pytest.fixture(scope="module")
def hostile(tmp_path_factory):
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, max(soft, 4_096)), hard))
    with Server(tmp_path_factory.mktemp("hostile"), *LIMITS) as running:
        yield running
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def health(server):
    return json.load(urllib.request.urlopen(server.endpoint + "/healthz", timeout=20))


def connect(server):
    return socket.create_connection(("127.0.0.1", server.port), timeout=20)


def request(operation, body, length=None):
    body = json.dumps(body)
    length = len(body) if length is None else length
    head = f"POST / HTTP/1.1\r\nhost: x\r\nx-amz-target: AWSStepFunctions.{operation}\r\ncontent-length: {length}\r\n\r\n"
    return (head + body).encode()


def said(connection):
    """Everything until the server closes: the status, and the message of the error."""
    heard = b""
    with contextlib.suppress(ConnectionResetError):
        while more := connection.recv(65_536):
            heard += more
    if not heard:
        return None, ""
    head, body = heard.split(b"\r\n\r\n", 1)
    return int(head.split(b" ")[1]), json.loads(body)["message"]


@contextlib.contextmanager
def regular_client(server, name):
    """Starts executions all the while; every one must be answered, and soon."""
    sfn = client_of(server)
    machine = create(sfn, name, PASS)
    over, took, wrong = threading.Event(), [], []

    def calls():
        while not over.is_set():
            begun = time.monotonic()
            try:
                sfn.start_execution(stateMachineArn=machine)
            except Exception as error:  # noqa: BLE001: whatever it is, it is a call that failed
                wrong.append(error)
            took.append(time.monotonic() - begun)
            time.sleep(0.01)

    thread = threading.Thread(target=calls)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()
    assert not wrong, f"{len(wrong)} of {len(took)} calls of a regular client failed: {wrong[0]}"
    took.sort()
    print(f"{name}: {len(took)} calls, p50 {took[len(took) // 2] * 1e3:.1f} ms, max {took[-1] * 1e3:.1f} ms")
    assert took[len(took) // 2] < 1, "half of the calls of a regular client took more than a second"


def test_idle_polls(hostile):
    """Many workers wait; half of them vanish while tasks are handed out, and no task goes with them."""
    sfn = client_of(hostile)
    activity = sfn.create_activity(name="idle")["activityArn"]
    machine = create(sfn, "idle", task(activity))
    before = health(hostile)["process"]["residentBytes"]
    polls = []
    for _ in range(POLLS):
        polls.append(connect(hostile))
        polls[-1].sendall(request("GetActivityTask", {"activityArn": activity}))
    seen = wait_until("all polls wait", lambda: (h := health(hostile))["http"]["longPolls"] == POLLS and h)
    each = (seen["process"]["residentBytes"] - before) // POLLS
    print(f"{each} bytes of memory for each of {POLLS} polls that wait")
    assert each < 64 * 1024
    with regular_client(hostile, "beside-idle-polls"):
        for gone in polls[: POLLS // 2]:
            gone.close()
        executions = [sfn.start_execution(stateMachineArn=machine)["executionArn"] for _ in range(20)]
        left, tokens, deadline = polls[POLLS // 2 :], [], time.monotonic() + 30
        for waiting in left:
            waiting.setblocking(False)
        while len(tokens) < len(executions):
            assert time.monotonic() < deadline, f"{len(tokens)} of {len(executions)} tasks reached a worker"
            for waiting in left:
                with contextlib.suppress(BlockingIOError):
                    if heard := waiting.recv(65_536):
                        tokens.append(json.loads(heard.split(b"\r\n\r\n", 1)[1])["taskToken"])
            time.sleep(0.01)
        assert len(set(tokens)) == len(executions), "a task reached two workers"
        for token in tokens:
            sfn.send_task_success(taskToken=token, output="{}")
        for execution in executions:
            wait_for_status(sfn, execution, "SUCCEEDED")
    for waiting in left:
        waiting.close()
    wait_until("nobody waits", lambda: health(hostile)["http"]["longPolls"] == 0)


def test_half_closed(hostile):
    connection = connect(hostile)
    connection.sendall(request("ListActivities", {}) * 3)
    connection.shutdown(socket.SHUT_WR)
    heard = b""
    while more := connection.recv(65_536):
        heard += more
    assert heard.count(b"HTTP/1.1 200 OK") == 3


@pytest.mark.parametrize(
    "name, sent, status, says",
    [
        ("garbage", b"\x00\xff{]nonsense\r\n\r\n", 400, "no HTTP/1.1 request"),
        ("tls", b"\x16\x03\x01\x00\x2f\x01\x00\x00\x2b\x03\x03" + b"a" * 36, 400, "looks like TLS"),
        ("giant-header", b"POST / HTTP/1.1\r\nx: " + b"x" * 300_000 + b"\r\n\r\n", 431, "http.header_bytes"),
        ("many-headers", b"POST / HTTP/1.1\r\n" + b"a: b\r\n" * 101 + b"\r\n", 431, "http.headers"),
        ("slow-head", b"POST / HTTP/1.1\r\nx-slow: ", 408, "http.header_seconds"),
        ("slow-body", request("ListActivities", {}, 1_000), 400, "http.body_seconds"),
        ("endless-body", request("ListActivities", {}, 99_999_999_999), 400, "http.body_bytes"),
        (
            "chunks",
            b"POST / HTTP/1.1\r\nhost: x\r\nx-amz-target: AWSStepFunctions.ListActivities\r\n"
            b"transfer-encoding: chunked\r\n\r\nffffffffffffffffff\r\n",
            400,
            "could not be read",
        ),
    ],
)
def test_each_gets_a_clear_answer(hostile, name, sent, status, says):
    with regular_client(hostile, f"beside-{name}"):
        connections = []
        for _ in range(20):
            connections.append(connect(hostile))
            with contextlib.suppress(BrokenPipeError, ConnectionResetError):
                connections[-1].sendall(sent)
        for connection in connections:
            found, message = said(connection)
            assert found == status and says in message, (found, message)
            connection.close()


def test_connect_and_close(hostile):
    with regular_client(hostile, "beside-connects"):
        for _ in range(3_000):
            connect(hostile).close()
    wait_until("all are gone", lambda: health(hostile)["http"]["connections"] <= 2)


def answer_or_refusal(connection):
    """An answer's beginning, or all of a refusal."""
    heard = b""
    with contextlib.suppress(ConnectionResetError):
        heard = connection.recv(65_536)
        while heard.startswith(b"HTTP/1.1 503") and (more := connection.recv(65_536)):
            heard += more
    return heard


def test_more_connections_than_allowed(hostile):
    with regular_client(hostile, "beside-connections"):
        held = []
        for _ in range(1_020):
            held.append(connect(hostile))
            # One that was answered may be idle for long; one that says nothing would be closed on a slow machine before
            # the last has come.
            with contextlib.suppress(BrokenPipeError, ConnectionResetError):
                held[-1].sendall(b"GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n")
        # The server need not take them in the order in which they came.
        refused = [said for said in map(answer_or_refusal, held) if said.startswith(b"HTTP/1.1 503")]
        assert refused
        assert all(b"http.connections" in said for said in refused)
        for connection in held:
            connection.close()
    wait_until("all are gone", lambda: health(hostile)["http"]["connections"] <= 2)


def test_bodies_and_answers_stay_within_the_memory_for_them(hostile):
    """Bodies that never end, and answers that are never read, of many clients."""
    sfn = client_of(hostile)
    large = create(sfn, "large", json.dumps(PASS | {"Comment": "x" * 1_000_000}))
    before = health(hostile)
    with regular_client(hostile, "beside-memory"):
        held = [connect(hostile) for _ in range(70)]
        for number, connection in enumerate(held):
            connection.settimeout(2)
            with contextlib.suppress(TimeoutError, BrokenPipeError, ConnectionResetError):
                if number < 10:
                    connection.sendall(request("DescribeStateMachine", {"stateMachineArn": large}) * 5)
                else:
                    connection.sendall(request("ListActivities", {"x": "x" * 200_000}, 4_000_000))

        def freed():
            now = health(hostile)
            some = now["http"]["refused"]["bytes"] > before["http"]["refused"]["bytes"]
            return some and now["http"]["bufferedBytes"] == 0 and now

        after = wait_until("some are refused and all is freed", freed, 60)
        for connection in held:
            connection.close()
    assert after["http"]["bufferedBytesPeak"] <= 8 * MIB
    grown = after["process"]["residentBytes"] - before["process"]["residentBytes"]
    print(f"memory grew by {grown / MIB:.1f} MiB")
    assert grown < 128 * MIB
