"""The AWS CLI against the real binary, as a user at a prompt."""
import json
import os
import subprocess
import sys

import pytest
from harness import PASS, ROLE, WAIT, create, task, wait_for_status

CLI = os.path.join(os.path.dirname(sys.executable), "aws")


@pytest.fixture
def aws(server, tmp_path):
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": str(tmp_path),
        "AWS_ENDPOINT_URL": server.endpoint,
        "AWS_REGION": "us-east-1",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_PAGER": "",
    }

    def run(*arguments, fails=None):
        command = [sys.executable, CLI, "stepfunctions", *arguments, "--output", "json"]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120)
        if fails:
            assert done.returncode != 0 and f"({fails})" in done.stderr, done.stderr
            return done.stderr
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout) if done.stdout.strip() else None

    return run


def test_create_start_describe_list_page_history(aws, sfn, name, tmp_path):
    file = tmp_path / "definition.json"
    file.write_text(json.dumps(PASS))
    created = aws("create-state-machine", "--name", name, "--definition", f"file://{file}", "--role-arn", ROLE)
    machine = created["stateMachineArn"]
    assert aws("describe-state-machine", "--state-machine-arn", machine)["definition"] == json.dumps(PASS)
    arns = []
    for i in range(3):
        start = aws("start-execution", "--state-machine-arn", machine, "--name", f"n{i}", "--input", '{"a": 1}')
        arns.append(start["executionArn"])
        wait_for_status(sfn, start["executionArn"], "SUCCEEDED")
    assert aws("describe-execution", "--execution-arn", arns[0])["output"] == '"world"'
    listed = aws("list-executions", "--state-machine-arn", machine, "--page-size", "1")["executions"]
    assert sorted(item["executionArn"] for item in listed) == sorted(arns)
    first = aws("list-executions", "--state-machine-arn", machine, "--max-items", "2")
    rest = aws("list-executions", "--state-machine-arn", machine, "--starting-token", first["NextToken"])
    assert len(first["executions"]) + len(rest["executions"]) == 3
    events = aws("get-execution-history", "--execution-arn", arns[0])["events"]
    assert [event["id"] for event in events] == [1, 2, 3, 4]


def test_stop_and_errors(aws, sfn, name):
    machine = create(sfn, name, WAIT)
    execution = aws("start-execution", "--state-machine-arn", machine)["executionArn"]
    aws("stop-execution", "--execution-arn", execution, "--error", "Enough", "--cause", "too long")
    described = aws("describe-execution", "--execution-arn", execution)
    assert (described["status"], described["error"], described["cause"]) == ("ABORTED", "Enough", "too long")
    said = aws("describe-execution", "--execution-arn", execution + "-none", fails="ExecutionDoesNotExist")
    assert f"Execution Does Not Exist: '{execution}-none'" in said


def test_activity_round_trip_and_tags(aws, sfn, name):
    activity = aws("create-activity", "--name", name)["activityArn"]
    aws("tag-resource", "--resource-arn", activity, "--tags", "key=team,value=orders")
    assert aws("list-tags-for-resource", "--resource-arn", activity)["tags"] == [{"key": "team", "value": "orders"}]
    execution = sfn.start_execution(stateMachineArn=create(sfn, name, task(activity)), input='"in"')["executionArn"]
    given = aws("get-activity-task", "--activity-arn", activity, "--worker-name", "cli")
    assert given["input"] == '"in"'
    aws("send-task-success", "--task-token", given["taskToken"], "--task-output", '"out"')
    assert wait_for_status(sfn, execution, "SUCCEEDED")["output"] == '"out"'
