"""boto3 against the real binary: the operations beyond the daily ones of test_boto3.py, and every paginator."""
import json
import time

import botocore.session
import pytest
from harness import (
    FAIL, PASS, ROLE, WAIT, client_of, create, history, refused, task, types, wait_for_status, wait_until,
)

PAGINATORS = sorted(botocore.session.get_session().get_component("data_loader").load_service_model("stepfunctions", "paginators-1")["pagination"])


def express(sfn, name, definition=PASS):
    return create(sfn, name, definition, type="EXPRESS")


def distributed(items, processor, **more):
    """A machine that is one distributed Map over an array in its input."""
    processor = processor | {"ProcessorConfig": {"Mode": "DISTRIBUTED", "ExecutionType": "STANDARD"}}
    state = {"Type": "Map", "ItemsPath": "$.items", "ItemProcessor": processor, "Label": "each", "End": True} | more
    return {"StartAt": "M", "States": {"M": state}}, json.dumps({"items": items})


def test_versions(sfn, name):
    created = sfn.create_state_machine(name=name, definition=json.dumps(PASS), roleArn=ROLE, publish=True, versionDescription="first")
    machine = created["stateMachineArn"]
    assert created["stateMachineVersionArn"] == f"{machine}:1"
    updated = sfn.update_state_machine(stateMachineArn=machine, definition=json.dumps(WAIT), publish=True)
    assert updated["stateMachineVersionArn"] == f"{machine}:2"
    sfn.update_state_machine(stateMachineArn=machine, definition=json.dumps(FAIL))
    revision = sfn.describe_state_machine(stateMachineArn=machine)["revisionId"]
    third = sfn.publish_state_machine_version(stateMachineArn=machine, revisionId=revision, description="third")
    assert third["stateMachineVersionArn"] == f"{machine}:3"
    again = sfn.publish_state_machine_version(stateMachineArn=machine)
    assert again["stateMachineVersionArn"] == f"{machine}:3", "the same revision is the same version"
    kind, _ = refused(sfn.publish_state_machine_version, stateMachineArn=machine, revisionId="none")
    assert kind == "ConflictException"

    described = sfn.describe_state_machine(stateMachineArn=f"{machine}:1")
    assert described["definition"] == json.dumps(PASS) and described["description"] == "first"
    listed = sfn.list_state_machine_versions(stateMachineArn=machine, maxResults=2)
    assert [one["stateMachineVersionArn"] for one in listed["stateMachineVersions"]] == [f"{machine}:3", f"{machine}:2"]
    rest = sfn.list_state_machine_versions(stateMachineArn=machine, nextToken=listed["nextToken"])
    assert [one["stateMachineVersionArn"] for one in rest["stateMachineVersions"]] == [f"{machine}:1"]

    execution = sfn.start_execution(stateMachineArn=f"{machine}:1")["executionArn"]
    described = wait_for_status(sfn, execution, "SUCCEEDED")
    assert described["stateMachineVersionArn"] == f"{machine}:1" and described["stateMachineArn"] == machine
    assert len(sfn.list_executions(stateMachineArn=f"{machine}:1")["executions"]) == 1
    assert sfn.list_executions(stateMachineArn=f"{machine}:2")["executions"] == []

    sfn.delete_state_machine_version(stateMachineVersionArn=f"{machine}:3")
    sfn.delete_state_machine_version(stateMachineVersionArn=f"{machine}:3")
    assert sfn.publish_state_machine_version(stateMachineArn=machine)["stateMachineVersionArn"] == f"{machine}:4"


