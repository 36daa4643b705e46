// What a miss costs: another model, and the time in which its parts were loaded.
import { readFileSync } from "node:fs";
import { open } from "../src/listen.mjs";

await open(readFileSync(new URL("../models/silero_vad.onnx", import.meta.url)));
const model = readFileSync(new URL("../models/encoder_model.ort", import.meta.url));
const begin = performance.now();
await open(model);
const { misses, loads } = globalThis[Symbol.for("vtool.split-wasm")] ?? { misses: 0, loads: [] };
console.log(
  JSON.stringify({ wallMs: performance.now() - begin, misses, loadMs: loads.map(({ ms }) => ms) }),
);
process.exit(0);
