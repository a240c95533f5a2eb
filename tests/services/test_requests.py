"""Requests of SDK integrations against boto3's, byte by byte: the same operation with the same parameters by both, to
one endpoint that writes down what it is sent.

Left out of the comparison is what no two clients share: signatures, times, names of the client and of the attempt, and
what belongs to the connection. Boto3 writes JSON with blanks and with all but ASCII escaped; both are taken out of its
bodies, and nothing else: order, numbers and texts must be the same, byte by byte. Lengths and sums, which follow from
the text, are held against the body that they came with.
"""
import base64
import hashlib
import json
import random
import uuid
import zlib
from collections import Counter

import boto3
import botocore.session
import pytest
from botocore.config import Config
from endpoint import Endpoint
from harness import REGION, ROLE, Server, client_of, wait_until
from samples import Sample, capitalized

# Name in resources, name in boto3, how many operations are drawn.
SERVICES = [
    ("sqs", "sqs", 8), ("dynamodb", "dynamodb", 12), ("secretsmanager", "secretsmanager", 6), ("ssm", "ssm", 6),
    ("kms", "kms", 6), ("kinesis", "kinesis", 5), ("eventbridge", "events", 5), ("ecs", "ecs", 5), ("glue", "glue", 5),
    ("athena", "athena", 4), ("cloudwatchlogs", "logs", 4), ("cognitoidentityprovider", "cognito-idp", 3),
    ("s3", "s3", 28), ("route53", "route53", 6), ("cloudfront", "cloudfront", 6),
    ("lambda", "lambda", 8), ("apigateway", "apigateway", 5), ("batch", "batch", 4), ("eks", "eks", 4),
    ("sesv2", "sesv2", 4), ("iot", "iot", 4), ("scheduler", "scheduler", 3), ("bedrockruntime", "bedrock-runtime", 1),
    ("sns", "sns", 8), ("iam", "iam", 8), ("sts", "sts", 3), ("rds", "rds", 6), ("cloudformation", "cloudformation", 5),
    ("autoscaling", "autoscaling", 4), ("elasticloadbalancingv2", "elbv2", 4), ("redshift", "redshift", 3),
    ("elasticache", "elasticache", 3), ("ec2", "ec2", 14),
    ("cloudwatch", "cloudwatch", 8), ("codebuild", "codebuild", 5), ("codepipeline", "codepipeline", 4),
    ("servicediscovery", "servicediscovery", 3), ("textract", "textract", 3),
    ("eventbridgev2", "eventbridgev2", 6), ("cloudwatchomni", "cloudwatchomni", 4),
]

# Operations that boto3 changes by itself: presigned URLs in them, keys hashed, user data encoded, templates parsed,
# another method, or that want an endpoint of their own.
CHANGED_BY_BOTO3 = {
    "ec2": {"CopySnapshot", "RunInstances", "RequestSpotInstances"},
    "rds": {"CopyDBSnapshot", "CreateDBInstanceReadReplica", "CopyDBClusterSnapshot", "CreateDBCluster",
            "StartDBInstanceAutomatedBackupsReplication", "CreateDBInstance", "RestoreDBClusterFromSnapshot"},
    "autoscaling": {"CreateLaunchConfiguration"},
    "s3": {"CopyObject", "UploadPartCopy", "SelectObjectContent", "WriteGetObjectResponse", "CreateSession",
           "ListDirectoryBuckets", "PutBucketLifecycle", "GetBucketLifecycle"},
    "lambda": {"InvokeWithResponseStream"},
    "dynamodb": {"ExecuteTransaction"},
}

IGNORED = {
    "authorization", "x-amz-date", "user-agent", "x-amz-user-agent", "amz-sdk-invocation-id", "amz-sdk-request",
    "accept-encoding", "connection", "host", "x-amz-security-token", "expect",
    # boto3 asks S3 to say the checksum of what it answers; the result would have members that AWS's has not (recorded).
    "x-amz-checksum-mode",
}


@pytest.fixture(scope="module")
def recorder():
    recorder = Endpoint()
    yield recorder
    recorder.shutdown()


@pytest.fixture(scope="module")
def client(recorder, tmp_path_factory):
    environment = {"AWS_ENDPOINT_URL": recorder.url}
    data = tmp_path_factory.mktemp("requests") / "data"
    with Server(data, "--status-events-eventbridge", "off", environment=environment) as server:
        yield client_of(server)


