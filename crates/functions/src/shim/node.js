// Runs a function that a Node module exports as AWS Lambda's Node runtime does, with Node alone.
//
// It speaks the Runtime API over a connection of its own, so that whatever the function prints is log and nothing else.
// Errors and texts are those of AWS's runtime interface client for Node.
'use strict';
(() => {
  const fs = require('node:fs');
  const http = require('node:http');
  const path = require('node:path');
  const { pathToFileURL } = require('node:url');
  const [hostname, port] = process.env.AWS_LAMBDA_RUNTIME_API.split(':');
  const agent = new http.Agent({ keepAlive: true, maxSockets: 1 });

  function call(method, where, body, headers) {
    return new Promise((resolve) => {
      const options = { hostname, port, method, agent, path: `/2018-06-01/runtime/${where}`, headers };
      const request = http.request(options, (response) => {
        const pieces = [];
        response.on('data', (piece) => pieces.push(piece));
        response.on('end', () => resolve({ headers: response.headers, body: Buffer.concat(pieces).toString() }));
        response.on('error', gone);
      });
      request.on('error', gone);
      request.setNoDelay(true);
      request.end(body);
    });
  }

  // Whoever started this process is gone.
  function gone() {
    process.exit(0);
  }

  function fault(name, message) {
    const error = new Error(message);
    error.name = name;
    return error;
  }

  function described(error) {
    if (error instanceof Error || Object.prototype.toString.call(error) === '[object Error]') {
      return {
        errorType: error.name,
        errorMessage: error.message,
        trace: typeof error.stack === 'string' ? error.stack.split('\n') : [],
      };
    }
    return { errorType: typeof error, errorMessage: String(error), trace: [] };
  }

  function report(where, error) {
    const told = described(error);
    console.error(`[ERROR] ${told.trace.join('\n') || `${told.errorType}: ${told.errorMessage}`}`);
    const kind = String(told.errorType).replace(/[^\x20-\x7e]/g, '?');
    const body = Buffer.from(JSON.stringify(told));
    const headers = { 'content-type': 'application/json', 'content-length': body.length };
    return call('POST', where, body, { ...headers, 'lambda-runtime-function-error-type': kind });
  }

  function named(module, names) {
    return names.split('.').reduce((found, name) => found?.[name], module);
  }

  async function load(handler) {
    const match = path.basename(handler).match(/^([^.]*)\.(.+)$/);
    if (!match) throw fault('Runtime.MalformedHandlerName', 'Bad handler');
    const file = path.resolve(path.dirname(handler), match[1]);
    const found = ['', '.js', '.mjs', '.cjs'].map((end) => file + end)
      .find((candidate) => fs.statSync(candidate, { throwIfNoEntry: false })?.isFile());
    if (!found) throw fault('Runtime.ImportModuleError', `Error: Cannot find module '${match[1]}'`);
    let module;
    try {
      module = await import(pathToFileURL(found).href);
    } catch (error) {
      const kinds = { MODULE_NOT_FOUND: 'ImportModuleError', ERR_MODULE_NOT_FOUND: 'ImportModuleError' };
      const kind = error instanceof SyntaxError ? 'UserCodeSyntaxError' : kinds[error?.code];
      if (!kind) throw error;
      const wrapped = fault(`Runtime.${kind}`, `${error.name}: ${error.message}`);
      wrapped.stack = error.stack;
      throw wrapped;
    }
    const target = named(module, match[2]) ?? named(module.default, match[2]);
    if (!target) throw fault('Runtime.HandlerNotFound', `${handler} is undefined or not exported`);
    if (typeof target !== 'function') throw fault('Runtime.HandlerNotFound', `${handler} is not a function`);
    return target;
  }

  function contextOf(headers) {
    const deadline = Number(headers['lambda-runtime-deadline-ms']);
    const text = headers['lambda-runtime-client-context'];
    return {
      callbackWaitsForEmptyEventLoop: true,
      functionName: process.env.AWS_LAMBDA_FUNCTION_NAME,
      functionVersion: process.env.AWS_LAMBDA_FUNCTION_VERSION,
      invokedFunctionArn: headers['lambda-runtime-invoked-function-arn'],
      memoryLimitInMB: process.env.AWS_LAMBDA_FUNCTION_MEMORY_SIZE,
      awsRequestId: headers['lambda-runtime-aws-request-id'],
      logGroupName: process.env.AWS_LAMBDA_LOG_GROUP_NAME,
      logStreamName: process.env.AWS_LAMBDA_LOG_STREAM_NAME,
      clientContext: text ? JSON.parse(text) : undefined,
      identity: undefined,
      getRemainingTimeInMillis: () => Math.max(deadline - Date.now(), 0),
    };
  }

  // What the function comes to: by a promise, by its callback, or null once it has nothing left to do.
  let nothingLeft = () => {};
  process.on('beforeExit', () => nothingLeft());

  function run(target, event, context) {
    return new Promise((resolve, reject) => {
      const callback = (error, result) => (error === undefined || error === null ? resolve(result) : reject(error));
      context.succeed = resolve;
      context.fail = reject;
      context.done = callback;
      nothingLeft = () => resolve(null);
      const result = target(event, context, callback);
      if (typeof result?.then === 'function') result.then(resolve, reject);
    });
  }

  let current;
  const die = (code, wrap) => (reason) => {
    const where = current ? `invocation/${current}/error` : 'init/error';
    report(where, wrap(reason)).then(() => process.exit(code));
  };
  process.on('uncaughtException', die(129, (error) => error));
  process.on('unhandledRejection', die(128, (reason) => {
    const error = fault('Runtime.UnhandledPromiseRejection', String(reason));
    error.stack = reason?.stack ?? error.stack;
    return error;
  }));

  async function main() {
    let target;
    try {
      target = await load(process.env._HANDLER);
    } catch (error) {
      await report('init/error', error);
      process.exit(1);
    }
    for (;;) {
      const { headers, body } = await call('GET', 'invocation/next');
      current = headers['lambda-runtime-aws-request-id'];
      process.env._X_AMZN_TRACE_ID = headers['lambda-runtime-trace-id'] ?? '';
      try {
        const result = await run(target, JSON.parse(body), contextOf(headers));
        let text;
        try {
          text = JSON.stringify(result === undefined ? null : result) ?? 'null';
        } catch {
          throw fault('Runtime.JSONStringifyError', 'Unable to stringify response body');
        }
        const bytes = Buffer.from(text);
        const about = { 'content-type': 'application/json', 'content-length': bytes.length };
        await call('POST', `invocation/${current}/response`, bytes, about);
      } catch (error) {
        await report(`invocation/${current}/error`, error);
      }
      nothingLeft = () => {};
      current = undefined;
    }
  }
  main();
})();
