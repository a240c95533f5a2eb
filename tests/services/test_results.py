"""Results of SDK integrations against boto3's reading of the same answer: sample answers of operations, over all
protocols, given to both. boto3 shows that the sample is what a service would send."""
import json
import random
import uuid

import boto3
import botocore.session
import pytest
from answers import as_result, value, wire
from botocore.config import Config
from endpoint import Endpoint
from harness import REGION, ROLE, Server, client_of, wait_until
from samples import Sample
from test_requests import CHANGED_BY_BOTO3, SERVICES

# What no sample fits: endpoints or bodies of their own, and answers that boto3 rewrites (texts that it decodes).
LEFT_OUT = {
    "s3": {"GetBucketLocation", "ListObjects", "ListObjectsV2", "ListObjectVersions", "ListMultipartUploads", "ListParts"},
    "ec2": {"GetConsoleOutput"},
    "cloudformation": {"GetTemplate"},
    "iam": {"GetRole"},
}


@pytest.fixture(scope="module")
def endpoint():
    endpoint = Endpoint()
    yield endpoint
    endpoint.shutdown()


@pytest.fixture(scope="module")
def client(endpoint, tmp_path_factory):
    data = tmp_path_factory.mktemp("results") / "data"
    environment = {"AWS_ENDPOINT_URL": endpoint.url}
    with Server(data, "--status-events-eventbridge", "off", environment=environment) as server:
        yield client_of(server)


def drawn():
    session = botocore.session.get_session()
    for resource, service, count in SERVICES:
        model = session.get_service_model(service)
        left_out = CHANGED_BY_BOTO3.get(service, set()) | LEFT_OUT.get(service, set())
        names = []
        for name in model.operation_names:
            operation = model.operation_model(name)
            output = operation.output_shape
            events = operation.has_event_stream_input or operation.has_event_stream_output
            if output and output.members and not events and name not in left_out and not name.startswith("Head"):
                names.append(name)
        random.Random(service + " results").shuffle(names)
        for name in names[:max(1, count // 2)]:
            yield pytest.param(resource, service, model.operation_model(name), id=f"{resource}-{name}")


OPERATIONS = list(drawn())


@pytest.mark.parametrize("resource, service, operation", OPERATIONS)
def test_the_result_is_what_boto3_reads(endpoint, client, resource, service, operation):
    shape, sample = operation.output_shape, value(operation.output_shape)
    for name in ("ContentLength", "ResponseMetadata"):
        sample.pop(name, None)
    endpoint.headers, endpoint.body = wire(operation, sample)
    parameters = Sample(service, operation)

    aws = boto3.client(
        service, endpoint_url=endpoint.url, region_name=REGION, aws_access_key_id="test", aws_secret_access_key="test",
        config=Config(retries={"total_max_attempts": 1}, s3={"addressing_style": "path"}, parameter_validation=False,
                      response_checksum_validation="when_required"),
    )
    theirs = aws._make_api_call(operation.name, parameters.for_boto3)
    theirs.pop("ResponseMetadata")
    for name, read in theirs.items():
        if hasattr(read, "read"):
            theirs[name] = read.read()
    if "ContentLength" in theirs:
        sample["ContentLength"] = theirs["ContentLength"]
    sample |= {name: read for name, read in theirs.items() if shape.members[name].serialization.get("location") == "statusCode"}
    theirs.pop("ExpiresString", None), sample.pop("ExpiresString", None)
    assert theirs == sample, "the sample is not what a service would send"

    action = operation.name[0].lower() + operation.name[1:]
    state = {"Type": "Task", "Resource": f"arn:aws:states:::aws-sdk:{resource}:{action}", "End": True,
             "Parameters": parameters.for_definition}
    machine = client.create_state_machine(
        name=f"r-{uuid.uuid4().hex}", definition=json.dumps({"StartAt": "T", "States": {"T": state}}), roleArn=ROLE,
    )["stateMachineArn"]
    execution = client.start_execution(stateMachineArn=machine)["executionArn"]

    def ended():
        described = client.describe_execution(executionArn=execution)
        return described["status"] != "RUNNING" and described

    described = wait_until("the execution ended", ended)
    client.delete_state_machine(stateMachineArn=machine)
    assert described["status"] == "SUCCEEDED", described
    ours = json.loads(described["output"])
    ours.pop("ExpiresString", None)
    assert ours == as_result(shape, sample, service == "dynamodb")
