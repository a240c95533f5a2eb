"""Tasks that call services, against moto: what arrives there, what comes back, and what an error is called."""
import json
import uuid

import pytest
from harness import REGION, Server, client_of, create, history, wait_until


@pytest.fixture
def run(calling):
    """Runs one Task state and tells how it ended: (status, output or (error, cause), events)."""

    def run(resource, parameters=None, given=None, **more):
        state = {"Type": "Task", "Resource": f"arn:aws:states:::{resource}", "End": True} | more
        if parameters is not None:
            state["Parameters"] = parameters
        definition = {"StartAt": "T", "States": {"T": state}}
        machine = create(calling, f"t-{uuid.uuid4().hex}", definition)
        execution = calling.start_execution(stateMachineArn=machine, input=json.dumps(given or {}))["executionArn"]

        def ended():
            described = calling.describe_execution(executionArn=execution)
            return described["status"] != "RUNNING" and described

        described = wait_until("the execution ended", ended)
        if described["status"] == "SUCCEEDED":
            return "SUCCEEDED", json.loads(described["output"]), history(calling, execution)
        return described["status"], (described.get("error"), described.get("cause")), history(calling, execution)

    return run


def succeeded(result):
    status, output, _ = result
    assert status == "SUCCEEDED", output
    return output


def failed(result):
    status, output, _ = result
    assert status == "FAILED", output
    return output


@pytest.fixture
def unique():
    return "n" + uuid.uuid4().hex[:12]


def test_sqs(aws, run, unique):
    sqs = aws("sqs")
    url = sqs.create_queue(QueueName=unique)["QueueUrl"]
    output = succeeded(run("sqs:sendMessage", {"QueueUrl": url, "MessageBody": {"a": [1, None]}, "Nonsense": 1}))
    assert {"MD5OfMessageBody", "MessageId", "SdkHttpMetadata", "SdkResponseMetadata"} <= set(output)
    assert output["SdkHttpMetadata"]["HttpStatusCode"] == 200
    attributes = {"kind": {"DataType": "String", "StringValue": "x"}, "n": {"DataType": "Number", "StringValue": "5"}}
    succeeded(run("sqs:sendMessage", {"QueueUrl": url, "MessageBody": "text", "MessageAttributes": attributes}))
    messages = []

    def received():
        answer = sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10, MessageAttributeNames=["All"])
        messages.extend(answer.get("Messages", []))
        return len(messages) == 2

    wait_until("two messages", received)
    assert sorted(message["Body"] for message in messages) == ['text', '{"a":[1,null]}']
    assert [m["MessageAttributes"]["kind"]["StringValue"] for m in messages if m["Body"] == "text"] == ["x"]

    error, cause = failed(run("sqs:sendMessage", {"QueueUrl": url + "-missing", "MessageBody": "m"}))
    assert error == "SQS.QueueDoesNotExistException"
    assert "(Service: AmazonSQS; Status Code: 400; Error Code: AWS.SimpleQueueService.NonExistentQueue; " in cause
    output = succeeded(run("aws-sdk:sqs:getQueueAttributes", {"QueueUrl": url, "AttributeNames": ["QueueArn"]}))
    assert output == {"Attributes": {"QueueArn": f"arn:aws:sqs:{REGION}:123456789012:{unique}"}}


def test_sqs_callback(aws, calling, unique):
    sqs = aws("sqs")
    url = sqs.create_queue(QueueName=unique)["QueueUrl"]
    definition = {"StartAt": "T", "States": {"T": {
        "Type": "Task", "Resource": "arn:aws:states:::sqs:sendMessage.waitForTaskToken", "End": True,
        "Parameters": {"QueueUrl": url, "MessageBody": {"token.$": "$$.Task.Token"}},
    }}}
    machine = create(calling, unique, definition)
    execution = calling.start_execution(stateMachineArn=machine)["executionArn"]
    message = wait_until("the message", lambda: sqs.receive_message(QueueUrl=url).get("Messages"))[0]
    calling.send_task_success(taskToken=json.loads(message["Body"])["token"], output='{"done": true}')

    def ended():
        described = calling.describe_execution(executionArn=execution)
        return described["status"] != "RUNNING" and described

    assert json.loads(wait_until("the end", ended)["output"]) == {"done": True}
    kinds = [event["type"] for event in history(calling, execution)]
    assert kinds[2:6] == ["TaskScheduled", "TaskStarted", "TaskSubmitted", "TaskSucceeded"]


