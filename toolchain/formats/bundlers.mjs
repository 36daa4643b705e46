// Bundles a staged folder with one engine and minifies the result in one or several ways.
//
//   node --input-type=module -e "$(cat bundlers.mjs)" < job.json      in the folder of the engines
//
// job: {engine, minifiers, stage, out, entries: {name: file}, external, required, target, chunks,
// answer, sourcemap}
// where `chunks` may name the chunk of a module; what it does not name is the engine's to place.
// Files go to out/MINIFIER/; `answer` gets {bundles: {minifier: {seconds, outputs, error?}}}, where
// an output is {file, entry, modules: {file: bytes}, imports: [{path, kind}]}. In the stage every
// import is a path to a file or one of `external`, so that no engine has to find anything.
// With `sourcemap`, FILE.map leads from what the bundler wrote to staged files ("" is none of them),
// and FILE.minified.map from the file to that, FILE.bundled, where something minified it then. Where
// FILE.marked is, FILE.map is that of this text, in which marks stand for the names of chunks.
import { spawn } from "node:child_process";
import { mkdir, readFile, rename, rm, writeFile } from "node:fs/promises";
import { join, relative, resolve, sep } from "node:path";
import { text } from "node:stream/consumers";

const job = JSON.parse(await text(process.stdin));
const external = new Set(job.external);
const file = (name) => join(job.stage, name);
/** The staged name of a module as an engine calls it; "" for what an engine made up itself. */
function staged(id) {
  const name = relative(job.stage, id.split("?")[0].replace(/^\0+/, "")).split(sep).join("/");
  return name.startsWith("..") || id.startsWith("\0") ? "" : name;
}
const entries = Object.fromEntries(Object.entries(job.entries).map(([name, at]) => [name, file(at)]));
// rollup and rolldown name sources relative to `dir`, into which nothing is written
const MAPS = job.sourcemap ? { sourcemap: "hidden", sourcemapExcludeSources: true, dir: job.stage } : {};
const NAMES = { entryFileNames: "[name].js", chunkFileNames: "[name]-[hash].js" };

const planned = Object.keys(job.chunks).length > 0;
/** The planned chunk of a module, and of what a plugin made up for it. */
const chunkOf = (id) => job.chunks[staged(id.replace(/^\0+/, ""))];

const JSON_FILES = {
  name: "json",
  transform(code, id) {
    if (!id.endsWith(".json")) return null;
    const map = { mappings: "" }; // nothing throws in it
    if (job.required.includes(staged(id))) return { code: `module.exports = ${code.trim()};`, map };
    const value = JSON.parse(code);
    const known = value && typeof value === "object" && !Array.isArray(value) ? Object.keys(value) : [];
    const names = known.filter((key) => /^[A-Za-z_$][\w$]*$/.test(key));
    const lines = names.map((key, n) => `const v${n} = ${JSON.stringify(value[key])};`);
    lines.push(`export { ${names.map((key, n) => `v${n} as ${JSON.stringify(key)}`).join(", ")} };`);
    const whole = known.map((key) => {
      const n = names.indexOf(key);
      return `[${JSON.stringify(key)}]: ${n < 0 ? JSON.stringify(value[key]) : `v${n}`}`;
    });
    const plain = value === null || typeof value !== "object" || Array.isArray(value);
    lines.push(`export default ${plain ? JSON.stringify(value) : `{ ${whole.join(", ")} }`};`);
    return { code: lines.join("\n"), map };
  },
};

/** Return a map with its sources, which are relative to `folder`, by their staged names. */
function stagedMap(map, folder) {
  if (!map) return "";
  const found = typeof map === "string" ? JSON.parse(map) : map;
  const sources = found.sources.map((name) => (name ? staged(resolve(folder, found.sourceRoot ?? "", name)) : ""));
  return JSON.stringify({ version: 3, sources, names: found.names, mappings: found.mappings });
}

/** Return a chunk of rollup or rolldown as an output. */
function fromChunk(chunk, dynamic) {
  return {
    file: chunk.fileName,
    code: chunk.code,
    map: stagedMap(chunk.map, job.stage),
    entry: chunk.isEntry && chunk.facadeModuleId ? staged(chunk.facadeModuleId) : "",
    modules: Object.fromEntries(
      Object.entries(chunk.modules)
        .map(([id, about]) => [staged(id), about.renderedLength ?? about.code?.length ?? 0])
        .filter(([name]) => name),
    ),
    imports: [
      ...chunk.imports.map((path) => ({ path, kind: "import-statement" })),
      ...chunk.dynamicImports.map((path) => ({ path, kind: "dynamic-import" })),
    ],
  };
}

