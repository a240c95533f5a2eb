"""Bad input over raw HTTP: a clear AWS error each, no panic, no 500, and nothing lost."""
import http.client
import json
import socket

import pytest
from harness import PASS, ROLE, check_chain, client_of, create, history, wait_for_status

CREDENTIAL = "AWS4-HMAC-SHA256 Credential=test/20260101/us-east-1/states/aws4_request, SignedHeaders=host, Signature=0"
ARN = "arn:aws:states:us-east-1:000000000000"


def post(server, operation, body, headers=None):
    """Sends these bytes and returns the status and the decoded answer."""
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=60)
    if not isinstance(body, bytes):
        body = json.dumps(body).encode()
    known = {
        "Content-Type": "application/x-amz-json-1.0",
        "X-Amz-Target": f"AWSStepFunctions.{operation}",
        "Authorization": CREDENTIAL,
    }
    connection.request("POST", "/", body, known | (headers or {}))
    answer = connection.getresponse()
    text = answer.read()
    connection.close()
    return answer.status, json.loads(text) if text else None


def refused(server, operation, body, kind=None, says=""):
    """The call is answered with an AWS error, of this kind if one is given."""
    status, answer = post(server, operation, body)
    assert 400 <= status < 500, (status, answer)
    found = answer["__type"].rsplit("#")[-1]
    assert found and isinstance(answer.get("message", answer.get("Message", "")), str)
    if kind:
        assert found in (kind if isinstance(kind, tuple) else (kind,)), answer
    assert says in answer.get("message", ""), answer
    return found


@pytest.fixture(scope="module", autouse=True)
def nothing_is_lost(server):
    """What was there before all this is there afterwards, and new work is still done."""
    sfn = client_of(server)
    machine = create(sfn, "before-bad-input", PASS)
    before = sfn.start_execution(stateMachineArn=machine, name="before")["executionArn"]
    wait_for_status(sfn, before, "SUCCEEDED")
    kept = history(sfn, before)
    yield
    assert server.healthy()
    assert history(sfn, before) == kept
    after = sfn.start_execution(stateMachineArn=machine, name="after")["executionArn"]
    wait_for_status(sfn, after, "SUCCEEDED")
    check_chain(history(sfn, after))


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"nonsense",
        b"[]",
        b"7",
        b"null",
        b'{"name": "a"} {"name": "b"}',
        b'{"name": "\xff\xfe"}',
        b"\xef\xbb\xbf{\x00}",
        b'{"name": "\\ud800"}',
        b'{"name": 5}',
        b'{"name": ["a"]}',
        b'{"name": {"a": 1}}',
        b'{"name": "a", "tags": {"key": "k"}}',
        b'{"name": "a", "tags": ["k"]}',
    ],
    ids=lambda body: repr(body[:24]),
)
def test_bodies_that_are_no_request(server, body):
    refused(server, "CreateActivity", body, ("SerializationException", "ValidationException", "InvalidName"))


@pytest.mark.parametrize("levels", [200, 10_000, 100_000])
def test_deep_nesting(server, levels):
    deep = "[" * levels + "]" * levels
    refused(server, "CreateActivity", f'{{"name": {deep}}}'.encode(), "SerializationException")
    # In a member that nobody knows it may be ignored, but it must not hurt.
    status, answer = post(server, "ListActivities", f'{{"unknown": {deep}}}'.encode())
    assert status in (200, 400), answer
    machine = f"{ARN}:stateMachine:before-bad-input"
    if levels > 1_000:
        refused(server, "StartExecution", {"stateMachineArn": machine, "input": deep}, "InvalidExecutionInput")
        states = '{"Choices": [' * levels + "]}" * levels
        definition = f'{{"StartAt": "A", "States": {{"A": {states}}}}}'
        kinds = ("InvalidDefinition", "ValidationException")
        refused(server, "CreateStateMachine", {"name": "deep", "definition": definition, "roleArn": ROLE}, kinds)


def test_deeply_nested_states(server):
    """Parallel in Parallel in Parallel: valid JSON and valid ASL, but no machine anybody wrote."""
    inner = {"StartAt": "P", "States": {"P": {"Type": "Pass", "End": True}}}
    text = json.dumps(inner)
    for _ in range(900):
        text = '{"StartAt": "P", "States": {"P": {"Type": "Parallel", "Branches": [' + text + '], "End": true}}}'
    status, answer = post(server, "CreateStateMachine", {"name": "nested", "definition": text, "roleArn": ROLE})
    assert status in (200, 400), answer


def test_oversized_bodies(server):
    kinds = ("ValidationException", "SerializationException", "RequestEntityTooLargeException", "InvalidExecutionInput")
    machine = f"{ARN}:stateMachine:before-bad-input"
    long = {"name": "long", "definition": json.dumps(PASS) + " " * 1_048_577, "roleArn": ROLE}
    refused(server, "CreateStateMachine", long, ("ValidationException",), "less than or equal to 1048576")
    refused(server, "StartExecution", {"stateMachineArn": machine, "input": json.dumps("x" * 262_144)}, kinds)
    try:
        refused(server, "CreateActivity", {"name": "x" * (64 << 20)})
    except (BrokenPipeError, ConnectionResetError):
        pass  # refused before it was read to its end, which is as good
    refused(server, "CreateActivity", {"name": "x" * 81}, "ValidationException", "less than or equal to 80")