def test_callbacks_of_the_others(aws, calling, unique):
    """A token travels through a topic, a bus, and an SDK integration, and comes back."""
    sns, events, sqs = aws("sns"), aws("events"), aws("sqs")
    url = sqs.create_queue(QueueName=unique)["QueueUrl"]
    queue = f"arn:aws:sqs:{REGION}:123456789012:{unique}"
    topic = sns.create_topic(Name=unique)["TopicArn"]
    sns.subscribe(TopicArn=topic, Protocol="sqs", Endpoint=queue)
    events.put_rule(Name=unique, EventPattern=json.dumps({"source": [unique]}))
    events.put_targets(Rule=unique, Targets=[{"Id": "1", "Arn": queue}])
    told = {"token.$": "$$.Task.Token"}
    entry = {"Source": unique, "DetailType": "d", "Detail": told}
    tasks = {
        "sns:publish": ({"TopicArn": topic, "Message": told}, lambda body: json.loads(body["Message"])),
        "events:putEvents": ({"Entries": [entry]}, lambda body: body["detail"]),
        "aws-sdk:sqs:sendMessage": ({"QueueUrl": url, "MessageBody": told}, lambda body: body),
    }
    for number, (resource, (parameters, told_in)) in enumerate(tasks.items()):
        state = {"Type": "Task", "Resource": f"arn:aws:states:::{resource}.waitForTaskToken", "End": True}
        definition = {"StartAt": "T", "States": {"T": state | {"Parameters": parameters}}}
        machine = create(calling, f"{unique}-{number}", definition)
        execution = calling.start_execution(stateMachineArn=machine)["executionArn"]
        message = wait_until(resource, lambda: sqs.receive_message(QueueUrl=url).get("Messages"))[0]
        token = told_in(json.loads(message["Body"]))["token"]
        calling.send_task_success(taskToken=token, output=json.dumps(resource))

        def ended():
            described = calling.describe_execution(executionArn=execution)
            return described["status"] != "RUNNING" and described

        assert json.loads(wait_until("the end", ended)["output"]) == resource
        kinds = [event["type"] for event in history(calling, execution)]
        assert kinds[2:6] == ["TaskScheduled", "TaskStarted", "TaskSubmitted", "TaskSucceeded"], resource


@pytest.mark.parametrize("message, arrives", [("text", "text"), ({"a": 1}, '{"a":1}'), (True, "true"), (None, "null"), (5, "5")])
def test_sns(aws, run, unique, message, arrives):
    sns, sqs = aws("sns"), aws("sqs")
    topic = sns.create_topic(Name=unique)["TopicArn"]
    url = sqs.create_queue(QueueName=unique)["QueueUrl"]
    sns.subscribe(TopicArn=topic, Protocol="sqs", Endpoint=f"arn:aws:sqs:{REGION}:123456789012:{unique}")
    output = succeeded(run("sns:publish", {"TopicArn": topic, "Message": message}))
    assert {"MessageId", "SdkHttpMetadata", "SdkResponseMetadata"} == set(output)
    received = wait_until("the message", lambda: sqs.receive_message(QueueUrl=url).get("Messages"))[0]
    assert json.loads(received["Body"])["Message"] == arrives


def test_sns_by_the_sdk_and_errors(run, unique):
    topic = f"arn:aws:sns:{REGION}:123456789012:{unique}"
    error, cause = failed(run("sns:publish", {"TopicArn": topic, "Message": "m"}))
    assert error == "SNS.NotFoundException"
    assert "(Service: AmazonSNS; Status Code: 404; Error Code: NotFound; Request ID: " in cause
    created = succeeded(run("aws-sdk:sns:createTopic", {"Name": "a" + unique, "Attributes": {"DisplayName": "ä & b"}}))
    attributes = succeeded(run("aws-sdk:sns:getTopicAttributes", created))["Attributes"]
    assert attributes["DisplayName"] == "ä & b" and attributes["TopicArn"] == created["TopicArn"]
    error, cause = failed(run("aws-sdk:sns:getTopicAttributes", {"TopicArn": topic}))
    assert error == "Sns.NotFoundException"
    assert "(Service: Sns, Status Code: 404, Request ID: " in cause


