"""Functions as local processes, by the real binary: tasks, Lambda's own Invoke, the command line, and kill -9."""
import base64
import json
import os
import subprocess
import sys
import threading

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError
from harness import REGION, Server, client_of, create, history, types, wait_for_status, wait_until

ARN = f"arn:aws:lambda:{REGION}:000000000000:function:"

HANDLERS = """
import os

def charge(event, context):
    print("charging", event["amount"])
    if event["amount"] > 100:
        raise ValueError("too much")
    return {"charged": event["amount"]}

def answer(event, context):
    import json, urllib.request
    body = json.dumps({"taskToken": event["token"], "output": "\\"by token\\""}).encode()
    headers = {"X-Amz-Target": "AWSStepFunctions.SendTaskSuccess", "Content-Type": "application/x-amz-json-1.0"}
    urllib.request.urlopen(urllib.request.Request(os.environ["AWS_ENDPOINT_URL_SFN"], body, headers)).read()

def leave(event, context):
    os._exit(3)

def large(event, context):
    return "x" * (7 << 20)
"""

# Says who it is while it is loaded, which no time limit of an invocation cuts short.
HANG = """
import os, subprocess, time

child = subprocess.Popen(["sleep", "600"])
with open("pids.new", "w") as file:
    file.write("%d %d" % (os.getpid(), child.pid))
os.rename("pids.new", "pids")

def hang(event, context):
    time.sleep(600)
"""

CONFIGURATION = """
[functions.charge]
python = "handlers.charge"
timeout = 60

[functions.count]
node = "src/count.handler"
timeout = 60

[functions.hang]
python = "hang.hang"
timeout = 600

[functions.slow]
python = "hang.hang"
timeout = 0.5

[functions.answer]
python = "handlers.answer"
timeout = 60

[functions.leave]
python = "handlers.leave"
timeout = 60

[functions.large]
python = "handlers.large"
timeout = 60
"""


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "src").mkdir()
    (tmp_path / "handlers.py").write_text(HANDLERS)
    (tmp_path / "src/count.mjs").write_text("let n = 0; export const handler = async () => ++n;")
    (tmp_path / "hang.py").write_text(HANG)
    (tmp_path / "stepwright.toml").write_text(CONFIGURATION)
    return tmp_path


@pytest.fixture
def server(folder):
    with started(folder) as server:
        yield server


def started(folder):
    return Server(folder / "data", "--config", str(folder / "stepwright.toml"))


def lambda_of(server):
    config = Config(retries={"total_max_attempts": 1})
    keys = {"aws_access_key_id": "test", "aws_secret_access_key": "test"}
    return boto3.client("lambda", endpoint_url=server.endpoint, region_name=REGION, config=config, **keys)


def run(server, *arguments):
    environment = os.environ | {"STEPWRIGHT_ENDPOINT": server.endpoint}
    command = [server.binary, "functions", *arguments]
    return subprocess.run(command, capture_output=True, text=True, env=environment, timeout=60)


def machine(resource, **more):
    return {"StartAt": "Call", "States": {"Call": {"Type": "Task", "Resource": resource, "End": True} | more}}


def outcome(sfn, definition, status, event):
    arn = create(sfn, f"m{abs(hash(json.dumps(definition)))}", definition)
    execution = sfn.start_execution(stateMachineArn=arn, input=json.dumps(event))["executionArn"]
    return wait_for_status(sfn, execution, status), execution


def gone(pid):
    return not os.path.exists(f"/proc/{pid}")


def pids(file):
    return wait_until("the function runs", lambda: file.exists() and file.read_text()).split()


def test_tasks_call_functions_in_each_form(server):
    sfn = client_of(server)
    direct, execution = outcome(sfn, machine(ARN + "charge"), "SUCCEEDED", {"amount": 7})
    assert json.loads(direct["output"]) == {"charged": 7}
    assert "LambdaFunctionSucceeded" in types(history(sfn, execution))
    optimized = machine("arn:aws:states:::lambda:invoke", Parameters={"FunctionName": "charge", "Payload.$": "$"})
    answer = json.loads(outcome(sfn, optimized, "SUCCEEDED", {"amount": 8})[0]["output"])
    assert answer["Payload"] == {"charged": 8}
    assert (answer["StatusCode"], answer["ExecutedVersion"]) == (200, "$LATEST")
    assert set(answer["SdkHttpMetadata"]["HttpHeaders"]) >= {"x-amzn-RequestId", "X-Amz-Executed-Version", "Date"}
    sdk = machine("arn:aws:states:::aws-sdk:lambda:invoke", Parameters={"FunctionName": "charge", "Payload.$": "$"})
    answer = json.loads(outcome(sfn, sdk, "SUCCEEDED", {"amount": 9})[0]["output"])
    assert json.loads(answer["Payload"]) == {"charged": 9}


def test_a_function_can_answer_its_task_by_token(server):
    parameters = {"FunctionName": "answer", "Payload": {"token.$": "$$.Task.Token"}}
    waits = machine("arn:aws:states:::lambda:invoke.waitForTaskToken", Parameters=parameters)
    assert outcome(client_of(server), waits, "SUCCEEDED", {})[0]["output"] == '"by token"'


