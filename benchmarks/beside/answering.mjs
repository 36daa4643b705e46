// A language model in node-llama-cpp, as a process that answers one line of JSON with one.
//
// In, first line: {"model": path, "threads": n, "system": [tokens]}; then, for each answer,
// {"prompt": [tokens], "known": bool, "count": n}. Out: {"load_ms"}, then for each
// {"tokens", "first_ms", "total_ms", "cpu_ms"}. Greedy; tokens that end an answer are chosen like
// all others, so that every answer has as many. `known`: the system message's keys and values were
// computed when the model was opened, and every answer starts behind them.

import process from "node:process";
import readline from "node:readline";

const said = console.log.bind(console);
for (const name of ["log", "info", "warn", "debug"]) console[name] = console.error;

const { getLlama, LlamaLogLevel } = await import("node-llama-cpp");

function cpuMs() {
  const used = process.cpuUsage();
  return (used.user + used.system) / 1000;
}

async function open({ model, threads, system }) {
  const start = performance.now();
  const llama = await getLlama({
    gpu: false,
    build: "never",
    skipDownload: true,
    progressLogs: false,
    logLevel: LlamaLogLevel.error,
  });
  const opened = await llama.loadModel({ modelPath: model, gpuLayers: 0 });
  const context = await opened.createContext({ contextSize: 2048, threads, sequences: 1 });
  const sequence = context.getSequence();
  await sequence.evaluateWithoutGeneratingNewTokens(system);
  return { sequence, system: system.length, load_ms: performance.now() - start };
}

async function answer({ sequence, system }, { prompt, known, count }) {
  const keep = known ? system : 0;
  if (sequence.nextTokenIndex > keep)
    await sequence.eraseContextTokenRanges([{ start: keep, end: sequence.nextTokenIndex }]);
  const tokens = [];
  const cpu = cpuMs();
  const start = performance.now();
  let first = 0;
  for await (const token of sequence.evaluate(prompt, { temperature: 0, yieldEogToken: true })) {
    if (!tokens.length) first = performance.now() - start;
    tokens.push(token);
    if (tokens.length === count) break;
  }
  const total = performance.now() - start;
  const used = cpuMs() - cpu;
  return { tokens, first_ms: first, total_ms: total, cpu_ms: used };
}

let model;
for await (const line of readline.createInterface({ input: process.stdin })) {
  const request = JSON.parse(line);
  if (model === undefined) {
    model = await open(request);
    said(JSON.stringify({ load_ms: model.load_ms }));
  } else {
    said(JSON.stringify(await answer(model, request)));
  }
}
process.exit(0);
