// Writes down what a program says and how it ends: for `node --import`, in every thread of it.
// One JSON array a line, appended to the file that the environment names: stream, kind, texts.
import { appendFileSync, promises, readFileSync } from "node:fs";
import { register, syncBuiltinESMExports } from "node:module";
import { runInThisContext } from "node:vm";
import { isMainThread } from "node:worker_threads";

const file = process.env.VTOOL_OBSERVATIONS;
const stream = isMainThread ? "main" : "worker";
const record = (kind, ...texts) =>
  appendFileSync(file, `${JSON.stringify([stream, kind, ...texts])}\n`);
const observe = runInThisContext(readFileSync(new URL("./observing.js", import.meta.url), "utf8"));
const plain = observe(record);

const seed = Number(process.env.VTOOL_DISTURBED ?? 0);
if (seed) {
  const text = readFileSync(new URL("./disturbing.js", import.meta.url), "utf8");
  const { delay } = runInThisContext(text)(seed);
  delay(promises, "access", "open", "readFile", "readdir", "stat");
  syncBuiltinESMExports();
  register("./disturbing_node.mjs", import.meta.url, { data: { text, seed } });
}

process.on("uncaughtExceptionMonitor", (error, origin) =>
  record(origin === "unhandledRejection" ? "unhandled rejection" : "uncaught error", plain(error)),
);
// How node feels about modules says nothing about the program
const OURS = new Set(["MODULE_TYPELESS_PACKAGE_JSON", "ExperimentalWarning"]);
process.on("warning", (warning) => {
  if (!OURS.has(warning.code) && !OURS.has(warning.name)) record("warning", plain(warning));
});
globalThis[Symbol.for("vtool.observing")] = { record, plain };
