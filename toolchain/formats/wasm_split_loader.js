// Put before the code that instantiates a split module: gives the primary module the functions that
// it calls and does not have, and loads the part they are in the first time one is called.
//
// A call from WebAssembly cannot wait, so a part is loaded synchronously: from a file in Node.js,
// with a synchronous request in a worker or window. A window of Chromium compiles at most 8 MiB so;
// a part that is larger is there before the program starts. esbuild makes this file small.
//
// The counts are at globalThis[Symbol.for("vtool.split-wasm")]: instances, misses, and the
// milliseconds of each load.
((fresh, prefetch) => {
  const state = (globalThis[Symbol.for("vtool.split-wasm")] ??= {
    instances: 0,
    misses: 0,
    loads: [],
    parts: {},
  });
  const first = !Object.keys(state.parts).length;
  for (const part of fresh) state.parts[part.namespace] ??= part;
  if (!first) return; // several scripts of a page may start with this

  const LIMIT_BYTES = 8 * 1024 * 1024; // Chromium: WebAssembly.Module and Instance in a window
  const { compile, compileStreaming, instantiate, Instance, Module } = WebAssembly;
  const node = typeof process === "object" && process.versions?.node && process.type !== "renderer";
  const inWindow = !node && typeof document === "object";

  const address = (part, response) => {
    // beside the primary module where that was fetched from, else where the script expects it
    const from = response?.url?.split(/[?#]/)[0];
    return from?.endsWith(`/${part.primary}`) ? new URL(part.name, from).href : part.url();
  };

  const readNow = (url) => {
    if (node) {
      const files = process.getBuiltinModule?.("node:fs");
      if (!files) throw new Error("a split module needs Node.js 20.16, 22.3 or newer");
      return files.readFileSync(new URL(url));
    }
    const request = new XMLHttpRequest();
    request.open("GET", url, false);
    if (inWindow) request.overrideMimeType("text/plain; charset=x-user-defined");
    else request.responseType = "arraybuffer";
    request.send();
    if (request.status > 299) throw new Error(`${url} answers ${request.status}`);
    if (!inWindow) return request.response;
    const text = request.responseText;
    const bytes = new Uint8Array(text.length);
    for (let at = 0; at < bytes.length; at += 1) bytes[at] = text.charCodeAt(at);
    return bytes;
  };

  const readLater = async (url) => {
    if (node) return readNow(url);
    const response = await fetch(url);
    if (!response.ok) throw new Error(`${url} answers ${response.status}`);
    return response.arrayBuffer();
  };

  // a thread of Emscripten's pool sits in WebAssembly and never comes to a timer
  const inPool = String(globalThis.name).startsWith("em-pthread");

  // What one instance of a primary module is given, and how its parts come; undefined for others.
  const split = (module, imports, response) => {
    const lacks = Module.imports(module).filter((one) => one.module in state.parts);
    if (!lacks.length) return undefined;
    const given = { ...imports };
    const filled = {};
    let instance;
    const rest = ({ exporter }) => ({ ...given, [exporter]: instance.exports });
    const now = (namespace) => {
      const part = state.parts[namespace];
      if (!instance) throw new Error(`${part.primary} needs ${part.name} before it has started`);
      const start = performance.now();
      state.misses += 1;
      part.module ??= new Module(readNow(address(part, response)));
      new Instance(part.module, rest(part)); // puts its functions into the table
      filled[namespace] = true;
      state.loads.push({ name: part.name, ms: performance.now() - start });
    };
    const later = async (namespace) => {
      const part = state.parts[namespace];
      part.module ??= await compile(await readLater(address(part, response)));
      if (!filled[namespace]) await instantiate(part.module, rest(part));
      filled[namespace] = true;
    };
    for (const { module: namespace, name } of lacks) {
      given[namespace] ??= {};
      given[namespace][name] = (...values) => {
        if (!filled[namespace]) now(namespace);
        return instance.exports[state.parts[namespace].table].get(+name)(...values);
      };
    }
    const namespaces = [...new Set(lacks.map((one) => one.module))];
    const large = namespaces.filter((one) => state.parts[one].bytes > LIMIT_BYTES);
    return {
      given,
      large: () => Promise.all(large.map(later)),
      started(made) {
        instance = made;
        state.instances += 1;
        // what fails here is tried again, and reported, by the call that needs it
        if (prefetch && !inPool) setTimeout(() => namespaces.map(later).map((p) => p.catch(() => {})));
      },
    };
  };

  const start = async (module, imports, response) => {
    const parts = split(module, imports, response);
    const instance = await instantiate(module, parts?.given ?? imports);
    parts?.started(instance);
    if (parts && inWindow) await parts.large();
    return instance;
  };

  WebAssembly.instantiate = async (source, imports) => {
    if (source instanceof Module) return start(source, imports);
    const module = await compile(source);
    return { module, instance: await start(module, imports) };
  };
  if (compileStreaming) {
    WebAssembly.instantiateStreaming = async (source, imports) => {
      const response = await source;
      const module = await compileStreaming(response);
      return { module, instance: await start(module, imports, response) };
    };
  }
  WebAssembly.Instance = new Proxy(Instance, {
    construct(target, [module, imports], as) {
      const parts = split(module, imports);
      const instance = Reflect.construct(target, [module, parts?.given ?? imports], as);
      parts?.started(instance);
      return instance;
    },
  });
})(__PARTS__, __PREFETCH__);
