// What two models say in a browser, in a window or a worker: digests, and how the engine came.
import * as ort from "/node_modules/onnxruntime-web/dist/ort.wasm.min.mjs";

const fetched = async (path) => new Uint8Array(await (await fetch(path)).arrayBuffer());

const hex = async (values) => {
  const digest = await crypto.subtle.digest("SHA-256", values.slice().buffer);
  return Array.from(new Uint8Array(digest), (b) => b.toString(16).padStart(2, "0")).join("");
};

async function samples() {
  const file = await fetched("/audio/counting.wav"); // 32-bit floats
  const text = new TextDecoder("latin1").decode(file.subarray(0, 200));
  return new Float32Array(file.buffer.slice(text.indexOf("data") + 8)).slice(0, 16_000);
}

export async function answers(threads) {
  ort.env.wasm.numThreads = threads;
  const options = { executionProviders: ["wasm"] };
  const sound = await samples();
  const vad = await fetched("/models/silero_vad.onnx");
  const encoder = await fetched("/models/encoder_model.ort");
  const begin = performance.now();
  const first = await ort.InferenceSession.create(vad, options);
  const readyMs = performance.now() - begin;
  const counts = () => globalThis[Symbol.for("vtool.split-wasm")] ?? { misses: 0, loads: [] };
  const said = await first.run({
    input: new ort.Tensor("float32", sound.slice(0, 576), [1, 576]),
    state: new ort.Tensor("float32", new Float32Array(256), [2, 1, 128]),
    sr: new ort.Tensor("int64", BigInt64Array.of(16000n), []),
  });
  const profiled = counts().misses;
  const second = await ort.InferenceSession.create(encoder, options);
  const shape = [1, sound.length];
  const heard = await second.run({
    input_values: new ort.Tensor("float32", sound, shape),
    attention_mask: new ort.Tensor("int64", new BigInt64Array(sound.length).fill(1n), shape),
  });
  return {
    lines: [await hex(said.output.data), await hex(heard[second.outputNames[0]].data)],
    readyMs,
    profiled,
    misses: counts().misses,
    loads: counts().loads.map(({ name, ms }) => ({ name, ms })),
  };
}
