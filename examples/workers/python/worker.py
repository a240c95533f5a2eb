"""A worker of an activity on plain boto3: python worker.py ACTIVITY_ARN"""
import json
import sys
import time

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

# A poll waits for a task up to a minute, and one whose answer was lost must not be repeated unseen.
sfn = boto3.client("stepfunctions", config=Config(read_timeout=70, retries={"total_max_attempts": 1}))
while True:
    try:
        task = sfn.get_activity_task(activityArn=sys.argv[1], workerName="python")
        if not task.get("taskToken"):
            continue
        name = json.loads(task["input"]).get("name")
        if name:
            sfn.send_task_success(taskToken=task["taskToken"], output=json.dumps(f"Hello, {name}!"))
        else:
            sfn.send_task_failure(taskToken=task["taskToken"], error="NoName", cause="Whom shall I greet?")
    except (BotoCoreError, ClientError) as error:
        print(error, file=sys.stderr)
        time.sleep(1)