def test_dynamodb(aws, run, unique):
    aws("dynamodb").create_table(
        TableName=unique, BillingMode="PAY_PER_REQUEST",
        KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
        AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}],
    )
    item = {
        "id": {"S": "1"}, "n": {"N": 12.5}, "flag": {"BOOL": True}, "nothing": {"NULL": True}, "bytes": {"B": "Ynl0ZXM="},
        "list": {"L": [{"S": "é"}, {"M": {"deep": {"SS": ["a", "b"]}}}]},
    }
    output = succeeded(run("dynamodb:putItem", {"TableName": unique, "Item": item, "Nonsense": 1}))
    assert set(output) == {"SdkHttpMetadata", "SdkResponseMetadata"}
    key = {"TableName": unique, "Key": {"id": {"S": "1"}}}
    found = succeeded(run("dynamodb:getItem", key))["Item"]
    assert found == item | {"n": {"N": "12.5"}}
    update = key | {
        "UpdateExpression": "SET n = n + :one", "ExpressionAttributeValues": {":one": {"N": "1"}}, "ReturnValues": "ALL_NEW",
    }
    assert succeeded(run("dynamodb:updateItem", update))["Attributes"]["n"] == {"N": "13.5"}
    query = {
        "TableName": unique, "KeyConditionExpression": "id = :id", "ExpressionAttributeValues": {":id": {"S": "1"}},
    }
    output = succeeded(run("aws-sdk:dynamodb:query", query))
    assert output["Count"] == output["ScannedCount"] == 1
    # What was read can be written again.
    succeeded(run("aws-sdk:dynamodb:putItem", {"TableName": unique, "Item": output["Items"][0]}))
    assert aws("dynamodb").get_item(**key)["Item"]["bytes"] == {"B": b"bytes"}
    condition = {"TableName": unique, "Item": item, "ConditionExpression": "attribute_not_exists(id)"}
    error, cause = failed(run("dynamodb:putItem", condition))
    assert error == "DynamoDB.ConditionalCheckFailedException"
    assert "(Service: AmazonDynamoDBv2; Status Code: 400; Error Code: ConditionalCheckFailedException; " in cause
    error, _ = failed(run("aws-sdk:dynamodb:putItem", condition))
    assert error == "DynamoDb.ConditionalCheckFailedException"
    assert succeeded(run("dynamodb:deleteItem", key | {"ReturnValues": "ALL_OLD"}))["Attributes"]["id"] == {"S": "1"}
    assert "Item" not in succeeded(run("dynamodb:getItem", key))
    assert succeeded(run("aws-sdk:dynamodb:getItem", key)) == {}