const DEBUG_ID = /\n\/\/# debugId=[0-9A-F]+\n*$/; // bun's mark on what has a map

const AFTER_MAPS = 600; // rspack makes maps at 500, and puts names in the place of marks at 3000

// two `export *` may offer one name, which nobody then can import: no error in ESM
const PRESENCE = { exportsPresence: "error", reexportExportsPresence: "warn" };

const fail = (log) => {
  // what a bundler only warns of and esbuild refuses
  if (["UNRESOLVED_IMPORT", "MISSING_EXPORT", "IMPORT_IS_UNDEFINED"].includes(log.code))
    throw new Error(log.message);
};

const engines = {
  async rollup() {
    const { rollup } = await import("rollup");
    const { default: commonjs } = await import("@rollup/plugin-commonjs");
    const { nodeResolve } = await import("@rollup/plugin-node-resolve");
    const bundle = await rollup({
      input: entries,
      external: (id) => external.has(id),
      plugins: [
        nodeResolve({ browser: false, preferBuiltins: false, extensions: [".js", ".mjs", ".cjs", ".json"] }),
        JSON_FILES,
        commonjs({ extensions: [".js", ".cjs", ".json"], ignore: (id) => external.has(id), transformMixedEsModules: true }),
      ],
      preserveEntrySignatures: "strict",
      preserveSymlinks: true,
      onLog: (level, log) => level === "warn" && fail(log),
    });
    const { output } = await bundle.generate({
      format: "es",
      ...(planned ? { manualChunks: chunkOf, onlyExplicitManualChunks: true } : {}),
      ...NAMES,
      ...MAPS,
    });
    await bundle.close();
    return output.filter((one) => one.type === "chunk").map(fromChunk);
  },
  async rolldown(own) {
    const { rolldown } = await import("rolldown");
    const bundle = await rolldown({
      input: entries,
      external: (id) => external.has(id),
      platform: "browser",
      cwd: job.stage,
      resolve: { aliasFields: [], mainFields: [], symlinks: false },
      tsconfig: false,
      transform: { target: job.target },
      preserveEntrySignatures: "strict",
      onLog: (level, log) => level === "warn" && fail(log),
    });
    const { output } = await bundle.generate({
      format: "esm",
      minify: own ? { compress: { target: job.target }, mangle: { toplevel: true }, codegen: { removeWhitespace: true } } : false,
      comments: false,
      ...(planned ? { codeSplitting: { groups: [{ name: (id) => chunkOf(id) ?? null }] } } : {}),
      ...NAMES,
      ...MAPS,
    });
    await bundle.close();
    return output.filter((one) => one.type === "chunk").map(fromChunk);
  },
  async rspack(own) {
    const { rspack } = await import("@rspack/core");
    const out = join(job.out, "rspack-raw");
    const marked = new Map(); // chunks by id, as they are when their maps are made: see FILE.marked
    const mark = (compilation) =>
      compilation.hooks.processAssets.tap({ name: "vtool", stage: AFTER_MAPS }, () => {
        for (const chunk of compilation.chunks)
          for (const name of chunk.files) marked.set(chunk.id, compilation.getAsset(name)?.source.source().toString());
      });
    const compiler = rspack({
      mode: "production",
      devtool: job.sourcemap ? "hidden-nosources-source-map" : false,
      context: job.stage,
      entry: Object.fromEntries(Object.entries(entries).map(([name, at]) => [name, { import: [at] }])),
      target: ["web", job.target],
      node: false,
      amd: false,
      resolve: { aliasFields: [], mainFields: [], symlinks: false, extensions: [], fullySpecified: false },
      externals: [
        ({ request, dependencyType }, done) => {
          if (!external.has(request)) return done();
          const how = { esm: "module", commonjs: "commonjs" }[dependencyType] ?? "import";
          return done(null, `${how} ${request}`);
        },
      ],
      externalsPresets: { web: false, node: false },
      module: { parser: { javascript: { url: false, worker: false, importMeta: false, ...PRESENCE } } },
      output: {
        path: out,
        devtoolModuleFilenameTemplate: "[absolute-resource-path]",
        module: true,
        filename: ({ chunk }) => (chunk?.name in entries ? "[name].js" : "[name]-[contenthash].js"),
        chunkFilename: "[name]-[contenthash].js",
        library: { type: "modern-module" },
        chunkFormat: "module",
        chunkLoading: "import",
        publicPath: "",
        clean: false,
      },
      optimization: {
        minimize: own,
        minimizer: [
          new rspack.SwcJsMinimizerRspackPlugin({
            extractComments: false,
            minimizerOptions: { module: true, ecma: ecma(), compress: SWC.compress, mangle: true, format: { comments: false } },
          }),
        ],
        chunkIds: "named",
        moduleIds: "deterministic",
        realContentHash: true,
      },
      performance: false,
      plugins: job.sourcemap ? [{ apply: ({ hooks }) => hooks.thisCompilation.tap("vtool", mark) }] : [],
    });
    const stats = await new Promise((resolve, reject) =>
      compiler.run((error, found) => (error ? reject(error) : resolve(found))),
    );
    const about = stats.toJson({ all: false, assets: true, chunks: true, chunkModules: true, nestedModules: true, ids: true, errors: true, chunkRelations: true, modulesSpace: 1e9, nestedModulesSpace: 1e9, chunkModulesSpace: 1e9, groupModulesByPath: false, groupModulesByAttributes: false, groupModulesByExtension: false, groupModulesByCacheStatus: false, groupModulesByLayer: false, groupModulesByType: false });
    await new Promise((resolve) => compiler.close(resolve));
    if (about.errors.length) throw new Error(about.errors[0].message);
    const byId = new Map(about.chunks.map((chunk) => [chunk.id, chunk]));
    const outputs = [];
    for (const chunk of about.chunks) {
      const at = chunk.files.find((name) => name.endsWith(".js"));
      if (!at) continue;
      const modules = {};
      const add = (module) => {
        const name = module.nameForCondition ? staged(module.nameForCondition) : "";
        if (name && !module.modules?.length) modules[name] = module.size;
        (module.modules ?? []).forEach(add);
      };
      chunk.modules.forEach(add);
      const name = chunk.names.find((n) => n in entries);
      const lazy = chunk.children.map((id) => byId.get(id)?.files.find((f) => f.endsWith(".js")));
      outputs.push({
        file: at,
        code: await readFile(join(out, at), "utf8"),
        map: job.sourcemap ? stagedMap(await readFile(join(out, `${at}.map`), "utf8"), job.stage) : "",
        marked: marked.get(chunk.id),
        entry: name && at === `${name}.js` ? job.entries[name] : "",
        modules,
        imports: lazy.filter(Boolean).map((path) => ({ path, kind: "dynamic-import" })),
      });
    }
    await rm(out, { recursive: true });
    return outputs;
  },
  async bun(own) {
    const out = join(job.out, "bun-raw");
    const account = join(job.out, "bun-meta.json");
    const command = [
      "build",
      ...Object.values(entries),
      ...["--format=esm", "--target=browser", "--splitting", "--no-module-preload", `--outdir=${out}`, `--metafile=${account}`],
      ...["--entry-naming=[name].js", "--chunk-naming=[name]-[hash].js", `--root=${job.stage}`],
      ...job.external.map((name) => `--external=${name}`),
      ...(own ? ["--minify"] : ["--minify-syntax"]),
      ...(job.sourcemap ? ["--sourcemap=external"] : []),
    ];
    const env = { HOME: job.out, BUN_INSTALL: job.out, NODE_ENV: "production", DO_NOT_TRACK: "1" };
    const child = spawn(job.bun, command, { cwd: job.stage, env, stdio: ["ignore", "ignore", "pipe"] });
    const [said, code] = await Promise.all([
      text(child.stderr),
      new Promise((resolve, reject) => child.on("close", resolve).on("error", reject)),
    ]);
    if (code) throw new Error(said.split("\n").find((line) => line.includes("error")) ?? `exit code ${code}`);
    const found = [];
    const about = JSON.parse(await readFile(account, "utf8"));
    for (const [path, one] of Object.entries(about.outputs)) {
      const name = path.replace(/^\.\//, "").split("/").at(-1);
      if (!name.endsWith(".js")) continue;
      const code = await readFile(join(out, name), "utf8");
      found.push({
        file: name,
        code: job.sourcemap ? code.replace(DEBUG_ID, "") : code,
        map: job.sourcemap ? stagedMap(await readFile(join(out, `${name}.map`), "utf8"), out) : "",
        entry: one.entryPoint ? staged(join(job.stage, one.entryPoint)) : "",
        modules: Object.fromEntries(Object.entries(one.inputs ?? {}).map(([at, use]) => [staged(join(job.stage, at)), use.bytesInOutput])),
        imports: (one.imports ?? [])
          .filter((each) => !each.external && !external.has(each.path))
          .map((each) => ({ path: each.path.split("/").at(-1), kind: each.kind })),
      });
    }
    await rm(out, { recursive: true });
    return found.map((one) => ({ ...one, entry: Object.values(job.entries).includes(one.entry) ? one.entry : "" }));
  },
};

const SWC = { compress: { passes: 3, ecma: ecma() } };
function ecma() {
  return Number(job.target.replace(/^es/, "")) || 2022;
}

/** Each returns the code, and with `sourcemap` the map of what it did. */
const minifiers = {
  own: async (code) => ({ code }),
  async swc(code) {
    const { minify } = (await import("@swc/core")).default;
    const options = { module: true, ecma: ecma(), compress: SWC.compress, mangle: { toplevel: true }, format: { comments: false } };
    return await minify(code, { ...options, sourceMap: job.sourcemap });
  },
  async terser(code, name) {
    const { minify } = await import("terser");
    const sourceMap = job.sourcemap && { filename: name };
    return await minify({ [name]: code }, { module: true, ecma: ecma(), format: { comments: false }, sourceMap });
  },
  async oxc(code, name) {
    const { minify } = await import("rolldown/utils");
    const codegen = { removeWhitespace: true, legalComments: "none" };
    const options = { module: true, compress: { target: job.target }, mangle: { toplevel: true }, codegen };
    const made = await minify(name, code, { ...options, sourcemap: job.sourcemap });
    if (made.errors.length) throw new Error(made.errors[0].message);
    return made;
  },
};

/** The map of a chunk that only passes names on: rolldown gives it none. */
const NOWHERE = JSON.stringify({ version: 3, sources: [], names: [], mappings: "" });
const asText = (map) => (typeof map === "string" ? map : JSON.stringify(map));
const said = (error) => String(error?.message ?? error).split("\n").filter((line) => line.trim())[0]?.slice(0, 300) ?? "no word";
const seconds = (since) => Math.round(performance.now() - since) / 1000;

const bundles = {};
for (const own of [...new Set(job.minifiers.map((one) => one === "own"))]) {
  const start = performance.now();
  const asked = job.minifiers.filter((one) => (one === "own") === own);
  let outputs;
  try {
    outputs = await engines[job.engine](own);
  } catch (error) {
    for (const one of asked) bundles[one] = { seconds: seconds(start), error: said(error) };
    continue;
  }
  const bundling = seconds(start);
  for (const one of asked) {
    const begun = performance.now();
    try {
      const folder = join(job.out, one);
      await mkdir(folder, { recursive: true });
      const rows = [];
      for (const { code, map, marked, ...rest } of outputs) {
        const made = await minifiers[one](code, rest.file);
        const at = join(folder, rest.file);
        await writeFile(at, made.code);
        if (job.sourcemap) await writeFile(`${at}.map`, map || NOWHERE);
        if (marked) await writeFile(`${at}.marked`, marked);
        if (job.sourcemap && made.map) {
          await writeFile(`${at}.minified.map`, asText(made.map));
          await writeFile(`${at}.bundled`, code);
        }
        rows.push(rest);
      }
      bundles[one] = { seconds: bundling + seconds(begun), outputs: rows };
    } catch (error) {
      bundles[one] = { seconds: bundling + seconds(begun), error: said(error) };
    }
    await answered();
  }
}
await answered();
process.exit(0);

/** Write what is done by now: the time may run out before the next minifier is ready. */
async function answered() {
  await writeFile(`${job.answer}.part`, JSON.stringify({ bundles }));
  await rename(`${job.answer}.part`, job.answer);
}
