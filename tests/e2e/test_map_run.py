"""Distributed Maps: children of their own, exact counts over kill -9, stops, updates and redrives."""
import json
import os
from collections import Counter

import pytest
from harness import Server, check_chain, client_of, create, history, refused, types, wait_for_status, wait_until

ITEMS = 3_000
KILLS = 5


def each(processor, execution_type="STANDARD", **more):
    mode = {"ProcessorConfig": {"Mode": "DISTRIBUTED", "ExecutionType": execution_type}}
    return {"StartAt": "Each", "States": {"Each": {
        "Type": "Map", "Label": "Each", "ItemProcessor": mode | processor, "End": True} | more}}


DOUBLE = {"StartAt": "Double", "States": {"Double": {
    "Type": "Pass", "QueryLanguage": "JSONata", "Output": "{% $states.input * 2 %}", "End": True}}}
# Every tenth item fails, as long as the item says so.
TENTH = {"StartAt": "C", "States": {
    "C": {"Type": "Choice", "Choices": [{"Variable": "$.fails", "BooleanEquals": True, "Next": "F"}], "Default": "P"},
    "P": {"Type": "Pass", "End": True}, "F": {"Type": "Fail", "Error": "Tenth", "Cause": "it is a tenth"}}}


def run_of(sfn, execution):
    return wait_until("a map run", lambda: sfn.list_map_runs(executionArn=execution)["mapRuns"])[0]["mapRunArn"]


def children(sfn, run, **more):
    pages = sfn.get_paginator("list_executions").paginate(mapRunArn=run, **more)
    return [item for page in pages for item in page["executions"]]


@pytest.mark.parametrize("execution_type", ["STANDARD", "EXPRESS"])
def test_children_are_executions_of_their_own(server, execution_type):
    sfn = client_of(server)
    machine = create(sfn, f"doubles-{execution_type}", each(DOUBLE, execution_type))
    arn = sfn.start_execution(stateMachineArn=machine, input=json.dumps(list(range(100))))["executionArn"]
    assert json.loads(wait_for_status(sfn, arn, "SUCCEEDED")["output"]) == [2 * n for n in range(100)]
    events = history(sfn, arn)
    check_chain(events)
    assert types(events) == ["ExecutionStarted", "MapStateEntered", "MapStateStarted", "MapRunStarted", "MapRunSucceeded",
                             "MapStateSucceeded", "MapStateExited", "ExecutionSucceeded"]
    run = run_of(sfn, arn)
    assert events[3]["mapRunStartedEventDetails"]["mapRunArn"] == run
    described = sfn.describe_map_run(mapRunArn=run)
    assert described["status"] == "SUCCEEDED" and described["executionArn"] == arn
    for counts in (described["itemCounts"], described["executionCounts"]):
        assert counts["total"] == counts["succeeded"] == counts["resultsWritten"] == 100
        assert counts["pending"] == counts["running"] == counts["failed"] == 0
    found = children(sfn, run)
    assert len({child["executionArn"] for child in found}) == 100
    assert {child["status"] for child in found} == {"SUCCEEDED"}
    assert {child["mapRunArn"] for child in found} == {run}
    # Newest first.
    child = sfn.describe_execution(executionArn=found[0]["executionArn"])
    assert (child["input"], child["output"], child["mapRunArn"]) == ("99", "198", run)
    assert child["stateMachineArn"] == f"{machine}/Each"
    assert [item["executionArn"] for item in sfn.list_executions(stateMachineArn=machine)["executions"]] == [arn]
    if execution_type == "STANDARD":
        assert ":execution:" in child["executionArn"]
        assert types(history(sfn, child["executionArn"])) == [
            "ExecutionStarted", "PassStateEntered", "PassStateExited", "ExecutionSucceeded"]
        own = sfn.describe_state_machine_for_execution(executionArn=child["executionArn"])
        assert (own["label"], own["mapRunArn"]) == ("Each", run)
        assert json.loads(own["definition"])["StartAt"] == "Double"
        name, message = refused(sfn.redrive_execution, executionArn=child["executionArn"])
        assert name == "ValidationException", message
    else:
        assert ":express:" in child["executionArn"]


