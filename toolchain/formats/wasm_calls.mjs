// Instantiates one module with stand-ins for its imports and calls each exported function with the
// same few arguments; writes one line for each call, so that two modules can be compared.
//
//   node wasm_calls.mjs MODULE.wasm PLAN.json
//
// PLAN is what wasm_calls.py writes: imports with their types, exports with their parameters, the
// seconds after which no further call is begun. Each call has an instance of its own.

import { createHash } from "node:crypto";
import { readFileSync, writeSync } from "node:fs";

const module = new WebAssembly.Module(readFileSync(process.argv[2]));
const plan = JSON.parse(readFileSync(process.argv[3], "utf-8"));
const until = performance.now() + plan.seconds * 1000;

const ZERO = { i32: 0, i64: 0n, f32: 0, f64: 0, externref: null, anyfunc: null };
const VALUES = { i32: [0, 1, 64, 4096], i64: [0n, 1n, 64n, 4096n], f32: [0, 1, 0.5, -3], f64: [0, 1, 0.5, -3] };

function standIn({ kind, type }, calls) {
  if (kind === "memory") return new WebAssembly.Memory(type);
  if (kind === "table") return new WebAssembly.Table(type);
  if (kind === "global") return new WebAssembly.Global(type, ZERO[type.value]);
  return (...values) => {
    calls.push(values.map(String));
    return ZERO[type.result];
  };
}

function instance() {
  const calls = [];
  const given = {};
  for (const one of plan.imports) (given[one.module] ??= {})[one.name] = standIn(one, calls);
  const made = new WebAssembly.Instance(module, given);
  const all = [...Object.values(made.exports), ...Object.values(given).flatMap(Object.values)];
  return { made, calls, memory: all.find((value) => value instanceof WebAssembly.Memory) };
}

function outcome(act) {
  try {
    const value = act();
    return String(value);
  } catch (error) {
    return `${error.name}: ${error.message}`;
  }
}

const say = (...words) => writeSync(1, `${JSON.stringify(words)}\n`);

say("instantiate", outcome(() => (instance(), "done")));
for (const { name, parameters } of plan.exports) {
  for (let turn = 0; turn < 4; turn += 1) {
    if (performance.now() > until) process.exit(0);
    let ready;
    const result = outcome(() => {
      ready = instance();
      const values = parameters.map((type, place) => VALUES[type][(turn + place) % 4]);
      return ready.made.exports[name](...values);
    });
    const memory = ready?.memory;
    const bytes = memory ? new Uint8Array(memory.buffer).slice() : new Uint8Array();
    const digest = createHash("sha256").update(bytes).digest("hex");
    say(name, turn, result, ready?.calls.slice(0, 50) ?? [], digest);
  }
}