def test_aliases(sfn, name):
    machine = create(sfn, name, PASS, publish=True)
    sfn.update_state_machine(stateMachineArn=machine, definition=json.dumps(FAIL), publish=True)
    route = [{"stateMachineVersionArn": f"{machine}:1", "weight": 100}]
    alias = sfn.create_state_machine_alias(name="live", description="of now", routingConfiguration=route)["stateMachineAliasArn"]
    assert alias == f"{machine}:live"
    assert sfn.create_state_machine_alias(name="live", description="of now", routingConfiguration=route)["stateMachineAliasArn"] == alias
    described = sfn.describe_state_machine_alias(stateMachineAliasArn=alias)
    assert described["routingConfiguration"] == route and described["description"] == "of now" and described["name"] == "live"
    assert described["creationDate"] <= described["updateDate"]

    execution = sfn.start_execution(stateMachineArn=alias)["executionArn"]
    done = wait_for_status(sfn, execution, "SUCCEEDED")
    assert (done["stateMachineAliasArn"], done["stateMachineVersionArn"]) == (alias, f"{machine}:1")
    kind, message = refused(sfn.delete_state_machine_version, stateMachineVersionArn=f"{machine}:1")
    assert kind == "ConflictException" and message.endswith("[live]")

    route = [{"stateMachineVersionArn": f"{machine}:2", "weight": 100}]
    sfn.update_state_machine_alias(stateMachineAliasArn=alias, routingConfiguration=route)
    wait_for_status(sfn, sfn.start_execution(stateMachineArn=alias)["executionArn"], "FAILED")
    for other in ("beta", "canary"):
        sfn.create_state_machine_alias(name=other, routingConfiguration=route)
    first = sfn.list_state_machine_aliases(stateMachineArn=machine, maxResults=2)
    rest = sfn.list_state_machine_aliases(stateMachineArn=machine, maxResults=2, nextToken=first["nextToken"])
    listed = [one["stateMachineAliasArn"] for one in first["stateMachineAliases"] + rest["stateMachineAliases"]]
    assert sorted(listed) == sorted(f"{machine}:{one}" for one in ("beta", "canary", "live"))
    sfn.delete_state_machine_alias(stateMachineAliasArn=alias)
    sfn.delete_state_machine_alias(stateMachineAliasArn=alias)
    kind, _ = refused(sfn.describe_state_machine_alias, stateMachineAliasArn=alias)
    assert kind == "ResourceNotFound"


def test_redrive(sfn, name):
    activity = sfn.create_activity(name=name)["activityArn"]
    machine = create(sfn, name, task(activity))
    execution = sfn.start_execution(stateMachineArn=machine)["executionArn"]
    sfn.send_task_failure(taskToken=sfn.get_activity_task(activityArn=activity)["taskToken"], error="Broken")
    failed = wait_for_status(sfn, execution, "FAILED")
    assert failed["redriveStatus"] == "REDRIVABLE" and failed["redriveCount"] == 0
    redriven = sfn.redrive_execution(executionArn=execution, clientToken="once")
    assert sfn.redrive_execution(executionArn=execution, clientToken="once")["redriveDate"] == redriven["redriveDate"]
    sfn.send_task_success(taskToken=sfn.get_activity_task(activityArn=activity)["taskToken"], output="1")
    done = wait_for_status(sfn, execution, "SUCCEEDED")
    assert (done["redriveCount"], done["redriveDate"]) == (1, redriven["redriveDate"])
    events = history(sfn, execution)
    assert "ExecutionRedriven" in types(events) and types(events)[-1] == "ExecutionSucceeded"
    assert [event["id"] for event in events] == list(range(1, len(events) + 1))
    kind, message = refused(sfn.redrive_execution, executionArn=execution)
    assert kind == "ExecutionNotRedrivable", message


def test_start_sync(sfn, name):
    machine = express(sfn, name)
    done = sfn.start_sync_execution(stateMachineArn=machine, name="now", input='{"a": 1}')
    assert done["executionArn"].startswith(f"arn:aws:states:us-east-1:000000000000:express:{name}:now:")
    assert (done["status"], done["output"], done["input"], done["name"]) == ("SUCCEEDED", '"world"', '{"a": 1}', "now")
    assert done["startDate"] <= done["stopDate"] and done["stateMachineArn"] == machine
    assert done["billingDetails"]["billedDurationInMilliseconds"] % 100 == 0
    failed = sfn.start_sync_execution(stateMachineArn=express(sfn, name + "-f", FAIL))
    assert (failed["status"], failed["error"], failed["cause"]) == ("FAILED", "Broken", "on purpose")
    assert "output" not in failed
    kind, message = refused(sfn.start_sync_execution, stateMachineArn=create(sfn, name + "-s", PASS))
    assert (kind, message) == ("StateMachineTypeNotSupported", "This operation is not supported by this type of state machine")


def test_start_express(sfn, name):
    machine = express(sfn, name)
    arns = {sfn.start_execution(stateMachineArn=machine, name="same")["executionArn"] for _ in range(2)}
    assert len(arns) == 2, "names may repeat"
    kind, message = refused(sfn.describe_execution, executionArn=arns.pop())
    assert (kind, message) == ("InvalidArn", "Invalid Arn: 'Resource type not valid in this context: express'")
    kind, _ = refused(sfn.list_executions, stateMachineArn=machine)
    assert kind == "StateMachineTypeNotSupported"


