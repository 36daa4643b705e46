// The samples of a recording in 32-bit floats.
import { readFileSync } from "node:fs";

export function samples(name) {
  const file = readFileSync(new URL(`../audio/${name}`, import.meta.url));
  const data = file.indexOf("data", 12, "latin1");
  const start = file.byteOffset + data + 8;
  return new Float32Array(file.buffer.slice(start, start + file.readUInt32LE(data + 4)));
}
