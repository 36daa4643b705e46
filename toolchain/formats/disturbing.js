// Makes answers late, each by another time: a function of (seed), to be evaluated as a script before
// a program. What a program does in one order although answers come late by chance, it does by order.
(function (seed) {
  const LATEST_MS = 40; // ours: longer than what a bundle saves in loading, shorter than a pause
  let state = seed >>> 0;
  /** mulberry32: good enough to be another number each time. */
  const chance = () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
  const later = setTimeout;
  const pause = () => new Promise((resolve) => later(resolve, chance() * LATEST_MS));

  /** Replace methods that answer with a promise; who calls them sees nothing but the time. */
  function delay(holder, ...names) {
    for (const name of names) {
      const original = holder?.[name];
      if (typeof original !== "function") continue;
      holder[name] = async function (...values) {
        try {
          return await original.apply(this, values);
        } finally {
          await pause();
        }
      };
    }
  }

  delay(globalThis, "fetch");
  delay(globalThis.WebAssembly, "compile", "compileStreaming", "instantiate", "instantiateStreaming");
  delay(globalThis.Response?.prototype, "arrayBuffer", "blob", "json", "text");
  delay(globalThis.Blob?.prototype, "arrayBuffer", "text");
  delay(globalThis.MediaDevices?.prototype, "enumerateDevices", "getUserMedia");
  delay(globalThis.AudioContext?.prototype, "close", "resume", "suspend");
  delay(globalThis.Worklet?.prototype, "addModule");
  return { chance, delay, pause };
});
