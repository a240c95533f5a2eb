"""boto3 against the real binary: each operation served now, as its users call it."""
import json
import os
import threading
import time

import pytest
from botocore.exceptions import ClientError
from harness import PASS, ROLE, WAIT, check_chain, client_of, create, history, refused, task, types, wait_for_status


def test_create_start_describe_history(sfn, name):
    created = sfn.create_state_machine(name=name, definition=json.dumps(PASS), roleArn=ROLE)
    machine = created["stateMachineArn"]
    assert machine == f"arn:aws:states:us-east-1:000000000000:stateMachine:{name}"
    assert abs(created["creationDate"].timestamp() - time.time()) < 60

    started = sfn.start_execution(stateMachineArn=machine, name="first", input='{"a": 1}')
    execution = started["executionArn"]
    assert execution == f"arn:aws:states:us-east-1:000000000000:execution:{name}:first"
    described = wait_for_status(sfn, execution, "SUCCEEDED")
    assert described["startDate"] == started["startDate"] <= described["stopDate"]
    assert described["name"] == "first" and described["stateMachineArn"] == machine
    assert described["input"] == '{"a": 1}' and described["output"] == '"world"'
    assert described["inputDetails"] == described["outputDetails"] == {"included": True}
    assert described["redriveCount"] == 0 and described["redriveStatus"] == "NOT_REDRIVABLE"

    events = history(sfn, execution)
    check_chain(events)
    assert types(events) == ["ExecutionStarted", "PassStateEntered", "PassStateExited", "ExecutionSucceeded"]
    assert events[0]["executionStartedEventDetails"]["roleArn"] == ROLE
    assert events[2]["stateExitedEventDetails"]["output"] == '"world"'


def test_describe_update_delete_state_machine(sfn, name):
    machine = create(sfn, name, PASS)
    described = sfn.describe_state_machine(stateMachineArn=machine)
    assert described["definition"] == json.dumps(PASS) and described["roleArn"] == ROLE
    assert described["status"] == "ACTIVE" and described["type"] == "STANDARD"
    assert described["loggingConfiguration"] == {"level": "OFF", "includeExecutionData": False}
    assert described["tracingConfiguration"] == {"enabled": False}
    assert "revisionId" not in described

    # Creating the same again is the same machine; something else under its name is refused.
    assert create(sfn, name, PASS) == machine
    kind, _ = refused(create, sfn, name, WAIT)
    assert kind == "StateMachineAlreadyExists"

    running = sfn.start_execution(stateMachineArn=create(sfn, name + "-2", WAIT), name="running")["executionArn"]
    sfn.update_state_machine(stateMachineArn=machine + "-2", definition=json.dumps(PASS))
    revision = sfn.describe_state_machine(stateMachineArn=machine + "-2")["revisionId"]
    assert revision
    kept = sfn.describe_state_machine_for_execution(executionArn=running)
    assert kept["definition"] == json.dumps(WAIT), "a running execution keeps its definition"
    sfn.stop_execution(executionArn=running)

    sfn.delete_state_machine(stateMachineArn=machine)
    kind, message = refused(sfn.start_execution, stateMachineArn=machine)
    assert kind in ("StateMachineDoesNotExist", "StateMachineDeleting"), message
    sfn.delete_state_machine(stateMachineArn=machine)


def test_list_and_page_executions(sfn, name):
    machine = create(sfn, name, PASS)
    arns = [sfn.start_execution(stateMachineArn=machine, name=f"n{i}")["executionArn"] for i in range(7)]
    for arn in arns:
        wait_for_status(sfn, arn, "SUCCEEDED")
    pages = list(sfn.get_paginator("list_executions").paginate(stateMachineArn=machine, PaginationConfig={"PageSize": 3}))
    assert [len(page["executions"]) for page in pages] == [3, 3, 1]
    listed = [item["executionArn"] for page in pages for item in page["executions"]]
    assert sorted(listed) == sorted(arns)
    starts = [item["startDate"] for page in pages for item in page["executions"]]
    assert starts == sorted(starts, reverse=True), "newest first"
    assert sfn.list_executions(stateMachineArn=machine, statusFilter="FAILED")["executions"] == []
    assert len(sfn.list_executions(stateMachineArn=machine, statusFilter="SUCCEEDED")["executions"]) == 7
    kind, message = refused(sfn.list_executions, stateMachineArn=machine, nextToken="forged")
    assert (kind, message) == ("InvalidToken", "Invalid Token: 'Invalid token'")