def test_too_many_failures_end_the_run_and_its_execution(server):
    sfn = client_of(server)
    machine = create(sfn, "fails", each(TENTH, ToleratedFailureCount=2, MaxConcurrency=1))
    items = [{"n": n, "fails": n % 10 == 9} for n in range(100)]
    arn = sfn.start_execution(stateMachineArn=machine, input=json.dumps(items))["executionArn"]
    wait_for_status(sfn, arn, "FAILED")
    events = history(sfn, arn)
    assert types(events)[4:] == ["MapRunFailed", "MapStateFailed", "ExecutionFailed"]
    assert events[4]["mapRunFailedEventDetails"]["error"] == "States.ExceedToleratedFailureThreshold"
    counts = sfn.describe_map_run(mapRunArn=run_of(sfn, arn))["itemCounts"]
    assert (counts["failed"], counts["succeeded"], counts["pending"], counts["total"]) == (3, 27, 70, 100)


@pytest.mark.parametrize("execution_type", ["STANDARD", "EXPRESS"])
@pytest.mark.parametrize("line", ['{"a": 1e400}', '{"a": ' + "9" * 400 + "}", "[" * 126 + "]" * 126])
def test_an_item_that_no_state_could_read_fails_its_run_and_nothing_else(tmp_path, execution_type, line):
    data = tmp_path / "dataset"
    data.mkdir()
    (data / "items.jsonl").write_text(f'{{"a": 1}}\n{line}\n')
    reader = {"Resource": "arn:aws:states:::s3:getObject", "ReaderConfig": {"InputType": "JSONL"},
              "Parameters": {"Bucket": f"file://{data}", "Key": "items.jsonl"}}
    ends = {"StartAt": "S", "States": {"S": {"Type": "Succeed"}}}
    selector = {"ItemSelector": {"item.$": "$$.Map.Item.Value"}}
    with Server(tmp_path / "data", "--datasets-folders", str(data)) as server:
        sfn = client_of(server)
        for number, more in enumerate([{}, selector, {"ItemBatcher": {"MaxItemsPerBatch": 2}}]):
            machine = create(sfn, f"unreadable-{number}", each(ends, execution_type, ItemReader=reader, **more))
            arn = sfn.start_execution(stateMachineArn=machine, input="{}")["executionArn"]
            assert wait_for_status(sfn, arn, "FAILED")["error"] == "States.ItemReaderFailed", more
        # As deep as an input may be, but not in a batch.
        deep = create(sfn, "deep", each(ends, execution_type, ItemBatcher={"MaxItemsPerBatch": 2}))
        arn = sfn.start_execution(stateMachineArn=deep, input="[" * 127 + "]" * 127)["executionArn"]
        assert wait_for_status(sfn, arn, "FAILED")["error"] == "States.DataLimitExceeded"


def test_a_run_is_updated_and_stopped(server):
    sfn = client_of(server)
    waits = {"StartAt": "W", "States": {"W": {"Type": "Wait", "Seconds": 3600, "End": True}}}
    machine = create(sfn, "waits", each(waits, MaxConcurrency=3))
    arn = sfn.start_execution(stateMachineArn=machine, input=json.dumps(list(range(20))))["executionArn"]
    run = run_of(sfn, arn)

    def counts():
        return sfn.describe_map_run(mapRunArn=run)["executionCounts"]

    wait_until("three children run", lambda: counts()["running"] == 3)
    sfn.update_map_run(mapRunArn=run, maxConcurrency=5, toleratedFailureCount=1)
    wait_until("five children run", lambda: counts()["running"] == 5)
    described = sfn.describe_map_run(mapRunArn=run)
    assert (described["status"], described["maxConcurrency"], described["toleratedFailureCount"]) == ("RUNNING", 5, 1)
    # A child that is stopped counts as a failure, and another takes its place.
    first = children(sfn, run, statusFilter="RUNNING")[-1]
    sfn.stop_execution(executionArn=first["executionArn"])
    wait_until("it is counted", lambda: counts()["aborted"] == 1 and counts()["running"] == 5)
    sfn.stop_execution(executionArn=arn)
    wait_for_status(sfn, arn, "ABORTED")
    wait_until("all are aborted", lambda: counts()["running"] == 0)
    described = wait_until("the run is over", lambda: (d := sfn.describe_map_run(mapRunArn=run))["status"] != "RUNNING" and d)
    assert described["status"] == "ABORTED"
    assert described["executionCounts"]["aborted"] == 6 and described["executionCounts"]["pending"] == 14
    assert Counter(child["status"] for child in children(sfn, run)) == {"ABORTED": 6}
    assert refused(sfn.update_map_run, mapRunArn=run, maxConcurrency=1)[0] == "ValidationException"