def drawn():
    """The operations: the same ones in every run."""
    session = botocore.session.get_session()
    for resource, service, count in SERVICES:
        model = session.get_service_model(service)
        names = []
        for name in model.operation_names:
            operation = model.operation_model(name)
            events = operation.has_event_stream_input or operation.has_event_stream_output
            if name not in CHANGED_BY_BOTO3.get(service, ()) and not events and not operation.deprecated:
                names.append(name)
        random.Random(service).shuffle(names)
        for name in names[:count]:
            yield pytest.param(resource, service, model.operation_model(name), id=f"{resource}-{name}")


OPERATIONS = list(drawn())


def test_there_are_enough():
    assert len(OPERATIONS) >= 200
    assert len({parameter.values[1] for parameter in OPERATIONS}) == len(SERVICES)
    protocols = Counter(parameter.values[2].service_model.resolved_protocol for parameter in OPERATIONS)
    assert set(protocols) == {"json", "rest-json", "rest-xml", "query", "ec2", "smithy-rpc-v2-cbor"}
    assert min(protocols.values()) >= 8, protocols


def by_boto3(recorder, service, operation, parameters):
    client = boto3.client(
        service, endpoint_url=recorder.url, region_name=REGION, aws_access_key_id="test", aws_secret_access_key="test",
        config=Config(
            retries={"total_max_attempts": 1}, s3={"addressing_style": "path"}, parameter_validation=False,
            inject_host_prefix=False,
        ),
    )
    failure = None
    try:
        # The answer is of no interest, and most can't be read.
        client._make_api_call(operation.name, parameters)
    except Exception as error:
        failure = error
    taken = recorder.take()
    assert len(taken) == 1, f"boto3 sent {len(taken)} requests: {failure}"
    return taken[0]


def by_task(recorder, client, resource, operation, parameters):
    action = operation.name[0].lower() + operation.name[1:]
    definition = {"StartAt": "T", "States": {"T": {
        "Type": "Task", "Resource": f"arn:aws:states:::aws-sdk:{resource}:{action}", "Parameters": parameters, "End": True,
    }}}
    name = f"r-{uuid.uuid4().hex}"
    machine = client.create_state_machine(name=name, definition=json.dumps(definition), roleArn=ROLE)["stateMachineArn"]
    execution = client.start_execution(stateMachineArn=machine)["executionArn"]

    def ended():
        described = client.describe_execution(executionArn=execution)
        return described["status"] != "RUNNING" and described

    described = wait_until("the execution ended", ended)
    client.delete_state_machine(stateMachineArn=machine)
    taken = recorder.take()
    assert len(taken) == 1, f"the task sent {len(taken)} requests: {described}"
    return taken[0]


def comparable(request, blanks):
    """What two requests have in common. `blanks`: JSON has blanks and escapes, which are to be taken out."""
    method, path, headers, body = request
    headers = {name: value for name, value in headers.items() if name not in IGNORED}
    # A streamed body without a type of its own is said to be text, as AWS's task says it (recorded).
    if headers.get("content-type") == "text/plain; charset=UTF-8":
        del headers["content-type"]
    # A client that sends no body may say so or not.
    if not body and headers.get("content-length") == "0":
        del headers["content-length"]
    if "json" in headers.get("content-type", "") and body:
        check_sums(headers, body)
        body = json.dumps(json.loads(body), separators=(",", ":"), ensure_ascii=False) if blanks else body.decode()
    else:
        body = base64.b64encode(body).decode() if b"\0" in body else body.decode("utf-8", "backslashreplace")
    return {"method": method, "path": path, "headers": dict(sorted(headers.items())), "body": body}


def check_sums(headers, body):
    """Takes away what a request says of its body, and checks that it is true."""
    of_body = {
        "content-length": str(len(body)),
        "content-md5": base64.b64encode(hashlib.md5(body).digest()).decode(),
        "x-amz-content-sha256": hashlib.sha256(body).hexdigest(),
        "x-amz-checksum-crc32": base64.b64encode(zlib.crc32(body).to_bytes(4, "big")).decode(),
        "x-amz-checksum-sha256": base64.b64encode(hashlib.sha256(body).digest()).decode(),
    }
    for name in [name for name in headers if name in of_body or name.startswith("x-amz-checksum-")]:
        told = headers.pop(name)
        assert told == of_body.get(name), f"{name} is not that of the body"


@pytest.mark.parametrize("resource, service, operation", OPERATIONS)
def test_the_request_is_boto3s(recorder, client, resource, service, operation):
    sample = Sample(service, operation)
    recorder.take()
    token = "11111111-2222-3333-4444-555555555555"
    for member in operation.idempotent_members:
        sample.for_boto3[member] = sample.for_definition[capitalized(member)] = token
    theirs = comparable(by_boto3(recorder, service, operation, sample.for_boto3), blanks=True)
    ours = comparable(by_task(recorder, client, resource, operation, sample.for_definition), blanks=False)
    assert ours == theirs