def test_list_and_page_state_machines(server):
    # An account of its own, so that what other tests create is not seen.
    sfn = client_of(server, account="111122223333")
    names = [f"paged-{letter}" for letter in "edcba"]
    for one in names:
        create(sfn, one, PASS)
    pages = list(sfn.get_paginator("list_state_machines").paginate(PaginationConfig={"PageSize": 2}))
    listed = [item["name"] for page in pages for item in page["stateMachines"]]
    assert listed == sorted(names) and len(pages) == 3
    for activity in names:
        sfn.create_activity(name=activity)
    pages = list(sfn.get_paginator("list_activities").paginate(PaginationConfig={"PageSize": 2}))
    assert [item["name"] for page in pages for item in page["activities"]] == sorted(names)


def test_history_pages_in_both_directions(sfn, name):
    chain = {f"S{i}": {"Type": "Pass", "Next": f"S{i + 1}"} for i in range(20)} | {"S20": {"Type": "Succeed"}}
    machine = create(sfn, name, {"StartAt": "S0", "States": chain})
    execution = sfn.start_execution(stateMachineArn=machine)["executionArn"]
    wait_for_status(sfn, execution, "SUCCEEDED")
    events = history(sfn, execution, page=7)
    check_chain(events)
    assert len(events) == 44
    backwards = sfn.get_paginator("get_execution_history").paginate(
        executionArn=execution, reverseOrder=True, PaginationConfig={"PageSize": 5}
    )
    assert [event["id"] for page in backwards for event in page["events"]] == list(range(44, 0, -1))
    bare = sfn.get_execution_history(executionArn=execution, includeExecutionData=False)["events"]
    assert "input" not in bare[0]["executionStartedEventDetails"]


def test_stop(sfn, name):
    execution = sfn.start_execution(stateMachineArn=create(sfn, name, WAIT))["executionArn"]
    stopped = sfn.stop_execution(executionArn=execution, error="Enough", cause="It takes too long.")
    described = sfn.describe_execution(executionArn=execution)
    assert described["status"] == "ABORTED" and described["stopDate"] == stopped["stopDate"]
    assert (described["error"], described["cause"]) == ("Enough", "It takes too long.")
    last = history(sfn, execution)[-1]
    assert last["type"] == "ExecutionAborted"
    assert last["executionAbortedEventDetails"] == {"error": "Enough", "cause": "It takes too long."}
    assert sfn.stop_execution(executionArn=execution)["stopDate"] == stopped["stopDate"]


def test_start_is_idempotent_while_running(sfn, name):
    machine = create(sfn, name, WAIT)
    first = sfn.start_execution(stateMachineArn=machine, name="once", input="{}")
    again = sfn.start_execution(stateMachineArn=machine, name="once", input="{}")
    assert again["executionArn"] == first["executionArn"] and again["startDate"] == first["startDate"]
    kind, message = refused(sfn.start_execution, stateMachineArn=machine, name="once", input='{"other": 1}')
    assert (kind, message) == ("ExecutionAlreadyExists", f"Execution Already Exists: '{first['executionArn']}'")
    sfn.stop_execution(executionArn=first["executionArn"])
    kind, _ = refused(sfn.start_execution, stateMachineArn=machine, name="once", input="{}")
    assert kind == "ExecutionAlreadyExists"


def test_activity_round_trip(sfn, name):
    activity = sfn.create_activity(name=name)["activityArn"]
    assert sfn.describe_activity(activityArn=activity)["name"] == name
    execution = sfn.start_execution(stateMachineArn=create(sfn, name, task(activity)), input='{"n": 7}')["executionArn"]
    given = sfn.get_activity_task(activityArn=activity, workerName="worker-1")
    assert json.loads(given["input"]) == {"n": 7}
    sfn.send_task_heartbeat(taskToken=given["taskToken"])
    sfn.send_task_success(taskToken=given["taskToken"], output='{"n": 8}')
    assert json.loads(wait_for_status(sfn, execution, "SUCCEEDED")["output"]) == {"n": 8}
    events = history(sfn, execution)
    check_chain(events)
    assert types(events)[2:5] == ["ActivityScheduled", "ActivityStarted", "ActivitySucceeded"]
    assert events[3]["activityStartedEventDetails"] == {"workerName": "worker-1"}
    kind, message = refused(sfn.send_task_success, taskToken=given["taskToken"], output="{}")
    assert (kind, message) == ("TaskTimedOut", "Task Timed Out: 'Provided task does not exist anymore'")
    kind, message = refused(sfn.send_task_heartbeat, taskToken=given["taskToken"][:-4] + "AAAA")
    assert (kind, message) == ("InvalidToken", "Invalid Token: 'Invalid token'")


