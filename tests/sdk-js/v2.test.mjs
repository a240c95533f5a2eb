// The AWS SDK for JavaScript v2 (in maintenance, still everywhere) against the real binary.
process.env.AWS_SDK_JS_SUPPRESS_MAINTENANCE_MODE_MESSAGE = "1";
import assert from "node:assert/strict";
import test, { after } from "node:test";
import AWS from "aws-sdk";
import { ROLE, startServer, suite } from "./server.mjs";

const server = await startServer();
const client = new AWS.StepFunctions({
  endpoint: server.endpoint,
  region: "us-east-1",
  accessKeyId: "test",
  secretAccessKey: "test",
  maxRetries: 0,
  // It would put `sync-` before the host of two operations, and no name server knows `sync-127.0.0.1`.
  hostPrefixEnabled: false,
  // v2 checks minimum lengths and patterns itself; the answers of the server are what is tested here.
  paramValidation: { min: false, max: false, pattern: false, enum: false },
});
after(async () => {
  assert.equal(await server.stop(), 0, "the server drains and ends well");
});

suite(test, assert, (operation, request) => client[operation](request).promise(), (error) => error.code);

test("an operation whose host has a prefix at AWS", async () => {
  const definition = JSON.stringify({ Type: "Pass", Result: "world", End: true });
  const tested = await client.testState({ definition, input: "{}", roleArn: ROLE }).promise();
  assert.equal(tested.output, '"world"');
});
