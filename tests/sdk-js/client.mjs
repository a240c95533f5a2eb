// A client of the JavaScript SDK v3 that notes what it has called with success, for the table in docs/compatibility.md.
import { appendFileSync } from "node:fs";
import { join } from "node:path";
import { SFN } from "@aws-sdk/client-sfn";

export function clientOf(server) {
  const client = new SFN({
    endpoint: server.endpoint,
    region: "us-east-1",
    credentials: { accessKeyId: "test", secretAccessKey: "test" },
    maxAttempts: 1,
    // It would put `sync-` before the host of two operations, and no name server knows `sync-127.0.0.1`.
    disableHostPrefix: true,
  });
  const note = (next, context) => async (args) => {
    const answer = await next(args);
    const folder = process.env.STEPWRIGHT_SERVED_BY;
    if (folder) appendFileSync(join(folder, "sdk-js"), context.commandName.replace(/Command$/, "") + "\n");
    return answer;
  };
  client.middlewareStack.add(note, { step: "initialize", name: "note" });
  return client;
}