def test_a_waiting_worker_gets_the_task_at_once(server, sfn, name):
    activity = sfn.create_activity(name=name)["activityArn"]
    taken = {}
    poller = client_of(server)

    def poll():
        taken.update(poller.get_activity_task(activityArn=activity, workerName="early"), at=time.monotonic())

    thread = threading.Thread(target=poll)
    thread.start()
    machine = create(sfn, name, task(activity))
    begun = time.monotonic()
    execution = sfn.start_execution(stateMachineArn=machine)["executionArn"]
    thread.join(20)
    assert taken["taskToken"] and taken["at"] - begun < 10
    sfn.send_task_failure(taskToken=taken["taskToken"], error="Broken", cause="on purpose")
    described = wait_for_status(sfn, execution, "FAILED")
    assert (described["error"], described["cause"]) == ("Broken", "on purpose")


def test_retry_and_catch(sfn, name):
    activity = sfn.create_activity(name=name)["activityArn"]
    definition = task(
        activity,
        Retry=[{"ErrorEquals": ["Flaky"], "IntervalSeconds": 1, "MaxAttempts": 1}],
        Catch=[{"ErrorEquals": ["States.ALL"], "ResultPath": "$.problem", "Next": "Handled"}],
    )
    definition["States"]["Handled"] = {"Type": "Succeed"}
    execution = sfn.start_execution(stateMachineArn=create(sfn, name, definition))["executionArn"]
    for cause in ("first", "second"):
        given = sfn.get_activity_task(activityArn=activity)
        sfn.send_task_failure(taskToken=given["taskToken"], error="Flaky", cause=cause)
    described = wait_for_status(sfn, execution, "SUCCEEDED")
    assert json.loads(described["output"]) == {"problem": {"Error": "Flaky", "Cause": "second"}}
    assert types(history(sfn, execution)).count("ActivityScheduled") == 2


def test_tags(sfn, name):
    machine = create(sfn, name, PASS, tags=[{"key": "team", "value": "orders"}])
    sfn.tag_resource(resourceArn=machine, tags=[{"key": "stage", "value": ""}, {"key": "team", "value": "billing"}])
    tags = {tag["key"]: tag["value"] for tag in sfn.list_tags_for_resource(resourceArn=machine)["tags"]}
    assert tags == {"team": "billing", "stage": ""}
    sfn.untag_resource(resourceArn=machine, tagKeys=["team", "unknown"])
    assert sfn.list_tags_for_resource(resourceArn=machine)["tags"] == [{"key": "stage", "value": ""}]
    kind, message = refused(sfn.list_tags_for_resource, resourceArn=machine + "-none")
    assert (kind, message) == ("ResourceNotFound", f"Resource not found: '{machine}-none'")


ARN = "arn:aws:states:us-east-1:000000000000"
ERRORS = [
    ("describe_execution", {"executionArn": "nonsense"}, "InvalidArn", "Invalid Arn: 'Invalid ARN prefix: nonsense'"),
    (
        "describe_execution",
        {"executionArn": f"{ARN}:execution:none:none"},
        "ExecutionDoesNotExist",
        f"Execution Does Not Exist: '{ARN}:execution:none:none'",
    ),
    (
        "start_execution",
        {"stateMachineArn": f"{ARN}:stateMachine:none"},
        "StateMachineDoesNotExist",
        f"State Machine Does Not Exist: '{ARN}:stateMachine:none'",
    ),
    (
        "get_activity_task",
        {"activityArn": f"{ARN}:activity:none"},
        "ActivityDoesNotExist",
        f"Activity Does Not Exist: '{ARN}:activity:none'",
    ),
    ("create_activity", {"name": "a b"}, "InvalidName", "Invalid Name: 'a b'"),
    (
        "create_state_machine",
        {"name": "bad", "definition": '{"StartAt": "A", "States": {}}', "roleArn": ROLE},
        "InvalidDefinition",
        "Invalid State Machine Definition: '",
    ),
    ("send_task_success", {"taskToken": "forged", "output": "{}"}, "InvalidToken", "Invalid Token: 'Invalid token'"),
]


