// The process in which onnxruntime-web tries one model, as a web page would run it: WebAssembly,
// one thread. Request and answer are those of onnxruntime_trial.py; "runtime" is the package's
// module.
//
// To be run with --no-liftoff: V8 then compiles each function once, well, when it is first called,
// and not a second time, beside the run that is measured.

import { readFileSync, writeFileSync } from "node:fs";
import { pathToFileURL } from "node:url";

const VIEWS = {
  bool: Uint8Array,
  float32: Float32Array,
  float64: Float64Array,
  int8: Int8Array,
  int16: Int16Array,
  int32: Int32Array,
  int64: BigInt64Array,
  uint8: Uint8Array,
  uint16: Uint16Array,
  uint32: Uint32Array,
  uint64: BigUint64Array,
  float16: Uint16Array,
};
const LEVELS = { none: "disabled", basic: "basic", extended: "extended", all: "all" };

// The memory of the WebAssembly instance; it only grows, so its size is its peak.
let heap;
const instantiate = WebAssembly.instantiate;
WebAssembly.instantiate = async (...given) => {
  const made = await instantiate(...given);
  const instance = made.instance ?? made;
  const values = Object.values(given[1] ?? {}).flatMap((module) => Object.values(module));
  heap = [...values, ...Object.values(instance.exports)].find(
    (value) => value instanceof WebAssembly.Memory,
  );
  return made;
};

async function measure(ort, request) {
  const options = sessionOptions(request.session);
  const numbers = new Uint8Array(readFileSync(request.numbers)).buffer; // own, not of node's pool
  const rows = request.feeds.map((row) => feeds(ort, row, numbers));
  const tiny = await ort.InferenceSession.create(readFileSync(request.tiny), options);
  await tiny.run({ x: new ort.Tensor("float32", new Float32Array(1), [1]) });
  const startBytes = heap.buffer.byteLength;
  const model = readFileSync(request.model);
  const session = await ort.InferenceSession.create(model, options);
  const known = rows.map((row) => pick(row, session.inputNames));
  const first = [];
  for (const row of known) first.push(await session.run(row));
  const latency = [];
  const until = performance.now() + request.seconds * 1000;
  let passes = -request.warm_up;
  while (passes < request.least || (passes < request.most && performance.now() < until)) {
    const before = cpuMs();
    for (const row of known) await session.run(row);
    if (passes >= 0) latency.push(cpuMs() - before);
    passes += 1;
  }
  const peak = heap.buffer.byteLength - startBytes;
  await session.release();
  const before = cpuMs();
  await ort.InferenceSession.create(model, options); // the second time: its code is compiled now
  const loadCpu = cpuMs() - before;
  const answer = { load_cpu_ms: loadCpu, latency_ms: latency, peak_bytes: peak };
  if (request.answers) answer.answers = written(session.outputNames, first, request.answers);
  return answer;
}

function sessionOptions(session) {
  return {
    executionProviders: ["wasm"],
    graphOptimizationLevel: LEVELS[session.optimization],
    enableCpuMemArena: session.arena,
    enableMemPattern: session.memory_pattern,
    logSeverityLevel: 4,
    extra: { session: { disable_prepacking: session.prepacking ? "0" : "1" } },
  };
}

function feeds(ort, row, numbers) {
  const found = {};
  for (const { name, type, shape, offset, bytes } of row) {
    const View = VIEWS[type];
    const values = new View(numbers.slice(offset, offset + bytes));
    found[name] = new ort.Tensor(type, values, shape);
  }
  return found;
}

function pick(row, names) {
  return Object.fromEntries(names.filter((name) => name in row).map((name) => [name, row[name]]));
}

function written(names, runs, path) {
  const chunks = [];
  let offset = 0;
  const rows = runs.map((outputs) => {
    const row = [];
    for (const name of names) {
      const { type, dims, data } = outputs[name];
      if (!ArrayBuffer.isView(data)) continue;
      const { buffer, byteOffset, byteLength } = data;
      const part = new Uint8Array(buffer, byteOffset, byteLength);
      row.push({ name, type, shape: [...dims], offset, bytes: part.length });
      chunks.push(part);
      offset += part.length;
    }
    return row;
  });
  writeFileSync(path, Buffer.concat(chunks));
  return rows;
}

function cpuMs() {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1000;
}

const request = JSON.parse(readFileSync(0, "utf-8"));
let answer;
try {
  const ort = await import(pathToFileURL(request.runtime).href);
  ort.env.wasm.numThreads = 1;
  ort.env.logLevel = "fatal";
  answer = await measure(ort, request);
} catch (error) {
  answer = { error: String(error?.message ?? error).slice(0, 500) };
}
process.stdout.write(`${JSON.stringify(answer)}\n`, () => process.exit(0));