@pytest.mark.parametrize(
    "function, event, error, cause",
    [
        ("charge", {"amount": 101}, "ValueError", '"errorMessage": "too much"'),
        ("leave", {}, "Runtime.ExitError", "Error: Runtime exited with error: exit status 3"),
        ("large", {}, "Function.ResponseSizeTooLarge", "exceeded maximum allowed payload size (6291556 bytes)"),
        ("nobody", {}, "Lambda.ResourceNotFoundException", f"Function not found: {ARN}nobody:$LATEST (Service: AWSLambda;"),
    ],
)
def test_errors_are_lambdas(folder, function, event, error, cause):
    # No credentials, and no place that might have some: nobody else can be asked for a function.
    environment = {"AWS_EC2_METADATA_DISABLED": "true", "HOME": str(folder)}
    with Server(folder / "data", "--config", str(folder / "stepwright.toml"), environment=environment) as server:
        ended, _ = outcome(client_of(server), machine(ARN + function), "FAILED", event)
        assert ended["error"] == error
        assert cause in ended["cause"]


def test_a_time_limit_is_kept_and_told_as_on_aws(folder, server):
    ended, _ = outcome(client_of(server), machine(ARN + "slow"), "FAILED", {})
    assert ended["error"] == "Sandbox.Timedout"
    told = json.loads(ended["cause"])
    assert told["errorType"] == "Sandbox.Timedout"
    assert told["errorMessage"].startswith("RequestId: ")
    assert told["errorMessage"].endswith(" Error: Task timed out after 0.50 seconds")
    for pid in pids(folder / "pids"):
        wait_until("the function's process is gone", lambda: gone(pid))


def test_lambdas_own_clients_call_functions(server):
    client = lambda_of(server)
    answer = client.invoke(FunctionName="charge", Payload=b'{"amount": 5}', LogType="Tail")
    assert (answer["StatusCode"], json.load(answer["Payload"])) == (200, {"charged": 5})
    assert "charging 5\n" in base64.b64decode(answer["LogResult"]).decode()
    answer = client.invoke(FunctionName=ARN + "charge", Qualifier="live", Payload=b'{"amount": 500}')
    assert (answer["FunctionError"], json.load(answer["Payload"])["errorType"]) == ("Unhandled", "ValueError")
    assert client.invoke(FunctionName="charge", InvocationType="DryRun")["StatusCode"] == 204
    assert client.invoke(FunctionName="count", InvocationType="Event")["StatusCode"] == 202
    wait_until("it ran", lambda: json.load(client.invoke(FunctionName="count")["Payload"]) >= 2)
    names = [function["FunctionName"] for function in client.list_functions()["Functions"]]
    assert names == sorted(["charge", "count", "hang", "slow", "answer", "leave", "large"])
    assert client.get_function(FunctionName="charge")["Configuration"]["Handler"] == "handlers.charge"
    assert client.get_function_configuration(FunctionName="slow")["Timeout"] == 1
    for call in (client.invoke, client.get_function):
        with pytest.raises(client.exceptions.ResourceNotFoundException, match="Function not found: " + ARN + "nobody"):
            call(FunctionName="nobody")
    with pytest.raises(client.exceptions.InvalidRequestContentException):
        client.invoke(FunctionName="charge", Payload=b"{")


def test_awss_own_client_for_python_works_unchanged(folder):
    pytest.importorskip("awslambdaric")
    command = json.dumps([sys.executable, "-m", "awslambdaric", "handlers.charge"])
    broken = json.dumps([sys.executable, "-m", "awslambdaric", "nowhere.charge"])
    (folder / "stepwright.toml").write_text(
        f"[functions.a]\ncommand = {command}\ntimeout = 60\n[functions.b]\ncommand = {broken}\ntimeout = 60\n"
    )
    with started(folder) as server:
        client = lambda_of(server)
        for amount in (1, 2):
            answer = client.invoke(FunctionName="a", Payload=json.dumps({"amount": amount}), LogType="Tail")
            assert json.load(answer["Payload"]) == {"charged": amount}
            assert f"charging {amount}\n" in base64.b64decode(answer["LogResult"]).decode()
        answer = client.invoke(FunctionName="a", Payload=b'{"amount": 500}')
        assert json.load(answer["Payload"])["errorMessage"] == "too much"
        answer = client.invoke(FunctionName="b")
        assert json.load(answer["Payload"])["errorType"] == "Runtime.ImportModuleError"


def test_web_pages_call_no_functions(server):
    import urllib.error
    import urllib.request

    def status(**headers):
        url = f"{server.endpoint}/2015-03-31/functions/charge/invocations"
        request = urllib.request.Request(url, b'{"amount": 1}', {k.replace("_", "-"): v for k, v in headers.items()})
        try:
            return urllib.request.urlopen(request).status
        except urllib.error.HTTPError as error:
            return error.code

    assert status() == 200
    assert status(Origin=server.endpoint) == 200
    assert status(Origin="https://example.com") == 403
    assert status(Origin="null") == 403
    assert status(Sec_Fetch_Site="cross-site") == 403


