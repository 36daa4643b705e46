// What the voice detector says about one recording: its decisions, and a digest of every answer.
import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { open, Tensor } from "../src/listen.mjs";
import { samples } from "./sound.mjs";

const FRAME = 512; // samples at 16 kHz
const CONTEXT = 64; // of the frame before

const session = await open(readFileSync(new URL("../models/silero_vad.onnx", import.meta.url)));
const sound = samples("counting.wav");
const sr = new Tensor("int64", BigInt64Array.of(16000n), []);
let state = new Tensor("float32", new Float32Array(256), [2, 1, 128]);
const input = new Float32Array(CONTEXT + FRAME);
const digest = createHash("sha256");
let spoken = 0;
let frames = 0;
for (let at = 0; at + FRAME <= sound.length; at += FRAME) {
  input.copyWithin(0, FRAME);
  input.set(sound.subarray(at, at + FRAME), CONTEXT);
  const frame = new Tensor("float32", input.slice(), [1, CONTEXT + FRAME]);
  const answer = await session.run({ input: frame, state, sr });
  state = answer.stateN;
  digest.update(new Uint8Array(answer.output.data.slice().buffer));
  spoken += answer.output.data[0] > 0.5 ? 1 : 0;
  frames += 1;
}
console.log(`${frames} frames, ${spoken} with speech`);
console.log(`sha256 of all answers ${digest.digest("hex")}`);
process.exit(0);
