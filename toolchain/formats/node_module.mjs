// Loads a module and tells, in a line of JSON after MARK: what it exports or how it failed, what it
// said on the console, and which globals and members of built-in classes are not what they were.
//
//   node --input-type=module -e "$(cat node_module.mjs)" file:///module.js
const MARK = "\nvtool-module:";
const text = (value) => {
  if (value instanceof Error) return String(value);
  const isThing = value !== null && ["object", "function"].includes(typeof value);
  return isThing ? typeof value : String(value); // names of classes are not the same when minified
};
const said = [];
for (const level of ["debug", "dir", "error", "info", "log", "table", "trace", "warn"])
  console[level] = (...values) => {
    if (said.length < 200) said.push(`${level}: ${values.map(text).join(" ")}`.slice(0, 500));
  };
const members = (owner, name) =>
  Reflect.ownKeys(owner).map((key) => {
    const { value, get, set } = Object.getOwnPropertyDescriptor(owner, key);
    return [`${name}.${String(key)}`, { value, get, set }];
  });
const world = () => {
  const found = new Map();
  for (const [name, { value }] of members(globalThis, "")) {
    found.set(name.slice(1), { value: typeof value });
    if (typeof value !== "function" || !/^[.][A-Z]/.test(name)) continue;
    const prototype = Object.getOwnPropertyDescriptor(value, "prototype")?.value;
    const inherited = prototype ? members(prototype, `${name.slice(1)}.prototype`) : [];
    for (const [key, how] of [...members(value, name.slice(1)), ...inherited]) found.set(key, how);
  }
  return found;
};
const differs = (a, b) =>
  !a || !b || !Object.is(a.value, b.value) || a.get !== b.get || a.set !== b.set;
for (const name of Reflect.ownKeys(globalThis))
  try {
    void globalThis[name]; // node makes some when they are first asked for: that changes nothing
  } catch {
    // one that is not for everybody
  }
const before = world();
const say = (answer) => {
  const after = world();
  const names = [...new Set([...before.keys(), ...after.keys()])];
  const changed = names.filter((name) => differs(before.get(name), after.get(name)));
  answer = { ...answer, said, changed: changed.sort() };
  process.stdout.write(MARK + JSON.stringify(answer) + "\n", () => process.exit(0));
};
try {
  const module = await import(process.argv[1]);
  await new Promise((resolve) => setTimeout(resolve)); // what was begun may speak, too
  const names = Object.keys(module).sort();
  say({ exports: Object.fromEntries(names.map((name) => [name, typeof module[name]])) });
} catch (error) {
  // who asked for a missing package is a bundle of ours, whose name says nothing; nor does node's
  // advice on what to call it
  say({ error: String(error).split(/ imported from |\nThis file is being treated as/)[0] });
}
