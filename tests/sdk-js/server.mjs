// The real binary for the JavaScript tests: started on a free port with a directory of its own, stopped at the end.
import { spawn } from "node:child_process";
import { mkdtempSync, openSync, readFileSync, rmSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";

export const ROLE = "arn:aws:iam::000000000000:role/tests";
export const PASS = JSON.stringify({ StartAt: "Hello", States: { Hello: { Type: "Pass", Result: "world", End: true } } });
export const WAIT = JSON.stringify({ StartAt: "Long", States: { Long: { Type: "Wait", Seconds: 3600, End: true } } });
export const task = (resource) =>
  JSON.stringify({ StartAt: "Work", States: { Work: { Type: "Task", Resource: resource, End: true } } });

function freePort() {
  return new Promise((resolve, reject) => {
    const probe = createServer();
    probe.on("error", reject);
    probe.listen(0, "127.0.0.1", () => {
      const { port } = probe.address();
      probe.close(() => resolve(port));
    });
  });
}

/** Starts a server; `stop` ends it with SIGTERM and says with which code it ended. */
export async function startServer() {
  const binary = process.env.STEPWRIGHT_BIN;
  if (!binary) throw new Error("STEPWRIGHT_BIN must name the server binary; `cargo xtask test` sets it");
  const home = mkdtempSync(join(tmpdir(), "stepwright-js-"));
  const log = join(home, "server.log");
  const port = await freePort();
  const endpoint = `http://127.0.0.1:${port}`;
  const out = openSync(log, "a");
  const child = spawn(binary, ["serve", "--listen", `127.0.0.1:${port}`, "--data-directory", join(home, "data")], {
    stdio: ["ignore", out, out],
  });
  const ended = new Promise((resolve) => child.on("exit", (code, signal) => resolve(code ?? signal)));
  await until("the server is healthy", async () => {
    if (child.exitCode !== null) throw new Error(`the server ended with ${child.exitCode}:\n${readFileSync(log)}`);
    return (await fetch(`${endpoint}/healthz`).catch(() => null))?.ok;
  });
  const stop = async () => {
    child.kill("SIGTERM");
    const code = await ended;
    rmSync(home, { recursive: true, force: true });
    return code;
  };
  return { endpoint, stop };
}

/** Asks until the answer is true. */
export async function until(what, condition, seconds = 30) {
  const deadline = Date.now() + seconds * 1000;
  for (;;) {
    const result = await condition();
    if (result) return result;
    if (Date.now() > deadline) throw new Error(`waited ${seconds} s in vain: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

/**
 * The tests, the same for both SDKs. `call(operation, request)` calls an operation such as "createActivity";
 * `errorName(error)` says how that SDK names an error.
 */
export function suite(test, assert, call, errorName) {
  const ended = (executionArn, status) =>
    until(`${executionArn} is ${status}`, async () => {
      const described = await call("describeExecution", { executionArn });
      return described.status === status && described;
    });
  const refused = async (operation, request, name, message) => {
    await assert.rejects(call(operation, request), (error) => {
      assert.equal(errorName(error), name);
      assert.ok(error.message.startsWith(message), error.message);
      return true;
    });
  };
  const create = async (name, definition) =>
    (await call("createStateMachine", { name, definition, roleArn: ROLE })).stateMachineArn;

  test("create, start, describe, history", async () => {
    const machine = await create("chain", PASS);
    assert.equal(machine, "arn:aws:states:us-east-1:000000000000:stateMachine:chain");
    assert.equal((await call("describeStateMachine", { stateMachineArn: machine })).definition, PASS);
    const started = await call("startExecution", { stateMachineArn: machine, name: "first", input: '{"a":1}' });
    assert.ok(started.startDate instanceof Date && Math.abs(started.startDate - Date.now()) < 60_000);
    const described = await ended(started.executionArn, "SUCCEEDED");
    assert.equal(described.output, '"world"');
    const { events } = await call("getExecutionHistory", { executionArn: started.executionArn });
    assert.deepEqual(
      events.map((event) => [Number(event.id), event.type]),
      [[1, "ExecutionStarted"], [2, "PassStateEntered"], [3, "PassStateExited"], [4, "ExecutionSucceeded"]],
    );
    assert.ok(events[0].timestamp instanceof Date);
  });

  test("list and page", async () => {
    const machine = await create("paged", PASS);
    const arns = [];
    for (let i = 0; i < 5; i++) {
      arns.push((await call("startExecution", { stateMachineArn: machine, name: `n${i}` })).executionArn);
    }
    for (const arn of arns) await ended(arn, "SUCCEEDED");
    const listed = [];
    let pages = 0;
    let nextToken;
    do {
      const page = await call("listExecutions", { stateMachineArn: machine, maxResults: 2, nextToken });
      listed.push(...page.executions.map((item) => item.executionArn));
      nextToken = page.nextToken;
      pages++;
    } while (nextToken);
    assert.equal(pages, 3);
    assert.deepEqual(listed.sort(), arns.sort());
  });

  test("stop", async () => {
    const machine = await create("stopped", WAIT);
    const { executionArn } = await call("startExecution", { stateMachineArn: machine });
    const stopped = await call("stopExecution", { executionArn, error: "Enough", cause: "too long" });
    const described = await call("describeExecution", { executionArn });
    assert.deepEqual(
      [described.status, described.error, described.cause, +described.stopDate],
      ["ABORTED", "Enough", "too long", +stopped.stopDate],
    );
  });

  test("an activity there and back", async () => {
    const { activityArn } = await call("createActivity", { name: "there-and-back" });
    const machine = await create("with-activity", task(activityArn));
    const { executionArn } = await call("startExecution", { stateMachineArn: machine, input: '{"n":7}' });
    const given = await call("getActivityTask", { activityArn, workerName: "js" });
    assert.equal(given.input, '{"n":7}');
    await call("sendTaskHeartbeat", { taskToken: given.taskToken });
    await call("sendTaskSuccess", { taskToken: given.taskToken, output: '{"n":8}' });
    assert.equal((await ended(executionArn, "SUCCEEDED")).output, '{"n":8}');
    await refused("sendTaskSuccess", { taskToken: given.taskToken, output: "1" }, "TaskTimedOut", "Task Timed Out: ");
  });

  test("tags", async () => {
    const resourceArn = await create("tagged", PASS);
    await call("tagResource", { resourceArn, tags: [{ key: "team", value: "orders" }, { key: "stage", value: "" }] });
    await call("untagResource", { resourceArn, tagKeys: ["team"] });
    assert.deepEqual((await call("listTagsForResource", { resourceArn })).tags, [{ key: "stage", value: "" }]);
  });

  test("errors decode to their names", async () => {
    const none = "arn:aws:states:us-east-1:000000000000:execution:none:none";
    const text = `Execution Does Not Exist: '${none}'`;
    await refused("describeExecution", { executionArn: none }, "ExecutionDoesNotExist", text);
    await refused("describeExecution", { executionArn: "x" }, "InvalidArn", "Invalid Arn: 'Invalid ARN prefix: x'");
    await refused("createActivity", { name: "a b" }, "InvalidName", "Invalid Name: 'a b'");
    const bad = { name: "bad", definition: "{}", roleArn: ROLE };
    await refused("createStateMachine", bad, "InvalidDefinition", "Invalid State Machine Definition: '");
    const long = { name: "n".repeat(81) };
    await refused("createActivity", long, "ValidationException", "1 validation error detected: Value 'nnn");
  });
}