def test_the_command_line(server):
    done = run(server, "invoke", "charge", "--payload", '{"amount": 3}', "--log")
    assert (done.returncode, done.stdout) == (0, '{"charged": 3}\n')
    assert done.stderr.startswith("START RequestId: ") and "charging 3\n" in done.stderr
    done = run(server, "invoke", "charge", "--payload", '{"amount": 300}')
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith('error: the function charge failed: {"errorMessage": "too much"')
    done = json.loads(run(server, "invoke", "charge", "--payload", '{"amount": 3}', "--json").stdout)
    assert (done["StatusCode"], done["Payload"], done["FunctionError"]) == (200, {"charged": 3}, None)
    done = run(server, "invoke", "nobody")
    assert (done.returncode, done.stderr) == (1, f"error: ResourceNotFoundException: Function not found: {ARN}nobody\n")
    assert run(server, "invoke", "charge", "--payload", "{").returncode == 2
    rows = run(server, "list").stdout.splitlines()
    assert rows[0].split() == ["FUNCTION", "PROCESSES", "RUNS"]
    assert any(row.startswith("charge ") and row.endswith("0 busy, 1 warm  python handlers.charge") for row in rows)
    listed = {row["name"]: row for row in json.loads(run(server, "list", "--json").stdout)["functions"]}
    assert (listed["charge"]["processes"], listed["hang"]["processes"]) == (1, 0)
    assert "  charge  charging 300\n" in run(server, "logs").stdout
    assert run(server, "logs", "count").stdout == ""
    lines = [json.loads(line) for line in run(server, "logs", "charge", "--json").stdout.splitlines()]
    assert {line["stream"] for line in lines} == {"stdout", "platform"}
    missing = run(server, "logs", "nobody")
    assert missing.returncode == 1 and "There is no function nobody; there are: answer, charge" in missing.stderr


def test_logs_are_followed(server):
    command = [server.binary, "functions", "logs", "charge", "--follow", "--endpoint", server.endpoint]
    follower = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    lines = []
    threading.Thread(target=lambda: lines.extend(iter(follower.stdout.readline, "")), daemon=True).start()
    try:
        for amount in (1, 2):
            assert run(server, "invoke", "charge", "--payload", json.dumps({"amount": amount})).returncode == 0
            wait_until("the line is shown", lambda: any(line.endswith(f"charging {amount}\n") for line in lines))
        # Once each, and in order.
        assert [line.split("charging ")[1] for line in lines if "charging" in line] == ["1\n", "2\n"]
    finally:
        follower.kill()
        follower.wait()


def test_no_process_is_left_when_the_server_is_killed(folder):
    with started(folder) as server:
        warm = json.load(lambda_of(server).invoke(FunctionName="count")["Payload"])
        assert warm == 1
        sfn = client_of(server)
        arn = create(sfn, "hangs", machine(ARN + "hang"))
        sfn.start_execution(stateMachineArn=arn, input="{}")
        running = pids(folder / "pids")
        children = children_of(server.process.pid)
        assert set(running[:1]) < set(children), "the function and the guard are children of the server"
        server.kill()
        for pid in {*running, *children}:
            wait_until(f"process {pid} is gone", lambda: gone(pid))


def test_no_process_is_left_when_the_server_stops(folder):
    with started(folder) as server:
        assert lambda_of(server).invoke(FunctionName="count")["StatusCode"] == 200
        children = children_of(server.process.pid)
        assert len(children) == 2
        assert server.stop() == 0
        for pid in children:
            wait_until(f"process {pid} is gone", lambda: gone(pid))


def children_of(pid):
    found = []
    for entry in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{entry}/stat") as stat:
                if stat.read().rsplit(")", 1)[1].split()[1] == str(pid):
                    found.append(entry)
        except OSError:
            pass
    return found


def test_the_guard_that_dies_is_replaced(folder):
    with started(folder) as server:
        assert lambda_of(server).invoke(FunctionName="count")["StatusCode"] == 200
        (guard,) = [pid for pid in children_of(server.process.pid) if "function-guard" in arguments(pid)]
        os.kill(int(guard), 9)
        with pytest.raises(ClientError):
            lambda_of(server).invoke(FunctionName="nobody")
        assert lambda_of(server).invoke(FunctionName="leave")["FunctionError"] == "Unhandled"

        def replaced():
            return [pid for pid in children_of(server.process.pid) if "function-guard" in arguments(pid) and pid != guard]

        (second,) = wait_until("there is another guard", replaced)
        children = children_of(server.process.pid)
        server.kill()
        for pid in {*children, second}:
            wait_until(f"process {pid} is gone", lambda: gone(pid))


def arguments(pid):
    try:
        with open(f"/proc/{pid}/cmdline") as file:
            return file.read()
    except OSError:
        return ""