@pytest.mark.parametrize("execution_type", ["STANDARD", "EXPRESS"])
def test_counts_are_exact_over_kills(own_server, execution_type):
    server = own_server
    sfn = client_of(server)
    slow = {"StartAt": "W", "States": {"W": {"Type": "Wait", "Seconds": 1, "Next": "C"}} | TENTH["States"]}
    definition = each(slow, execution_type, ToleratedFailurePercentage=20, MaxConcurrency=400)
    machine = create(sfn, "kills", definition)
    items = [{"n": n, "fails": n % 10 == 9} for n in range(ITEMS)]
    arn = sfn.start_execution(stateMachineArn=machine, input=json.dumps(items))["executionArn"]
    run = run_of(sfn, arn)

    def done():
        counts = sfn.describe_map_run(mapRunArn=run)["itemCounts"]
        assert counts["succeeded"] + counts["failed"] + counts["running"] + counts["pending"] == counts["total"] == ITEMS
        return counts["succeeded"] + counts["failed"]

    for kill in range(KILLS):
        wait_until("it goes on", lambda: done() >= (kill + 1) * ITEMS // (KILLS + 2), 60)
        server.kill()
        server.start()
    ended = wait_for_status(sfn, arn, "SUCCEEDED", 90)
    assert sorted(item["n"] for item in json.loads(ended["output"])) == [n for n in range(ITEMS) if n % 10 != 9]
    described = sfn.describe_map_run(mapRunArn=run)
    for counts in (described["itemCounts"], described["executionCounts"]):
        assert (counts["total"], counts["succeeded"], counts["failed"]) == (ITEMS, ITEMS * 9 // 10, ITEMS // 10)
        assert counts["pending"] == counts["running"] == counts["aborted"] == 0
    found = children(sfn, run)
    assert len(found) == len({child["executionArn"] for child in found}) == ITEMS
    assert Counter(child["status"] for child in found) == {"SUCCEEDED": ITEMS * 9 // 10, "FAILED": ITEMS // 10}


@pytest.mark.parametrize("execution_type", ["STANDARD", "EXPRESS"])
def test_a_redrive_goes_on_with_what_failed(tmp_path, execution_type):
    # Else a kill fails the calls that are under way, as it should, and with them their items.
    with Server(tmp_path / "data", "--tasks-on-lost", "resend") as server:
        sfn = client_of(server)
        # An item fails as long as the execution that it names was not started.
        processor = {"StartAt": "D", "States": {
            "D": {"Type": "Task", "Resource": "arn:aws:states:::aws-sdk:sfn:describeExecution",
                  "Parameters": {"ExecutionArn.$": "$.named"}, "ResultPath": "$.found", "Next": "P"},
            "P": {"Type": "Pass", "Parameters": {"n.$": "$.n"}, "End": True}}}
        machine = create(sfn, "redriven", each(processor, execution_type, MaxConcurrency=2))
        named = create(sfn, "named", {"StartAt": "S", "States": {"S": {"Type": "Succeed"}}})
        good = sfn.start_execution(stateMachineArn=named, name="good")["executionArn"]
        late = good.removesuffix("good") + "late"
        items = [{"n": n, "named": late if n == 5 else good} for n in range(12)]
        arn = sfn.start_execution(stateMachineArn=machine, input=json.dumps(items))["executionArn"]
        wait_for_status(sfn, arn, "FAILED", 60)
        run = run_of(sfn, arn)
        before = sfn.describe_map_run(mapRunArn=run)
        assert before["status"] == "FAILED" and before["itemCounts"]["failed"] == 1
        succeeded = {child["executionArn"] for child in children(sfn, run, statusFilter="SUCCEEDED")}
        sfn.start_execution(stateMachineArn=named, name="late")
        server.kill()
        server.start()
        sfn.redrive_execution(executionArn=arn)
        server.kill()
        server.start()
        ended = wait_for_status(sfn, arn, "SUCCEEDED", 60)
        assert json.loads(ended["output"]) == [{"n": n} for n in range(12)]
        after = sfn.describe_map_run(mapRunArn=run)
        assert (after["status"], after["redriveCount"]) == ("SUCCEEDED", 1)
        counts = after["itemCounts"]
        assert counts["succeeded"] == counts["total"] == 12 and counts["failed"] == counts["pendingRedrive"] == 0
        events = history(sfn, arn)
        check = [kind for kind in types(events) if kind.startswith("MapRun")]
        assert check == ["MapRunStarted", "MapRunFailed", "MapRunRedriven", "MapRunSucceeded"]
        assert {child["executionArn"] for child in children(sfn, run)} >= succeeded, "what succeeded did not run again"
        again = children(sfn, run, redriveFilter="REDRIVEN")
        assert [child["redriveCount"] for child in again] == [1] * len(again) and again


# A bounded form; the full one has 100,000 items (docs/benchmarks.md).
MANY = int(os.environ.get("STEPWRIGHT_MAP_ITEMS", "3000"))


@pytest.mark.parametrize("execution_type", ["STANDARD", "EXPRESS"])
def test_results_are_whole_over_kills_and_a_redrive(tmp_path, execution_type):
    """A run over a file, killed five times; one item in ten fails until an execution exists, and a little less is
    tolerated, so that the run fails near its end. Then what failed is redriven."""
    data = tmp_path / "dataset"
    data.mkdir()
    # Else each kill fails the calls that are under way, as it should, and those are failures of their items.
    with Server(tmp_path / "data", "--datasets-folders", str(data), "--tasks-on-lost", "resend") as server:
        sfn = client_of(server)
        named = create(sfn, "named", {"StartAt": "S", "States": {"S": {"Type": "Succeed"}}})
        good = sfn.start_execution(stateMachineArn=named, name="good")["executionArn"]
        late = good.removesuffix("good") + "late"
        with open(data / "items.jsonl", "w") as file:
            for n in range(MANY):
                file.write(json.dumps({"n": n, "named": late if n % 10 == 9 else good}) + "\n")
        bucket = f"file://{data}"
        processor = {"StartAt": "D", "States": {
            "D": {"Type": "Task", "Resource": "arn:aws:states:::aws-sdk:sfn:describeExecution",
                  "Parameters": {"ExecutionArn.$": "$.named"}, "ResultPath": "$.found", "Next": "P"},
            "P": {"Type": "Pass", "Parameters": {"n.$": "$.n"}, "End": True}}}
        definition = each(processor, execution_type, ToleratedFailurePercentage=9.9, MaxConcurrency=20, ItemReader={
            "Resource": "arn:aws:states:::s3:getObject", "ReaderConfig": {"InputType": "JSONL"},
            "Parameters": {"Bucket": bucket, "Key": "items.jsonl"}}, ResultWriter={
            "Resource": "arn:aws:states:::s3:putObject", "Parameters": {"Bucket": bucket, "Prefix": "results"},
            "WriterConfig": {"Transformation": "COMPACT", "OutputType": "JSONL"}})
        arn = sfn.start_execution(stateMachineArn=create(sfn, "many", definition))["executionArn"]
        run = run_of(sfn, arn)

        def counts():
            return sfn.describe_map_run(mapRunArn=run)["itemCounts"]

        def ended():
            found = counts()
            return found["succeeded"] + found["failed"]

        for kill in range(KILLS):
            wait_until("it goes on", lambda: ended() >= (kill + 1) * MANY // (KILLS + 3), 120)
            server.kill()
            server.start()
        wait_for_status(sfn, arn, "FAILED", 600)
        found = counts()
        assert found["total"] == MANY and found["running"] == 0
        assert found["succeeded"] + found["failed"] + found["aborted"] + found["pending"] == MANY
        assert found["failed"] <= MANY // 10 and found["failed"] + found["aborted"] > MANY * 0.099
        before = read_results(data, run, "SUCCEEDED")
        assert len(before) == len(set(before)) == found["succeeded"]
        sfn.start_execution(stateMachineArn=named, name="late")
        sfn.redrive_execution(executionArn=arn)
        server.kill()
        server.start()
        wait_for_status(sfn, arn, "SUCCEEDED", 600)
        found = counts()
        assert found["succeeded"] == found["total"] == MANY
        assert found["failed"] == found["aborted"] == found["pending"] == found["pendingRedrive"] == 0
        assert read_results(data, run, "SUCCEEDED") == list(range(MANY)), "every item once, in order"
        assert read_results(data, run, "FAILED") == read_results(data, run, "PENDING") == []


def read_results(data, run, status):
    folder = data / "results" / run.rpartition(":")[2]
    files = json.loads((folder / "manifest.json").read_text())["ResultFiles"][status]
    lines = [line for file in files for line in (data / file["Key"]).read_text().splitlines()]
    return [json.loads(line)["n"] for line in lines] if status == "SUCCEEDED" else lines