def test_s3(aws, run, unique):
    s3 = aws("s3")
    assert succeeded(run("aws-sdk:s3:createBucket", {"Bucket": unique}))["Location"].endswith(unique)
    key = "a folder/ä+key~.txt"
    for body, arrives in [("text", b'"text"'), ({"a": 1}, b'{"a":1}'), (False, b"false")]:
        put = {"Bucket": unique, "Key": key, "Body": body, "ContentType": "text/x", "Metadata": {"one": "1"}}
        output = succeeded(run("aws-sdk:s3:putObject", put))
        assert output["ETag"].startswith('"') and output["ChecksumCRC32"]
        assert s3.get_object(Bucket=unique, Key=key)["Body"].read() == arrives
    s3.put_object(Bucket=unique, Key=key, Body="wörds".encode(), Metadata={"one": "1"})
    output = succeeded(run("aws-sdk:s3:getObject", {"Bucket": unique, "Key": key}))
    assert output["Body"] == "wörds" and output["ContentLength"] == 6 and output["Metadata"] == {"one": "1"}
    assert list(output)[-1] == "Body" and list(output)[:-1] == sorted(list(output)[:-1])
    assert output["LastModified"].endswith("Z")
    s3.put_object(Bucket=unique, Key="empty", Body=b"")
    assert succeeded(run("aws-sdk:s3:getObject", {"Bucket": unique, "Key": "empty"}))["Body"] == ""
    for i in range(3):
        s3.put_object(Bucket=unique, Key=f"list/{i}", Body=b"x")
    output = succeeded(run("aws-sdk:s3:listObjectsV2", {"Bucket": unique, "Prefix": "list/", "MaxKeys": 2}))
    assert [entry["Key"] for entry in output["Contents"]] == ["list/0", "list/1"]
    assert output["IsTruncated"] is True and output["Contents"][0]["Size"] == 1
    objects = {"Objects": [{"Key": "list/0"}, {"Key": "list/1"}]}
    output = succeeded(run("aws-sdk:s3:deleteObjects", {"Bucket": unique, "Delete": objects}))
    assert sorted(entry["Key"] for entry in output["Deleted"]) == ["list/0", "list/1"]
    tags = {"TagSet": [{"Key": "k", "Value": "v<&>"}]}
    assert succeeded(run("aws-sdk:s3:putBucketTagging", {"Bucket": unique, "Tagging": tags})) == {}
    assert succeeded(run("aws-sdk:s3:getBucketTagging", {"Bucket": unique})) == tags
    output = succeeded(run("aws-sdk:s3:copyObject", {"Bucket": unique, "Key": "copy", "CopySource": f"{unique}/list/2"}))
    assert output["CopyObjectResult"]["ETag"]
    error, cause = failed(run("aws-sdk:s3:getObject", {"Bucket": unique, "Key": "missing"}))
    assert error == "S3.NoSuchKeyException"
    assert cause.startswith("The specified key does not exist. (Service: S3, Status Code: 404, Request ID: ")
    error, _ = failed(run("aws-sdk:s3:listObjects", {"Bucket": "no-" + unique}))
    assert error == "S3.NoSuchBucketException"
    error, cause = failed(run("aws-sdk:s3:headObject", {"Bucket": unique, "Key": "missing"}))
    assert error == "S3.NoSuchKeyException", cause
    error, cause = failed(run("aws-sdk:s3:headBucket", {"Bucket": "no-" + unique}))
    assert error == "S3.NoSuchBucketException", cause
    big = s3.put_object(Bucket=unique, Key="big", Body=b"x" * 300_000)
    assert big
    error, cause = failed(run("aws-sdk:s3:getObject", {"Bucket": unique, "Key": "big"}))
    assert error == "States.DataLimitExceeded" and "'aws-sdk:s3'" in cause


def test_events(aws, run, unique):
    events, sqs = aws("events"), aws("sqs")
    url = sqs.create_queue(QueueName=unique)["QueueUrl"]
    events.put_rule(Name=unique, EventPattern=json.dumps({"source": [unique]}))
    events.put_targets(Rule=unique, Targets=[{"Id": "1", "Arn": f"arn:aws:sqs:{REGION}:123456789012:{unique}"}])
    entry = {"Source": unique, "DetailType": "d", "Detail": {"a": 1}, "Resources": ["r"]}
    output = succeeded(run("events:putEvents", {"Entries": [entry]}))
    assert set(output) == {"Entries", "FailedEntryCount"} and output["FailedEntryCount"] == 0
    message = wait_until("the event", lambda: sqs.receive_message(QueueUrl=url).get("Messages"))[0]
    event = json.loads(message["Body"])
    assert event["detail"] == {"a": 1}
    assert event["resources"][0] == "r"
    assert [arn.split(":")[5] for arn in event["resources"][1:]] == ["stateMachine", "execution"]
    error, cause = failed(run("events:putEvents", {"Entries": [{"DetailType": "d", "Detail": {}}]}))
    assert error == "EventBridge.FailedEntry"
    assert json.loads(cause)["FailedEntryCount"] == 1
    # By the SDK integration, an event is sent as it is, and an answer that says of failures is a result.
    output = succeeded(run("aws-sdk:eventbridge:putEvents", {"Entries": [entry, {"DetailType": "d", "Detail": {}}]}))
    assert output["FailedEntryCount"] == 1 and output["Entries"][0]["EventId"]
    message = wait_until("the event", lambda: sqs.receive_message(QueueUrl=url).get("Messages"))[0]
    assert json.loads(message["Body"])["resources"] == ["r"]
    rules = succeeded(run("aws-sdk:eventbridge:listRules", {"NamePrefix": unique}))["Rules"]
    assert [(rule["Name"], rule["State"]) for rule in rules] == [(unique, "ENABLED")]
    error, _ = failed(run("aws-sdk:eventbridge:describeRule", {"Name": "no-" + unique}))
    assert error == "EventBridge.ResourceNotFoundException"


