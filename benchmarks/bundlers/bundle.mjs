// Bundles with rollup, rolldown or webpack, each as its own documentation sets it up:
// node bundle.mjs '{"tool": "rollup", "tree": FOLDER, "entries": {"main": FILE}, "out": FOLDER}'
// "platform": "node", or "browser" for a page in production
import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";

const { tool, tree, entries, out, platform = "node" } = JSON.parse(process.argv[2]);
const forNode = platform === "node";
const input = Object.fromEntries(Object.entries(entries).map(([n, f]) => [n, join(tree, f)]));
const names = { entryFileNames: "[name].js", chunkFileNames: "chunk-[hash].js" };

const tools = {
  async rollup() {
    const { rollup } = await import("rollup");
    const { default: commonjs } = await import("@rollup/plugin-commonjs");
    const { nodeResolve } = await import("@rollup/plugin-node-resolve");
    const { minify } = await import("terser");
    const { default: json } = await import("@rollup/plugin-json");
    const { default: replace } = await import("@rollup/plugin-replace");
    const resolve = nodeResolve(forNode ? { exportConditions: ["node"] } : { browser: true, preferBuiltins: false });
    const production = { "process.env.NODE_ENV": '"production"' };
    const replaced = replace({ values: production, preventAssignment: true });
    const plugins = [...(forNode ? [] : [replaced]), resolve, json(), commonjs()];
    const bundle = await rollup({ input, plugins, onwarn() {} });
    const { output } = await bundle.generate({ format: "es", ...names });
    await mkdir(out, { recursive: true });
    for (const file of output) {
      const code = file.type === "chunk" ? (await minify(file.code, { module: true })).code : file.source;
      await writeFile(join(out, file.fileName), code);
    }
    await bundle.close();
  },
  async rolldown() {
    const { rolldown } = await import("rolldown");
    const bundle = await rolldown({ input, platform, cwd: tree, onLog() {} });
    await bundle.write({ dir: out, format: "esm", minify: true, ...names });
    await bundle.close();
  },
  async webpack() {
    const { default: webpack } = await import("webpack");
    const configuration = {
      mode: "production",
      target: forNode ? "node18" : ["web", "es2022"],
      context: tree,
      entry: input,
      experiments: { outputModule: true },
      output: {
        path: out,
        module: true,
        ...(forNode ? {} : { library: { type: "module" } }), // what an entry exports is wanted
        filename: "[name].js",
        chunkFilename: "chunk-[id].js",
        assetModuleFilename: "[name][ext]",
        chunkFormat: "module",
      },
      module: {
        // packages of bundlers' times write no endings: webpack's own switch for them
        rules: forNode ? [] : [{ test: /\.m?js$/, resolve: { fullySpecified: false } }],
        parser: {
          javascript: {
            worker: ["*context.audioWorklet.addModule()", "..."],
            // two `export *` may offer one name, which nobody then can import: no error in ESM
            reexportExportsPresence: "warn",
          },
        },
      },
    };
    await new Promise((resolve, reject) => {
      webpack(configuration, (error, stats) => {
        if (error) reject(error);
        else if (stats.hasErrors()) reject(new Error(stats.toJson({ all: false, errors: true }).errors[0].message));
        else resolve();
      });
    });
  },
};

await tools[tool]();
