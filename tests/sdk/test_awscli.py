"""The AWS CLI against the real binary, as a user at a prompt."""
import json
import os
import subprocess
import sys

import pytest
from awscli.clidriver import create_clidriver
from botocore.exceptions import ClientError
from harness import PASS, ROLE, WAIT, create, served, task, wait_for_status, wait_until

CLI = os.path.join(os.path.dirname(sys.executable), "aws")


def surroundings(server, tmp_path):
    return {
        "PATH": os.environ["PATH"],
        "HOME": str(tmp_path),
        "AWS_ENDPOINT_URL": server.endpoint,
        "AWS_REGION": "us-east-1",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_PAGER": "",
        # It would put `sync-` before the host of two operations, and no name server knows `sync-127.0.0.1`.
        "AWS_DISABLE_HOST_PREFIX_INJECTION": "true",
    }


def answer(arguments, code, out, err, fails=None):
    if fails:
        assert code != 0 and f"({fails})" in err, err
        return err
    if "not served by this version" in err:
        raise ClientError({"Error": {"Code": "UnsupportedOperationException", "Message": err.strip()}}, arguments[0])
    assert code == 0, err
    served("awscli", "".join(word.capitalize() for word in arguments[0].split("-")))
    return json.loads(out) if out.strip() else None


@pytest.fixture
def aws(server, tmp_path):
    """The command, as a user runs it."""
    environment = surroundings(server, tmp_path)

    def run(*arguments, fails=None):
        command = [sys.executable, CLI, "stepfunctions", *arguments, "--output", "json"]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120)
        return answer(arguments, done.returncode, done.stdout, done.stderr, fails)

    return run


@pytest.fixture
def quick_aws(server, tmp_path, monkeypatch, capfd):
    """The same command in this process, which saves a second a call."""
    # Its own data are found by a variable that it sets when it is imported.
    for variable in [name for name in os.environ if name.startswith("AWS_") and name != "AWS_DATA_PATH"]:
        monkeypatch.delenv(variable)
    for variable, value in surroundings(server, tmp_path).items():
        monkeypatch.setenv(variable, value)

    def run(*arguments):
        capfd.readouterr()
        code = create_clidriver().main(["stepfunctions", *arguments, "--output", "json"])
        said = capfd.readouterr()
        return answer(arguments, code, said.out, said.err)

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


def test_the_other_operations_of_machines_and_activities(quick_aws, sfn, name):
    machine = quick_aws("create-state-machine", "--name", name, "--definition", json.dumps(WAIT), "--role-arn", ROLE)["stateMachineArn"]
    execution = quick_aws("start-execution", "--state-machine-arn", machine)["executionArn"]
    of = quick_aws("describe-state-machine-for-execution", "--execution-arn", execution)
    assert of["definition"] == json.dumps(WAIT)
    quick_aws("update-state-machine", "--state-machine-arn", machine, "--definition", json.dumps(PASS))
    wrong = quick_aws("validate-state-machine-definition", "--definition", "{}")
    assert (wrong["result"], wrong["diagnostics"][0]["location"]) == ("FAIL", "/")
    assert machine in [one["stateMachineArn"] for one in quick_aws("list-state-machines")["stateMachines"]]
    activity = quick_aws("create-activity", "--name", name)["activityArn"]
    assert quick_aws("describe-activity", "--activity-arn", activity)["name"] == name
    assert activity in [one["activityArn"] for one in quick_aws("list-activities")["activities"]]
    failing = sfn.start_execution(stateMachineArn=create(sfn, name + "-t", task(activity)))["executionArn"]
    token = quick_aws("get-activity-task", "--activity-arn", activity)["taskToken"]
    quick_aws("send-task-heartbeat", "--task-token", token)
    quick_aws("send-task-failure", "--task-token", token, "--error", "Broken")
    assert wait_for_status(sfn, failing, "FAILED")["error"] == "Broken"
    quick_aws("tag-resource", "--resource-arn", machine, "--tags", "key=team,value=orders")
    quick_aws("untag-resource", "--resource-arn", machine, "--tag-keys", "team")
    quick_aws("delete-activity", "--activity-arn", activity)
    quick_aws("delete-state-machine", "--state-machine-arn", machine)


