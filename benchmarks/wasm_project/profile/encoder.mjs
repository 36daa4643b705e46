// Another model in the same engine: what Moonshine's encoder makes of the first second of speech.
import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { open, Tensor } from "../src/listen.mjs";
import { samples } from "./sound.mjs";

const session = await open(readFileSync(new URL("../models/encoder_model.ort", import.meta.url)));
const sound = samples("counting.wav").slice(0, 16_000);
const shape = [1, sound.length];
const answer = await session.run({
  input_values: new Tensor("float32", sound, shape),
  attention_mask: new Tensor("int64", new BigInt64Array(sound.length).fill(1n), shape),
});
for (const name of session.outputNames) {
  const { data, dims } = answer[name];
  const digest = createHash("sha256").update(new Uint8Array(data.slice().buffer)).digest("hex");
  console.log(`${name} [${dims}] sha256 ${digest}`);
}
process.exit(0);
