"""Distributed Maps on datasets in S3 (moto) and in a folder: what the children get, what is written, what fails."""
import csv
import gzip
import io
import json
import uuid

import pytest
from harness import Server, client_of, create, wait_until

PASS = {"StartAt": "P", "States": {"P": {"Type": "Pass", "End": True}}}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("folder")


@pytest.fixture(scope="module")
def server(moto, folder, tmp_path_factory):
    data = tmp_path_factory.mktemp("datasets") / "data"
    options = ["--status-events-eventbridge", "off", "--datasets-buckets", f"local=file://{folder}"]
    with Server(data, *options, environment={"AWS_ENDPOINT_URL": moto}) as server:
        yield client_of(server)


@pytest.fixture(scope="module")
def bucket(aws):
    name = "b" + uuid.uuid4().hex[:16]
    aws("s3").create_bucket(Bucket=name)
    return name


def reader(bucket, key, config, action="getObject", **more):
    place = {"Bucket": bucket} | ({"Key": key} if action == "getObject" else {"Prefix": key})
    return {
        "Resource": f"arn:aws:states:::s3:{action}",
        "ReaderConfig": config,
        "Parameters": place | more,
    }


@pytest.fixture
def run(server):
    """Runs a distributed Map. Tells how it ended: (status, output or (error, cause))."""

    def run(item_reader, processor=PASS, given=None, **more):
        processor = processor | {"ProcessorConfig": {"Mode": "DISTRIBUTED", "ExecutionType": "STANDARD"}}
        state = {"Type": "Map", "ItemReader": item_reader, "ItemProcessor": processor, "End": True} | more
        definition = {"StartAt": "M", "States": {"M": state}}
        machine = create(server, f"t-{uuid.uuid4().hex}", definition)
        execution = server.start_execution(stateMachineArn=machine, input=json.dumps(given or {}))["executionArn"]

        def ended():
            described = server.describe_execution(executionArn=execution)
            return described["status"] != "RUNNING" and described

        described = wait_until("the execution ended", ended)
        if described["status"] == "SUCCEEDED":
            return "SUCCEEDED", json.loads(described["output"])
        return described["status"], (described.get("error"), described.get("cause"))

    return run


ROWS = [{"a": "1", "b": "x,\ny"}, {"a": "2", "b": 'say "hi"'}]


def as_csv(rows):
    text = io.StringIO()
    writer = csv.DictWriter(text, list(rows[0]))
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue().encode()


FORMATS = {
    "JSON": ({"InputType": "JSON"}, json.dumps(ROWS, indent=1).encode()),
    "pointer": ({"InputType": "JSON", "ItemsPointer": "/rows/all"}, json.dumps({"rows": {"all": ROWS}}).encode()),
    "JSONL": ({"InputType": "JSONL"}, "\n".join(map(json.dumps, ROWS)).encode()),
    "CSV": ({"InputType": "CSV", "CSVHeaderLocation": "FIRST_ROW"}, as_csv(ROWS)),
}


@pytest.mark.parametrize("name", FORMATS)
@pytest.mark.parametrize("compressed", [False, True], ids=["plain", "gzip"])
@pytest.mark.parametrize("place", ["s3", "folder"])
def test_formats(aws, run, bucket, folder, name, compressed, place):
    config, text = FORMATS[name]
    body = gzip.compress(text) if compressed else text
    key = f"in/{name}-{compressed}"
    if place == "s3":
        aws("s3").put_object(Bucket=bucket, Key=key, Body=body)
    else:
        (folder / "in").mkdir(exist_ok=True)
        (folder / key).write_bytes(body)
    assert run(reader(bucket if place == "s3" else "local", key, config)) == ("SUCCEEDED", ROWS)


def test_lists(aws, run, bucket):
    s3 = aws("s3")
    for number in range(3):
        s3.put_object(Bucket=bucket, Key=f"list/{number}", Body=json.dumps([number, number]).encode())
    status, output = run(reader(bucket, "list/", {}, "listObjectsV2"))
    assert status == "SUCCEEDED", output
    listed = s3.list_objects_v2(Bucket=bucket, Prefix="list/")["Contents"]
    assert output == [
        {
            "Etag": found["ETag"],
            "LastModified": int(found["LastModified"].timestamp()),
            "Key": found["Key"],
            "Size": found["Size"],
            "StorageClass": "STANDARD",
        }
        for found in listed
    ]
    config = {"InputType": "JSON", "Transformation": "LOAD_AND_FLATTEN"}
    assert run(reader(bucket, "list/", config, "listObjectsV2")) == ("SUCCEEDED", [0, 0, 1, 1, 2, 2])


