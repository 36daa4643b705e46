// What a program says while it runs, in one form everywhere: a function of (record), to be
// evaluated as a script. record(kind, ...texts) is called for what is printed; plain() is returned.
(function (record) {
  const DEPTH = 8; // ours: deeper values are cut, alike before and after
  const ENTRIES = 2000;

  /** FNV-1a over bytes: long data is compared by this and its length. */
  const hash = (bytes) => {
    let value = 0x811c9dc5;
    for (const byte of bytes) value = Math.imul(value ^ byte, 0x01000193) >>> 0;
    return value.toString(16);
  };
  const quoted = (text) => JSON.stringify(text);
  const named = (object) => Object.prototype.toString.call(object).slice(8, -1);

  /** Own enumerable keys in their order; no class name, since minifying changes it. */
  function entries(value, seen, depth) {
    return Object.keys(value)
      .slice(0, ENTRIES)
      .map((key) => {
        const field = Object.getOwnPropertyDescriptor(value, key);
        const shown = "value" in field ? inner(field.value, seen, depth) : "accessor";
        return `${quoted(key)}: ${shown}`;
      });
  }

  function thing(value, seen, depth) {
    if (value instanceof Error) {
      const cause = value.cause === undefined ? "" : ` (cause: ${inner(value.cause, seen, depth)})`;
      return `${value.name}: ${value.message}${cause}`;
    }
    const list = (all) => [...all].slice(0, ENTRIES).map((one) => inner(one, seen, depth)).join(", ");
    if (Array.isArray(value)) return `[${list(value)}]`;
    if (value instanceof Map) return `Map [${list(value)}]`;
    if (value instanceof Set) return `Set [${list(value)}]`;
    if (value instanceof Date) return `Date ${value.getTime()}`;
    if (value instanceof RegExp || (typeof URL === "function" && value instanceof URL))
      return String(value);
    if (ArrayBuffer.isView(value)) {
      const bytes = new Uint8Array(value.buffer, value.byteOffset, value.byteLength);
      const first = "length" in value ? `: ${[...value.slice(0, 8)].join(", ")}` : "";
      return `${named(value)} of ${bytes.length} bytes ${hash(bytes)}${first}`;
    }
    if (value instanceof ArrayBuffer)
      return `ArrayBuffer of ${value.byteLength} bytes ${hash(new Uint8Array(value))}`;
    const kind = named(value);
    const shown = `{${entries(value, seen, depth).join(", ")}}`;
    return kind === "Object" ? shown : `${kind} ${shown}`;
  }

  function inner(value, seen, depth) {
    if (typeof value === "string") return quoted(value);
    return shown(value, seen, depth + 1);
  }

  function shown(value, seen, depth) {
    if (typeof value === "function") return "function";
    if (typeof value === "bigint") return `${value}n`;
    if (Object.is(value, -0)) return "-0";
    if (typeof value !== "object" || value === null) return String(value);
    if (seen.includes(value)) return "itself";
    if (depth > DEPTH) return "...";
    try {
      return thing(value, [...seen, value], depth);
    } catch (error) {
      return `unreadable: ${error?.name}`;
    }
  }

  const plain = (value) => (typeof value === "string" ? value : shown(value, [], 0));

  for (const level of ["log", "info", "debug", "warn", "error", "trace", "dir", "table"])
    console[level] = (...values) => record(`console.${level}`, values.map(plain).join(" "));
  console.assert = (holds, ...values) => {
    if (!holds) record("console.assert", values.map(plain).join(" "));
  };

  if (typeof addEventListener === "function") {
    addEventListener("error", (event) => record("uncaught error", plain(event.error ?? event.message)));
    addEventListener("unhandledrejection", (event) =>
      record("unhandled rejection", plain(event.reason)),
    );
    return plain; // the browser itself tells which requests fail
  }
  const send = globalThis.fetch;
  if (send)
    globalThis.fetch = async (target, ...rest) => {
      const address = String(target?.url ?? target);
      try {
        const answer = await send(target, ...rest);
        if (!answer.ok) record("failed request", address, String(answer.status));
        return answer;
      } catch (error) {
        if (error?.name !== "AbortError") record("failed request", address, "no answer");
        throw error;
      }
    };
  return plain;
});