def test_secretsmanager(run, unique):
    secret = {"Name": unique, "SecretString": {"password": "p"}}
    arn = succeeded(run("aws-sdk:secretsmanager:createSecret", secret))["ARN"]
    output = succeeded(run("aws-sdk:secretsmanager:getSecretValue", {"SecretId": unique}))
    assert output["ARN"] == arn and output["SecretString"] == '{"password":"p"}' and output["CreatedDate"].endswith("Z")
    error, cause = failed(run("aws-sdk:secretsmanager:getSecretValue", {"SecretId": "no-" + unique}))
    assert error == "SecretsManager.ResourceNotFoundException" and "(Service: SecretsManager, Status Code: 4" in cause


def test_sts_and_roles(run, aws, unique):
    output = succeeded(run("aws-sdk:sts:getCallerIdentity"))
    assert output["Account"] == "123456789012"
    document = {"Version": "2012-10-17", "Statement": [
        {"Effect": "Allow", "Principal": {"AWS": "*"}, "Action": "sts:AssumeRole"},
    ]}
    role = aws("iam").create_role(RoleName=unique, AssumeRolePolicyDocument=json.dumps(document))["Role"]["Arn"]
    output = succeeded(run("aws-sdk:sts:assumeRole", {"RoleArn": role, "RoleSessionName": "s"}))
    assert output["AssumedRoleUser"]["Arn"].endswith(f"assumed-role/{unique}/s")
    assert output["Credentials"]["Expiration"].endswith("Z")


def test_a_task_has_the_role_of_its_credentials(aws, moto, tmp_path, unique):
    """With credentials of its own, the server assumes the state's role, once for as long as it lasts."""
    document = {"Version": "2012-10-17", "Statement": [
        {"Effect": "Allow", "Principal": {"AWS": "*"}, "Action": "sts:AssumeRole"},
    ]}
    role = aws("iam").create_role(RoleName=unique, AssumeRolePolicyDocument=json.dumps(document))["Role"]["Arn"]
    environment = {"AWS_ENDPOINT_URL": moto, "AWS_ACCESS_KEY_ID": "AKIAOFTHESERVER", "AWS_SECRET_ACCESS_KEY": "secret"}
    with Server(tmp_path / "data", "--status-events-eventbridge", "off", environment=environment) as server:
        sfn = client_of(server)
        state = {
            "Type": "Task", "Resource": "arn:aws:states:::aws-sdk:sts:getCallerIdentity", "End": True,
            "Parameters": {}, "Credentials": {"RoleArn.$": "$.role"},
        }
        machine = create(sfn, unique, {"StartAt": "T", "States": {"T": state}})
        execution = sfn.start_execution(stateMachineArn=machine, input=json.dumps({"role": role}))["executionArn"]

        def ended():
            described = sfn.describe_execution(executionArn=execution)
            return described["status"] != "RUNNING" and described

        described = wait_until("the execution ended", ended)
        assert described["status"] == "SUCCEEDED", described
        assert f":assumed-role/{unique}/" in json.loads(described["output"])["Arn"]
        scheduled = [e for e in history(sfn, execution) if e["type"] == "TaskScheduled"][0]
        assert scheduled["taskScheduledEventDetails"]["taskCredentials"] == {"roleArn": role}


def test_ssm(run, unique):
    put = {"Name": f"/{unique}/a", "Value": "v", "Type": "String"}
    assert succeeded(run("aws-sdk:ssm:putParameter", put))["Version"] == 1
    output = succeeded(run("aws-sdk:ssm:getParametersByPath", {"Path": f"/{unique}", "Recursive": True}))
    assert [p["Value"] for p in output["Parameters"]] == ["v"]
    error, _ = failed(run("aws-sdk:ssm:getParameter", {"Name": f"/{unique}/b"}))
    assert error == "Ssm.ParameterNotFoundException"


def test_kms(run, aws):
    key = succeeded(run("aws-sdk:kms:createKey", {"Description": "d"}))["KeyMetadata"]["KeyId"]
    assert aws("kms").describe_key(KeyId=key)["KeyMetadata"]["Description"] == "d"
    output = succeeded(run("aws-sdk:kms:generateRandom", {"NumberOfBytes": 4}))
    assert isinstance(output["Plaintext"], str)
    error, _ = failed(run("aws-sdk:kms:describeKey", {"KeyId": str(uuid.uuid4())}))
    assert error == "Kms.NotFoundException"