def test_test_state(sfn):
    done = sfn.test_state(definition=json.dumps(PASS["States"]["Hello"]), input="{}", inspectionLevel="DEBUG")
    assert (done["status"], done["output"]) == ("SUCCEEDED", '"world"')
    assert done["inspectionData"]["input"] == "{}"
    choice = {"Type": "Choice", "Choices": [{"Variable": "$.n", "NumericLessThan": 5, "Next": "Few"}], "Default": "Many"}
    assert sfn.test_state(definition=json.dumps(choice), input='{"n": 7}')["nextState"] == "Many"
    assert sfn.test_state(definition=json.dumps(choice), input='{"n": 3}')["nextState"] == "Few"
    failed = sfn.test_state(definition=json.dumps(FAIL["States"]["Fail"]))
    assert (failed["status"], failed["error"], failed["cause"]) == ("FAILED", "Broken", "on purpose")
    kind, message = refused(sfn.test_state, definition=json.dumps(PASS), stateName="none")
    assert (kind, message) == ("ValidationException", "State not found in definition")
    invoke = {"Type": "Task", "Resource": "arn:aws:states:::lambda:invoke", "Parameters": {"FunctionName": "f"}, "End": True}
    mocked = sfn.test_state(definition=json.dumps(invoke), mock={"errorOutput": {"error": "Down", "cause": "for lunch"}})
    assert (mocked["status"], mocked["error"]) == ("FAILED", "Down")


def test_validate(sfn):
    fine = sfn.validate_state_machine_definition(definition=json.dumps(PASS))
    assert (fine["result"], fine["diagnostics"], fine["truncated"]) == ("OK", [], False)
    wrong = sfn.validate_state_machine_definition(definition="{}")
    assert wrong["result"] == "FAIL"
    assert wrong["diagnostics"] == [
        {
            "severity": "ERROR",
            "code": "SCHEMA_VALIDATION_FAILED",
            "message": "These fields are required: [States, StartAt]",
            "location": "/",
        }
    ]
    state = {"Type": "Pass", "Result": {"a.$": "$.b"}, "Parameters": {"a": "$.b"}, "End": True}
    definition = json.dumps({"StartAt": "A", "States": {"A": state}})
    assert sfn.validate_state_machine_definition(definition=definition)["diagnostics"] == []
    warned = sfn.validate_state_machine_definition(definition=definition, severity="WARNING")
    assert warned["result"] == "OK"
    assert {one["code"] for one in warned["diagnostics"]} == {"NO_DOLLAR", "PASS_RESULT_IS_STATIC"}
    assert {one["severity"] for one in warned["diagnostics"]} == {"WARNING"}
    cut = sfn.validate_state_machine_definition(definition=definition, severity="WARNING", maxResults=1)
    assert len(cut["diagnostics"]) == 1 and cut["truncated"]
    activity = json.dumps(task("arn:aws:states:us-east-1:000000000000:activity:a"))
    assert sfn.validate_state_machine_definition(definition=activity, type="EXPRESS")["result"] == "FAIL"


UNKNOWN_RUN = "arn:aws:states:us-east-1:000000000000:mapRun:m/each:11111111-2222-3333-4444-555555555555"


def test_an_execution_without_map_runs(sfn, name):
    started = sfn.start_execution(stateMachineArn=create(sfn, name, PASS))
    assert sfn.list_map_runs(executionArn=started["executionArn"])["mapRuns"] == []
    for call, more in ((sfn.describe_map_run, {}), (sfn.update_map_run, {"maxConcurrency": 1})):
        kind, message = refused(call, mapRunArn=UNKNOWN_RUN, **more)
        assert (kind, message) == ("ResourceNotFound", f"Resource not found: '{UNKNOWN_RUN}'")
    kind, _ = refused(sfn.update_map_run, mapRunArn=UNKNOWN_RUN)
    assert kind == "ValidationException"