@pytest.mark.parametrize("operation, request_, kind, message", ERRORS, ids=[e[2] + "-" + e[0] for e in ERRORS])
def test_errors_decode_to_their_classes(sfn, operation, request_, kind, message):
    found, text = refused(getattr(sfn, operation), **request_)
    assert found == kind
    assert text.startswith(message), text
    assert isinstance(getattr(sfn.exceptions, kind), type), "boto3 knows the class"


def test_a_bad_input_is_explained_as_on_aws(sfn, name):
    machine = create(sfn, name, PASS)
    kind, message = refused(sfn.start_execution, stateMachineArn=machine, input="not json")
    assert kind == "InvalidExecutionInput"
    assert message.startswith("Invalid State Machine Execution Input: 'Unrecognized token 'not'"), message


def test_a_state_is_tested_alone_or_in_its_machine(server):
    # Without it, botocore puts `sync-` before whatever host it is told.
    sfn = client_of(server, inject_host_prefix=False)
    state = {"Type": "Pass", "Parameters": {"b.$": "$.a"}, "Next": "N"}
    tested = sfn.test_state(definition=json.dumps(state), input='{"a": 1}', inspectionLevel="DEBUG")
    assert (tested["status"], tested["output"], tested["nextState"]) == ("SUCCEEDED", '{"b":1}', "N")
    assert tested["inspectionData"]["afterInputPath"] == '{"a": 1}'
    assert tested["inspectionData"]["afterParameters"] == '{"b":1}'

    machine = {"StartAt": "T", "States": {"T": {
        "Type": "Task", "Resource": "arn:aws:states:::dynamodb:getItem", "Parameters": {"TableName": "t", "Key": {}},
        "Retry": [{"ErrorEquals": ["DynamoDB.ProvisionedThroughputExceededException"], "IntervalSeconds": 2}],
        "End": True}}}
    asked = {"definition": json.dumps(machine), "stateName": "T", "inspectionLevel": "TRACE"}
    tested = sfn.test_state(**asked, mock={"result": '{"Item": {"a": {"S": "x"}}}'})
    assert tested["output"] == '{"Item": {"a": {"S": "x"}}}'
    error = {"error": "DynamoDB.ProvisionedThroughputExceededException", "cause": "slow down"}
    tested = sfn.test_state(**asked, mock={"errorOutput": error}, stateConfiguration={"retrierRetryCount": 1})
    assert (tested["status"], tested["error"], tested["cause"]) == ("RETRIABLE", error["error"], "slow down")
    assert tested["inspectionData"]["errorDetails"] == {"retryIndex": 0, "retryBackoffIntervalSeconds": 4}
    kind, message = refused(sfn.test_state, **asked, mock={"result": '{"Item": {"a": {"S": 1}}}'})
    assert (kind, message) == (
        "ValidationException", "Mock result schema validation error: Field 'S' must be a string")


def test_the_tests_in_the_guide_to_testing_states(server):
    repository = os.path.join(os.path.dirname(__file__), "..", "..")
    guide = open(os.path.join(repository, "docs", "test-state.md")).read()
    code = guide.split("```python\n")[1].split("```")[0].replace('open("', f'open("{repository}/')
    assert "http://127.0.0.1:8083" in code
    names = {}
    exec(code.replace("http://127.0.0.1:8083", server.endpoint), names)
    tests = [test for name, test in names.items() if name.startswith("test_")]
    assert len(tests) == 2
    for test in tests:
        test()


def test_accounts_and_regions_do_not_see_each_other(server, name):
    here = client_of(server, account="222233334444")
    machine = create(here, name, PASS)
    assert ":222233334444:" in machine
    for other in (client_of(server, account="333344445555"), client_of(server, account="222233334444", region="eu-west-1")):
        assert other.list_state_machines()["stateMachines"] == []
        create(other, name, WAIT)
        with pytest.raises(ClientError):
            other.describe_state_machine(stateMachineArn=machine)
    assert here.describe_state_machine(stateMachineArn=machine)["definition"] == json.dumps(PASS)
