// Measures the npm jsonata: a line of JSON comes in for every measurement, one goes out.
import { createInterface } from 'node:readline';
import { hrtime, stdin, stdout } from 'node:process';
import oldest from 'jsonata-2.0.6';
import current from 'jsonata-2.2.2';

const engines = { '2.0.6': oldest, '2.2.2': current };
const SAMPLES = 20;

async function measure({ version, expression, input, bindings, millis }) {
  const compiled = engines[version](expression);
  // A variable that is bound anew at each evaluation, as a caller would.
  const evaluate = () => compiled.evaluate(input, bindings ?? undefined);
  const result = await evaluate();
  const timed = async (times) => {
    const start = hrtime.bigint();
    for (let i = 0; i < times; i += 1) await evaluate();
    return Number(hrtime.bigint() - start);
  };
  // The compiler of the engine below gets as long to warm up as is measured then.
  const sample = (millis * 1e6) / SAMPLES;
  let times = 1;
  for (let spent = 0; spent < millis * 1e6; ) {
    const nanos = await timed(times);
    spent += nanos;
    times = Math.max(1, Math.round((times * sample) / Math.max(nanos, 1_000)));
  }
  const samples = [];
  for (let i = 0; i < SAMPLES; i += 1) samples.push((await timed(times)) / times);
  samples.sort((a, b) => a - b);
  return { nanos: (samples[SAMPLES / 2 - 1] + samples[SAMPLES / 2]) / 2, result: result ?? null };
}

for await (const line of createInterface({ input: stdin })) {
  stdout.write(`${JSON.stringify(await measure(JSON.parse(line)))}\n`);
}