def test_map_runs(sfn, name):
    activity = sfn.create_activity(name=name)["activityArn"]
    work = {"StartAt": "Work", "States": {"Work": {"Type": "Task", "Resource": activity, "End": True}}}
    definition, data = distributed([1, 2, 3], work, MaxConcurrency=1)
    machine = create(sfn, name, definition)
    execution = sfn.start_execution(stateMachineArn=machine, input=data)["executionArn"]
    run = wait_until("there is a map run", lambda: sfn.list_map_runs(executionArn=execution)["mapRuns"])[0]
    assert run["executionArn"] == execution and run["stateMachineArn"] == f"{machine}/each"
    arn = run["mapRunArn"]
    described = sfn.describe_map_run(mapRunArn=arn)
    assert (described["status"], described["maxConcurrency"]) == ("RUNNING", 1)
    sfn.update_map_run(mapRunArn=arn, maxConcurrency=2, toleratedFailureCount=1)
    described = sfn.describe_map_run(mapRunArn=arn)
    assert (described["maxConcurrency"], described["toleratedFailureCount"]) == (2, 1)
    kind, _ = refused(sfn.update_map_run, mapRunArn=arn)
    assert kind == "ValidationException"
    for _ in range(3):
        given = sfn.get_activity_task(activityArn=activity)
        sfn.send_task_success(taskToken=given["taskToken"], output=given["input"])
    assert json.loads(wait_for_status(sfn, execution, "SUCCEEDED")["output"]) == [1, 2, 3]
    described = sfn.describe_map_run(mapRunArn=arn)
    assert described["status"] == "SUCCEEDED" and described["itemCounts"]["succeeded"] == 3
    children = sfn.list_executions(mapRunArn=arn)["executions"]
    assert len(children) == 3 and all(child["mapRunArn"] == arn for child in children)
    child = sfn.describe_state_machine_for_execution(executionArn=children[0]["executionArn"])
    assert child["mapRunArn"] == arn and child["label"] == "each"


class Paged:
    """Three of everything that a paginator of boto3 lists."""

    def __init__(self, server, name):
        # An account of its own, so that what other tests create is not seen.
        account = str(time.time_ns())[-12:]
        self.sfn = sfn = client_of(server, account=account)
        machines = [create(sfn, f"{name}-{i}", PASS) for i in range(3)]
        for i in range(3):
            sfn.create_activity(name=f"{name}-{i}")
        executions = [sfn.start_execution(stateMachineArn=machines[0])["executionArn"] for _ in range(3)]
        for execution in executions:
            wait_for_status(sfn, execution, "SUCCEEDED")
        self.arguments = {
            "GetExecutionHistory": ("events", {"executionArn": executions[0]}, 4),
            "ListActivities": ("activities", {}, 3),
            "ListExecutions": ("executions", {"stateMachineArn": machines[0]}, 3),
            "ListStateMachines": ("stateMachines", {}, 3),
        }

    def map_runs(self):
        branches = []
        for i in range(3):
            branch = {"StartAt": f"I{i}", "States": {f"I{i}": {"Type": "Pass", "End": True}}}
            definition, data = distributed([1], branch, Label=f"each{i}")
            state = definition["States"]["M"]
            branches.append({"StartAt": f"M{i}", "States": {f"M{i}": state}})
        machine = create(self.sfn, "runs", {"StartAt": "P", "States": {"P": {"Type": "Parallel", "Branches": branches, "End": True}}})
        execution = self.sfn.start_execution(stateMachineArn=machine, input=data)["executionArn"]
        wait_for_status(self.sfn, execution, "SUCCEEDED")
        return "mapRuns", {"executionArn": execution}, 3


@pytest.mark.parametrize("operation", PAGINATORS)
def test_paginator(server, name, operation):
    paged = Paged(server, name)
    member, arguments, count = paged.map_runs() if operation == "ListMapRuns" else paged.arguments[operation]
    method = botocore.xform_name(operation)
    whole = getattr(paged.sfn, method)(**arguments)
    assert "nextToken" not in whole and len(whole[member]) == count
    paginator = paged.sfn.get_paginator(method)
    pages = list(paginator.paginate(**arguments, PaginationConfig={"PageSize": 1}))
    assert [len(page[member]) for page in pages] == [1] * count
    assert [item for page in pages for item in page[member]] == whole[member]
    first = paginator.paginate(**arguments, PaginationConfig={"PageSize": 2, "MaxItems": 2}).build_full_result()
    rest = paginator.paginate(**arguments, PaginationConfig={"StartingToken": first["NextToken"]}).build_full_result()
    assert first[member] + rest[member] == whole[member]