def test_failures(aws, run, bucket):
    s3 = aws("s3")
    status, (error, cause) = run(reader(bucket, "gone", {"InputType": "JSON"}))
    assert (status, error) == ("FAILED", "States.ItemReaderFailed")
    assert cause.startswith("The specified key does not exist. (Service: Amazon S3; Status Code: 404; Error Code: NoSuchKey;")
    s3.put_object(Bucket=bucket, Key="broken", Body=b"1\n{\n")
    assert run(reader(bucket, "broken", {"InputType": "JSONL"})) == (
        "FAILED",
        ("States.ItemReaderFailed", f"s3://{bucket}/broken: line 2: no JSON value: the value is not complete, at byte 1"),
    )
    s3.put_object(Bucket=bucket, Key="text", Body=b'"text"')
    assert run(reader(bucket, "text", {"InputType": "JSON"})) == (
        "FAILED",
        ("States.ItemReaderFailed", "Attempting to map over non-iterable node."),
    )


@pytest.mark.parametrize("place", ["s3", "folder"])
def test_results(aws, run, bucket, folder, place):
    aws("s3").put_object(Bucket=bucket, Key="numbers", Body=b"1\n2\n3\n")
    where = bucket if place == "s3" else "local"
    choice = {"Variable": "$", "NumericEquals": 2, "Next": "F"}
    processor = {
        "StartAt": "C",
        "States": {
            "C": {"Type": "Choice", "Choices": [choice], "Default": "P"},
            "P": {"Type": "Pass", "End": True},
            "F": {"Type": "Fail", "Error": "Two", "Cause": "no twos"},
        },
    }
    status, output = run(
        reader(bucket, "numbers", {"InputType": "JSONL"}),
        processor,
        ToleratedFailurePercentage=100,
        ResultWriter={"Resource": "arn:aws:states:::s3:putObject", "Parameters": {"Bucket": where, "Prefix": "out"}},
    )
    assert status == "SUCCEEDED", output
    run_id = output["MapRunArn"].rsplit(":", 1)[1]
    assert output["ResultWriterDetails"] == {"Bucket": where, "Key": f"out/{run_id}/manifest.json"}

    def read(key):
        if place == "folder":
            return (folder / key).read_bytes()
        return aws("s3").get_object(Bucket=bucket, Key=key)["Body"].read()

    manifest = json.loads(read(f"out/{run_id}/manifest.json"))
    assert manifest["DestinationBucket"] == where and manifest["MapRunArn"] == output["MapRunArn"]
    files = manifest["ResultFiles"]
    assert files["PENDING"] == []
    records = {}
    for kind in ["SUCCEEDED", "FAILED"]:
        assert [file["Key"] for file in files[kind]] == [f"out/{run_id}/{kind}_0.json"]
        text = read(files[kind][0]["Key"])
        assert files[kind][0]["Size"] == len(text)
        records[kind] = json.loads(text)
    assert [record["Output"] for record in records["SUCCEEDED"]] == ["1", "3"]
    [failed] = records["FAILED"]
    assert (failed["Status"], failed["Error"], failed["Cause"], failed["Input"]) == ("FAILED", "Two", "no twos", "2")
    assert ":stateMachine:" in failed["StateMachineArn"] and failed["StateMachineArn"].count("/") == 1


def test_results_that_cannot_be_written(aws, run, bucket):
    aws("s3").put_object(Bucket=bucket, Key="one", Body=b"[1]")
    writer = {"Resource": "arn:aws:states:::s3:putObject", "Parameters": {"Bucket": "no-such-bucket-1", "Prefix": "p"}}
    status, (error, cause) = run(reader(bucket, "one", {"InputType": "JSON"}), ResultWriter=writer)
    assert (status, error) == ("FAILED", "States.ResultWriterFailed")
    assert "Error Code: NoSuchBucket" in cause
