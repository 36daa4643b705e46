// How long the engine takes from being asked for a session to having it: wall and CPU time.
import { readFileSync } from "node:fs";
import { open } from "../src/listen.mjs";

const model = readFileSync(new URL("../models/silero_vad.onnx", import.meta.url));
const cpu = process.cpuUsage();
const begin = performance.now();
await open(model);
const wallMs = performance.now() - begin;
const { user, system } = process.cpuUsage(cpu);
console.log(JSON.stringify({ wallMs, cpuMs: (user + system) / 1000 }));
process.exit(0);
