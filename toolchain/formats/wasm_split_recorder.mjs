// Loaded into node before a scenario (`node --import`): counts what a split module does and, where
// one is instrumented, writes which of its functions ran. Everything goes to the folder named in
// VTOOL_RECORD: `profile-*` are binaryen's profiles, `split-*.json` the counts of wasm_split_loader.
//
// A profile is written when the process (or the worker thread) ends: Emscripten's memory is grown
// by the pages the profile needs, which nothing of the program has ever seen.

import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { threadId } from "node:worker_threads";

const folder = process.env.VTOOL_RECORD;
const PAGE_BYTES = 65536;
const instrumented = [];

function note(instance, imports) {
  if (typeof instance.exports.__write_profile !== "function") return instance;
  const given = Object.values(imports ?? {}).flatMap((module) => Object.values(module));
  const memory = [...Object.values(instance.exports), ...given].find(
    (value) => value instanceof WebAssembly.Memory,
  );
  instrumented.push({ write: instance.exports.__write_profile, memory });
  return instance;
}

const { instantiate, instantiateStreaming, Instance } = WebAssembly;
WebAssembly.instantiate = async (source, imports) => {
  const made = await instantiate(source, imports);
  note(made.instance ?? made, imports);
  return made;
};
if (instantiateStreaming) {
  WebAssembly.instantiateStreaming = async (source, imports) => {
    const made = await instantiateStreaming(source, imports);
    note(made.instance, imports);
    return made;
  };
}
WebAssembly.Instance = new Proxy(Instance, {
  construct: (target, given, as) => note(Reflect.construct(target, given, as), given[1]),
});

process.on("exit", () => {
  instrumented.forEach(({ write, memory }, number) => {
    const bytes = write(0, 0); // too little room: nothing is written, and the size is the answer
    const at = memory.grow(Math.ceil(bytes / PAGE_BYTES)) * PAGE_BYTES;
    write(at, bytes);
    const profile = new Uint8Array(memory.buffer, at, bytes).slice();
    writeFileSync(join(folder, `profile-${process.pid}-${threadId}-${number}`), profile);
  });
  const split = globalThis[Symbol.for("vtool.split-wasm")];
  if (split) {
    const counts = JSON.stringify({ instances: split.instances, misses: split.misses });
    writeFileSync(join(folder, `split-${process.pid}-${threadId}.json`), counts);
  }
});
