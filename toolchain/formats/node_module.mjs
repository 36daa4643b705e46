// Loads a module and tells, in a line of JSON after MARK: what it exports or how it failed, what it
// said on the console, and which globals and members of built-in classes are not what they were.
//
//   node --input-type=module -e "$(cat node_module.mjs)" file:///module.js
const MARK = "\nvtool-module:";
const { process, setTimeout: later } = globalThis; // as they are before the module is there
const write = process.stdout.write.bind(process.stdout);
// without the name of what is not there yet, which is another one when minified
const worded = (error) =>
  String(error).replace(/Cannot access '.*?' before/, "Cannot access a name before");
const text = (value) => {
  if (value instanceof Error) return worded(value);
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
let answered = false;
const say = (answer, then = () => process.exit(0)) => {
  if (answered) return;
  answered = true;
  const after = world();
  const names = [...new Set([...before.keys(), ...after.keys()])];
  const changed = names.filter((name) => differs(before.get(name), after.get(name)));
  write(MARK + JSON.stringify({ ...answer, said, changed: changed.sort() }) + "\n", then);
};

// What was begun at load may speak, too: it is waited for until node has nothing left to do. Who
// never comes to that (an interval, a server) is left when it was quiet for QUIET turns, or after
// LONGEST. Turns are counted and not time: a process that gets no processor makes none.
const [STEP_MS, QUIET, LONGEST] = [10, 20, 100];
let module;
const tell = (more) => {
  const names = Object.keys(module).sort();
  return { ...more, exports: Object.fromEntries(names.map((name) => [name, typeof module[name]])) };
};
const wait = (turns = 0, quiet = 0, lines = -1) => {
  if (quiet === QUIET || turns === LONGEST) return say(tell({ restless: turns === LONGEST }));
  const isReading = process.getActiveResourcesInfo().some((name) => name.startsWith("FSReq"));
  const isQuiet = !isReading && lines === said.length;
  const now = said.length;
  later(() => wait(turns + 1, isQuiet ? quiet + 1 : 0, now), STEP_MS).unref();
};
const UNSETTLED = 13; // as node ends where a top level waits and nothing is left to do
process.once("beforeExit", () => (module ? say(tell()) : process.exit(UNSETTLED)));
process.once("exit", (code) => {
  if (!module || answered) return;
  said.push(`exit: ${code}`);
  say(tell(), () => {});
});
for (const event of ["uncaughtException", "unhandledRejection"])
  process.on(event, (error) => {
    // not its message: names in that are others when minified
    said.push(`${event}: ${error instanceof Error ? error.name : text(error)}`);
  });
import(process.argv[1]).then(
  (found) => {
    module = found;
    wait();
  },
  (error) => {
    // who asked for a missing package is a bundle of ours, whose name says nothing; nor does
    // node's advice on what to call it
    say({ error: worded(error).split(/ imported from |\nThis file is being treated as/)[0] });
  },
);