def test_iam(run, unique):
    output = succeeded(run("aws-sdk:iam:createUser", {"UserName": unique, "Tags": [{"Key": "k", "Value": "a b&c"}]}))
    assert output["User"]["UserName"] == unique and output["User"]["Tags"] == [{"Key": "k", "Value": "a b&c"}]
    assert output["User"]["CreateDate"].endswith("Z")
    names = [user["UserName"] for user in succeeded(run("aws-sdk:iam:listUsers", {"MaxItems": 1000}))["Users"]]
    assert unique in names
    error, cause = failed(run("aws-sdk:iam:getUser", {"UserName": "no-" + unique}))
    assert error == "Iam.NoSuchEntityException" and "(Service: Iam, Status Code: 404, " in cause


def test_ec2(run):
    output = succeeded(run("aws-sdk:ec2:describeRegions", {"RegionNames": ["eu-west-1"]}))
    assert [region["RegionName"] for region in output["Regions"]] == ["eu-west-1"]
    filters = [{"Name": "isDefault", "Values": ["true"]}]
    vpcs = succeeded(run("aws-sdk:ec2:describeVpcs", {"Filters": filters}))["Vpcs"]
    assert len(vpcs) == 1 and vpcs[0]["IsDefault"] is True
    assert vpcs[0]["CidrBlockAssociationSet"][0]["CidrBlockState"]["State"] == "associated"
    error, cause = failed(run("aws-sdk:ec2:describeVpcs", {"VpcIds": ["vpc-00000000"]}))
    assert error == "Ec2.Ec2Exception" and "(Service: Ec2, Status Code: 400" in cause


def test_cloudwatch(run, aws, unique):
    data = [{"MetricName": "m", "Value": 1.5, "Unit": "Count", "Dimensions": [{"Name": "d", "Value": "v"}]}]
    assert succeeded(run("aws-sdk:cloudwatch:putMetricData", {"Namespace": unique, "MetricData": data})) == {}
    output = succeeded(run("aws-sdk:cloudwatch:listMetrics", {"Namespace": unique}))
    assert [metric["MetricName"] for metric in output["Metrics"]] == ["m"]


def test_kinesis(run, aws, unique):
    kinesis = aws("kinesis")
    kinesis.create_stream(StreamName=unique, ShardCount=1)
    put = {"StreamName": unique, "Data": {"a": 1}, "PartitionKey": "p"}
    output = succeeded(run("aws-sdk:kinesis:putRecord", put))
    assert output["ShardId"]
    iterator = kinesis.get_shard_iterator(
        StreamName=unique, ShardId=output["ShardId"], ShardIteratorType="TRIM_HORIZON")["ShardIterator"]
    assert kinesis.get_records(ShardIterator=iterator)["Records"][0]["Data"] == b'{"a":1}'
    output = succeeded(run("aws-sdk:kinesis:getRecords", {"ShardIterator": iterator}))
    assert output["Records"][0]["Data"] == '{"a":1}'


def test_resources_that_do_not_exist_are_refused(calling, unique):
    for resource in ["aws-sdk:s3:getNothing", "aws-sdk:nothing:get", "dynamodb:query", "sqs:sendMessage.sync"]:
        arn = f"arn:aws:states:::{resource}"
        definition = {"StartAt": "T", "States": {"T": {"Type": "Task", "Resource": arn, "End": True}}}
        with pytest.raises(calling.exceptions.InvalidDefinition) as caught:
            create(calling, unique, definition)
        assert f"The resource provided {arn} is not recognized." in str(caught.value)


def test_parameters_of_the_wrong_kind_fail_the_task(run):
    error, cause = failed(run("aws-sdk:s3:listObjectsV2", {"Bucket": "b", "MaxKeys": {"a": 1}}))
    assert error == "States.Runtime"
    assert "The value of the field 'MaxKeys' has an invalid format" in cause
    error, cause = failed(run("aws-sdk:sqs:sendMessage", {"QueueUrl.$": "$.q", "MessageBody": "b"}, {"q": None}))
    assert error.startswith("Sqs."), cause
