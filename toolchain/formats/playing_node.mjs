// Plays a scenario in node: `node --import observing_node.mjs playing_node.mjs SCRIPT ENTRY`.
const SETTLE_MS = 1000; // ours: what happens in the second after the result counts as well
const { record, plain } = globalThis[Symbol.for("vtool.observing")];
const [script, entry] = process.argv.slice(2);
const { default: play } = await import(script);
if (typeof play !== "function") {
  record("wrong scenario", "its default export is not a function");
  process.exit(1);
}
try {
  const result = await play(entry, (name, ...values) =>
    record("event", [name, ...values].map(plain).join(" ")),
  );
  record("result", plain(result));
} catch (error) {
  record("error", plain(error));
}
setTimeout(() => process.exit(), SETTLE_MS).unref(); // a worker that is left over ends with us