def test_unknown_members_are_ignored(server):
    status, answer = post(server, "ListActivities", {"maxResults": 1, "colour": "blue", "nested": {"a": [1, 2]}})
    assert status == 200, answer
    status, answer = post(server, "ListActivities", {"nextToken": None})
    assert status == 200, "null is the same as absent"


@pytest.mark.parametrize("target", ["AWSStepFunctions.NoSuchThing", "Nonsense", "AWSStepFunctions.", ".", "S3.GetObject"])
def test_unknown_targets(server, target):
    status, answer = post(server, "-", {}, {"X-Amz-Target": target})
    assert status == 400 and answer["__type"].rsplit("#")[-1] == "UnknownOperationException", answer


ABSURD = [
    "",
    "x",
    "arn:",
    "arn:aws:states",
    "arn:aws:states:::",
    "arn:aws:states:us-east-1:000000000000:execution",
    "arn:aws:states:us-east-1:000000000000:execution:",
    "arn:aws:states:us-east-1:000000000000:execution::",
    "arn:aws:states:us-east-1:not-digits:execution:a:b",
    "arn:aws:s3:::bucket/key",
    "arn:aws:states:us-east-1:000000000000:stateMachine:a:b:c:d:e",
    "arn:aws:states:us-east-1:000000000000:nothing:a",
    "arn:aws:states:us-east-1:000000000000:execution:\u0000:\u0007",
    "arn:aws:states:us-east-1:000000000000:execution:💥:\ufffe",
    "arn:aws:states:../../etc:000000000000:execution:..:..",
    "arn:aws:states:us-east-1:000000000000:execution:" + "a" * 10_000,
]
BY_ARN = {
    "DescribeExecution": "executionArn",
    "GetExecutionHistory": "executionArn",
    "StopExecution": "executionArn",
    "DescribeStateMachineForExecution": "executionArn",
    "DescribeStateMachine": "stateMachineArn",
    "StartExecution": "stateMachineArn",
    "ListExecutions": "stateMachineArn",
    "DescribeActivity": "activityArn",
    "GetActivityTask": "activityArn",
    "ListTagsForResource": "resourceArn",
}


@pytest.mark.parametrize("operation", BY_ARN)
def test_absurd_arns(server, operation):
    for arn in ABSURD:
        found = refused(server, operation, {BY_ARN[operation]: arn})
        known = ("InvalidArn", "ValidationException", "ResourceNotFound")
        assert found in known or found.endswith("DoesNotExist"), (arn, found)


@pytest.mark.parametrize("token", ["", "x", "A" * 2048, "A" * 2049, "=" * 16, "\u0000", "💥", "../../.."])
def test_forged_task_tokens(server, token):
    kinds = ("InvalidToken", "ValidationException")
    refused(server, "SendTaskSuccess", {"taskToken": token, "output": "{}"}, kinds)
    refused(server, "SendTaskHeartbeat", {"taskToken": token}, kinds)


@pytest.mark.parametrize(
    "definition",
    ["", "{}", "null", "[]", "{", '"StartAt"', '{"StartAt": 1, "States": 2}', '{"StartAt": "A", "States": {"A": {"Type": "No"}}}'],
)
def test_definitions_that_are_none(server, definition):
    request = {"name": "none", "definition": definition, "roleArn": ROLE}
    refused(server, "CreateStateMachine", request, ("InvalidDefinition", "ValidationException"))


def test_other_methods_and_paths(server):
    for method, path in [("GET", "/"), ("PUT", "/"), ("DELETE", "/x"), ("GET", "/../../etc/passwd"), ("POST", "/nowhere")]:
        connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=30)
        connection.request(method, path, b"{}" if method != "GET" else None)
        answer = connection.getresponse()
        assert answer.status < 500 and b"root:" not in answer.read()
        connection.close()


@pytest.mark.parametrize(
    "data",
    [
        b"\x16\x03\x01\x02\x00\x01\x00",
        b"GET\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n{",
        b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"POST / HTTP/1.1\r\n" + b"X: y\r\n" * 20_000 + b"\r\n",
    ],
    ids=["tls", "no version", "half a body", "negative length", "bad chunk", "many headers"],
)
def test_bytes_that_are_no_http(server, data):
    with socket.create_connection(("127.0.0.1", server.port), timeout=30) as s:
        try:
            s.sendall(data)
            s.shutdown(socket.SHUT_WR)
            while s.recv(65536):
                pass
        except OSError:
            pass  # it hung up in the middle of what we said, which is its right
    assert server.healthy()
