// Makes modules that node loads late, each by another time: hooks for `module.register`.
let disturbing;

export async function initialize({ text, seed }) {
  disturbing = (0, eval)(text)(seed);
}

export async function load(address, context, next) {
  await disturbing.pause();
  return next(address, context);
}
