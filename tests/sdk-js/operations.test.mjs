// The AWS SDK for JavaScript v3 against the real binary: the operations beyond the daily ones of v3.test.mjs.
import assert from "node:assert/strict";
import nodeTest, { after } from "node:test";
import { ResourceNotFound, paginateListExecutions } from "@aws-sdk/client-sfn";
import { clientOf } from "./client.mjs";
import { PASS, ROLE, WAIT, startServer, task, until } from "./server.mjs";

const server = await startServer();
const client = clientOf(server);
after(async () => {
  client.destroy();
  assert.equal(await server.stop(), 0, "the server drains and ends well");
});

/** A test of operations of which this version may not serve some yet: then it says so and is skipped. */
const test = (what, run) =>
  nodeTest(what, async (t) => {
    try {
      await run();
    } catch (error) {
      if (!/not served by this version of Stepwright yet/.test(error.message)) throw error;
      t.skip(error.message);
    }
  });

const create = async (name, definition, more) =>
  (await client.createStateMachine({ name, definition, roleArn: ROLE, ...more })).stateMachineArn;
const ended = (executionArn, status) =>
  until(`${executionArn} is ${status}`, async () => {
    const described = await client.describeExecution({ executionArn });
    return described.status === status && described;
  });

test("the other operations of machines and activities", async () => {
  const machine = await create("other", PASS);
  await client.updateStateMachine({ stateMachineArn: machine, definition: WAIT });
  const { executionArn } = await client.startExecution({ stateMachineArn: machine });
  assert.equal((await client.describeStateMachineForExecution({ executionArn })).definition, WAIT);
  await client.stopExecution({ executionArn });
  for (let i = 0; i < 3; i++) await client.startExecution({ stateMachineArn: machine });
  const names = [];
  for await (const page of paginateListExecutions({ client, pageSize: 1 }, { stateMachineArn: machine })) {
    names.push(...page.executions.map((item) => item.name));
  }
  assert.equal(new Set(names).size, 4);
  assert.equal((await client.listStateMachines({})).stateMachines.length, 1);
  const { activityArn } = await client.createActivity({ name: "other" });
  assert.equal((await client.describeActivity({ activityArn })).name, "other");
  assert.equal((await client.listActivities({})).activities.length, 1);
  const failing = await create("failing", task(activityArn));
  const failed = (await client.startExecution({ stateMachineArn: failing })).executionArn;
  const { taskToken } = await client.getActivityTask({ activityArn });
  await client.sendTaskFailure({ taskToken, error: "Broken", cause: "on purpose" });
  assert.equal((await ended(failed, "FAILED")).error, "Broken");
  await client.deleteActivity({ activityArn });
  await client.deleteStateMachine({ stateMachineArn: machine });
});

test("versions and aliases", async () => {
  const stateMachineArn = await create("versioned", PASS);
  const { stateMachineVersionArn } = await client.publishStateMachineVersion({ stateMachineArn, description: "first" });
  assert.equal(stateMachineVersionArn, `${stateMachineArn}:1`);
  const routingConfiguration = [{ stateMachineVersionArn, weight: 100 }];
  const { stateMachineAliasArn } = await client.createStateMachineAlias({ name: "live", routingConfiguration });
  await client.updateStateMachineAlias({ stateMachineAliasArn, description: "now" });
  const described = await client.describeStateMachineAlias({ stateMachineAliasArn });
  assert.deepEqual([described.description, described.routingConfiguration], ["now", routingConfiguration]);
  assert.equal((await client.listStateMachineVersions({ stateMachineArn })).stateMachineVersions.length, 1);
  assert.equal((await client.listStateMachineAliases({ stateMachineArn })).stateMachineAliases.length, 1);
  const { executionArn } = await client.startExecution({ stateMachineArn: stateMachineAliasArn });
  assert.equal((await ended(executionArn, "SUCCEEDED")).stateMachineAliasArn, stateMachineAliasArn);
  await client.deleteStateMachineAlias({ stateMachineAliasArn });
  await client.deleteStateMachineVersion({ stateMachineVersionArn });
});

test("definitions are validated", async () => {
  const wrong = await client.validateStateMachineDefinition({ definition: "{}" });
  assert.deepEqual([wrong.result, wrong.diagnostics[0].location], ["FAIL", "/"]);
});

test("an execution is redriven", async () => {
  const { activityArn } = await client.createActivity({ name: "redriven" });
  const machine = await create("redriven", task(activityArn));
  const { executionArn } = await client.startExecution({ stateMachineArn: machine });
  await client.sendTaskFailure({ taskToken: (await client.getActivityTask({ activityArn })).taskToken });
  await ended(executionArn, "FAILED");
  const { redriveDate } = await client.redriveExecution({ executionArn });
  await client.sendTaskSuccess({ taskToken: (await client.getActivityTask({ activityArn })).taskToken, output: "1" });
  const done = await ended(executionArn, "SUCCEEDED");
  assert.deepEqual([done.redriveCount, +done.redriveDate], [1, +redriveDate]);
});

test("one state is tested", async () => {
  const definition = JSON.stringify({ Type: "Pass", Result: "world", End: true });
  const done = await client.testState({ definition, input: "{}", inspectionLevel: "DEBUG" });
  assert.deepEqual([done.status, done.output, done.inspectionData.input], ["SUCCEEDED", '"world"', "{}"]);
});

test("an Express execution runs while the caller waits", async () => {
  const stateMachineArn = await create("sync", PASS, { type: "EXPRESS" });
  const done = await client.startSyncExecution({ stateMachineArn, input: "{}" });
  assert.deepEqual([done.status, done.output], ["SUCCEEDED", '"world"']);
  assert.ok(done.startDate <= done.stopDate && done.billingDetails.billedDurationInMilliseconds >= 100);
});

test("an execution without map runs", async () => {
  const { executionArn } = await client.startExecution({ stateMachineArn: await create("unmapped", PASS) });
  assert.deepEqual((await client.listMapRuns({ executionArn })).mapRuns, []);
  const mapRunArn = "arn:aws:states:us-east-1:000000000000:mapRun:m/each:1";
  await assert.rejects(client.describeMapRun({ mapRunArn }), ResourceNotFound);
  await assert.rejects(client.updateMapRun({ mapRunArn, maxConcurrency: 1 }), ResourceNotFound);
});

test("map runs", async () => {
  const { activityArn } = await client.createActivity({ name: "item" });
  const ItemProcessor = {
    ProcessorConfig: { Mode: "DISTRIBUTED", ExecutionType: "STANDARD" },
    StartAt: "T",
    States: { T: { Type: "Task", Resource: activityArn, End: true } },
  };
  const definition = JSON.stringify({ StartAt: "M", States: { M: { Type: "Map", ItemProcessor, End: true } } });
  const stateMachineArn = await create("mapped", definition);
  const { executionArn } = await client.startExecution({ stateMachineArn, input: "[1]" });
  const { mapRunArn } = await until("there is a map run", async () => (await client.listMapRuns({ executionArn })).mapRuns[0]);
  await client.updateMapRun({ mapRunArn, maxConcurrency: 5 });
  assert.equal((await client.describeMapRun({ mapRunArn })).maxConcurrency, 5);
  await client.sendTaskSuccess({ taskToken: (await client.getActivityTask({ activityArn })).taskToken, output: "2" });
  assert.equal((await ended(executionArn, "SUCCEEDED")).output, "[2]");
});