def test_versions_and_aliases(quick_aws, sfn, name):
    machine = create(sfn, name, PASS)
    version = quick_aws("publish-state-machine-version", "--state-machine-arn", machine)["stateMachineVersionArn"]
    route = f"stateMachineVersionArn={version},weight=100"
    alias = quick_aws("create-state-machine-alias", "--name", "live", "--routing-configuration", route)["stateMachineAliasArn"]
    quick_aws("update-state-machine-alias", "--state-machine-alias-arn", alias, "--description", "now")
    assert quick_aws("describe-state-machine-alias", "--state-machine-alias-arn", alias)["description"] == "now"
    assert len(quick_aws("list-state-machine-versions", "--state-machine-arn", machine)["stateMachineVersions"]) == 1
    assert len(quick_aws("list-state-machine-aliases", "--state-machine-arn", machine)["stateMachineAliases"]) == 1
    quick_aws("delete-state-machine-alias", "--state-machine-alias-arn", alias)
    quick_aws("delete-state-machine-version", "--state-machine-version-arn", version)


def test_redrive(quick_aws, sfn, name):
    activity = sfn.create_activity(name=name)["activityArn"]
    execution = sfn.start_execution(stateMachineArn=create(sfn, name, task(activity)))["executionArn"]
    sfn.send_task_failure(taskToken=sfn.get_activity_task(activityArn=activity)["taskToken"])
    wait_for_status(sfn, execution, "FAILED")
    assert quick_aws("redrive-execution", "--execution-arn", execution)["redriveDate"]


def test_test_state(quick_aws):
    state = json.dumps({"Type": "Pass", "Result": "world", "End": True})
    done = quick_aws("test-state", "--definition", state, "--input", "{}")
    assert (done["status"], done["output"]) == ("SUCCEEDED", '"world"')


def test_start_sync_execution(quick_aws, sfn, name):
    machine = create(sfn, name, PASS, type="EXPRESS")
    done = quick_aws("start-sync-execution", "--state-machine-arn", machine, "--input", "{}")
    assert (done["status"], done["output"]) == ("SUCCEEDED", '"world"')


def test_an_execution_without_map_runs(aws, sfn, name):
    execution = sfn.start_execution(stateMachineArn=create(sfn, name, PASS))["executionArn"]
    assert aws("list-map-runs", "--execution-arn", execution)["mapRuns"] == []
    run = "arn:aws:states:us-east-1:000000000000:mapRun:m/each:1"
    aws("describe-map-run", "--map-run-arn", run, fails="ResourceNotFound")
    aws("update-map-run", "--map-run-arn", run, "--max-concurrency", "1", fails="ResourceNotFound")


def test_map_runs(quick_aws, sfn, name):
    activity = sfn.create_activity(name=name)["activityArn"]
    processor = task(activity) | {"ProcessorConfig": {"Mode": "DISTRIBUTED", "ExecutionType": "STANDARD"}}
    definition = {"StartAt": "M", "States": {"M": {"Type": "Map", "ItemProcessor": processor, "End": True}}}
    execution = sfn.start_execution(stateMachineArn=create(sfn, name, definition), input="[1]")["executionArn"]
    run = wait_until("there is a map run", lambda: quick_aws("list-map-runs", "--execution-arn", execution)["mapRuns"])[0]["mapRunArn"]
    quick_aws("update-map-run", "--map-run-arn", run, "--max-concurrency", "5")
    assert quick_aws("describe-map-run", "--map-run-arn", run)["maxConcurrency"] == 5
    sfn.send_task_success(taskToken=sfn.get_activity_task(activityArn=activity)["taskToken"], output="2")
    assert wait_for_status(sfn, execution, "SUCCEEDED")["output"] == "[2]"
