// A worker of an activity on the AWS SDK for JavaScript v3: npm start ACTIVITY_ARN
import { setTimeout } from "node:timers/promises";
import { SFN } from "@aws-sdk/client-sfn";

// A poll whose answer was lost must not be repeated unseen.
const sfn = new SFN({ maxAttempts: 1 });
const activityArn = process.argv[2];
for (;;) {
  try {
    const { taskToken, input = "{}" } = await sfn.getActivityTask({ activityArn, workerName: "typescript" });
    if (!taskToken) continue;
    const { name }: { name?: string } = JSON.parse(input);
    if (name) {
      await sfn.sendTaskSuccess({ taskToken, output: JSON.stringify(`Hello, ${name}!`) });
    } else {
      await sfn.sendTaskFailure({ taskToken, error: "NoName", cause: "Whom shall I greet?" });
    }
  } catch (error) {
    console.error(error);
    await setTimeout(1000);
  }
}
