// The AWS SDK for JavaScript v3 against the real binary.
import assert from "node:assert/strict";
import test, { after } from "node:test";
import { startServer, suite } from "./server.mjs";
import { clientOf } from "./client.mjs";

const server = await startServer();
const client = clientOf(server);
after(async () => {
  client.destroy();
  assert.equal(await server.stop(), 0, "the server drains and ends well");
});

suite(test, assert, (operation, request) => client[operation](request), (error) => error.name);

test("modelled errors are classes", async () => {
  const { ExecutionDoesNotExist } = await import("@aws-sdk/client-sfn");
  const executionArn = "arn:aws:states:us-east-1:000000000000:execution:none:none";
  await assert.rejects(client.describeExecution({ executionArn }), ExecutionDoesNotExist);
});
