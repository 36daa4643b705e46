// The process in which onnxruntime-web opens models for operators.py: WebAssembly, one thread.
// Request, on standard input: {"runtime": the package's module, "models": [[base64, ...], ...]}.
// Answer: for each row of models what the runtime says to each, "" where it opens one.

import { readFileSync } from "node:fs";
import { pathToFileURL } from "node:url";

const OPTIONS = { executionProviders: ["wasm"], logSeverityLevel: 4 };

const request = JSON.parse(readFileSync(0, "utf-8"));
const ort = await import(pathToFileURL(request.runtime).href);
ort.env.wasm.numThreads = 1;
ort.env.logLevel = "fatal";
const answers = [];
for (const row of request.models) {
  const said = [];
  for (const model of row) {
    if (said.includes("")) break;
    try {
      const session = await ort.InferenceSession.create(Buffer.from(model, "base64"), OPTIONS);
      await session.release();
      said.push("");
    } catch (error) {
      said.push(String(error?.message ?? error));
    }
  }
  answers.push(said);
}
process.stdout.write(JSON.stringify(answers), () => process.exit(0));
