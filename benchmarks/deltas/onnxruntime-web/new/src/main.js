export const runtime = () =>
  WebAssembly.compileStreaming(fetch(new URL("./ort-wasm-simd-threaded.wasm", import.meta.url)));
