// The application: a voice detector in one thread of WebAssembly.
import * as ort from "onnxruntime-web/wasm";

ort.env.wasm.numThreads = 1;

export const open = (model) => ort.InferenceSession.create(model, { executionProviders: ["wasm"] });
export const { Tensor } = ort;
