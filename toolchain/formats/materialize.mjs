// Makes the ONNX model that runs ("folded") from a model package, as vtool's materializer.py does:
// the same bytes everywhere. The format is specified in vtool's docs/package.md.
//
//   const model = await materialize(new Uint8Array(await response.arrayBuffer()), { decompress });
//
// decompress(codec, bytes, size): the content of a stream, codec "br" or "zstd"; may be async.
// In node it is not needed. No dependency; node 18 and newer, every browser with modules.

const CODECS = [null, "br", "zstd"];
const [PLAIN, HALVES, CENTRED] = [0, 1, 2];
const MOST_BYTES = 2 ** 31 - 1;
const MOST_HEADER_BYTES = 2 ** 24;
const HEADER_START = 16;

/** Return the model's bytes; throws if the package is damaged or not understood. */
export async function materialize(file, { decompress = inNode } = {}) {
  const { header, starts } = await opened(file, decompress);
  const contents = new Map();
  const waiting = new Map([[0, 1]]);
  for (const hole of header.holes)
    for (const chunk of chunksOf(hole)) waiting.set(chunk, (waiting.get(chunk) ?? 0) + 1);
  const load = async (chunk) => {
    if (!contents.has(chunk))
      contents.set(chunk, await decoded(header, chunk, file.subarray(starts[chunk], starts[chunk + 1]), decompress));
  };
  await load(0);
  const skeleton = contents.get(0);
  const model = new Uint8Array(header.size);
  let read = 0;
  let at = 0;
  const append = (bytes) => {
    model.set(bytes, at);
    at += bytes.length;
  };
  for (const hole of header.holes) {
    const [, place, plain, grid] = hole;
    append(skeleton.subarray(read, place));
    read = place;
    for (const chunk of chunksOf(hole)) await load(chunk);
    append(plain ? contents.get(plain[0]).subarray(plain[1], plain[1] + plain[2]) : numbers(grid, contents));
    for (const chunk of chunksOf(hole)) {
      waiting.set(chunk, waiting.get(chunk) - 1);
      if (!waiting.get(chunk)) contents.delete(chunk);
    }
  }
  append(skeleton.subarray(read));
  if (at !== model.length || (await sha256(model)) !== header.model)
    throw new Error("the model is not the one that the package promises");
  return model;
}

async function opened(file, decompress) {
  const view = new DataView(file.buffer, file.byteOffset, file.byteLength);
  if (file.length < HEADER_START || new TextDecoder().decode(file.subarray(0, 8)) !== "VTMODEL1")
    throw new Error("this is no model package");
  const [encoded, size] = [view.getUint32(8, true), view.getUint32(12, true)];
  if (HEADER_START + encoded > file.length || size > MOST_HEADER_BYTES)
    throw new Error("the package is cut, or its header is wrong");
  const packed = file.subarray(HEADER_START, HEADER_START + encoded);
  const header = JSON.parse(new TextDecoder().decode(await decompress("br", packed, size)));
  if (!(header.size >= 0 && header.size <= MOST_BYTES)) throw new Error("the model is too large");
  const starts = [HEADER_START + encoded];
  for (const chunk of header.chunks) {
    if (!(chunk[4] >= 0 && chunk[4] <= MOST_BYTES)) throw new Error("a chunk is too large");
    starts.push(starts.at(-1) + chunk[5]);
  }
  if (starts.at(-1) !== file.length) throw new Error("the package is cut");
  return { header, starts };
}

/** Return the chunks a tensor is made of, each once. */
function chunksOf([, , plain, grid]) {
  if (plain) return [plain[0]];
  const [, codes, factors, offset] = grid;
  return [...new Set([codes, ...factors, ...(offset ? [offset] : [])].map((array) => array[0]))];
}

/** Return a chunk's content: decompress, then undo planes, form and columns. */
async function decoded(header, index, body, decompress) {
  const [codec, form, width, rows, size] = header.chunks[index];
  const stored = form === HALVES ? Math.ceil(size / 2) : size;
  const packed = CODECS[codec] === null ? body : await decompress(CODECS[codec], body, stored);
  if (packed.length !== stored) throw new Error("a chunk that is not of its size");
  const content = new Uint8Array(size);
  const columns = size / width / rows;
  const byte =
    form === HALVES ? (i) => (((packed[i >> 1] >> (i % 2 ? 4 : 0)) & 15) ^ 8) - 8 : (i) => packed[i];
  if (form === PLAIN && width === 1 && rows === 1) content.set(packed);
  else
    for (let plane = 0, from = 0; plane < width; plane++)
      for (let column = 0; column < columns; column++)
        for (let row = 0; row < rows; row++, from++)
          content[(row * columns + column) * width + plane] = byte(from);
  if (form === CENTRED) {
    const items = new { 1: Int8Array, 2: Int16Array, 4: Int32Array }[width](content.buffer);
    for (let i = 0; i < items.length; i++) items[i] -= 128;
  }
  if ((await sha256(content)) !== header.digests.slice(64 * index, 64 * index + 64))
    throw new Error("a chunk that is not what its digest names");
  return content;
}

const KINDS = {
  int8: Int8Array, uint8: Uint8Array, int16: Int16Array, int32: Int32Array,
  float16: Uint16Array, float32: Float32Array, float64: Float64Array, uint16: Uint16Array,
  uint32: Uint32Array, int64: BigInt64Array, uint64: BigUint64Array, bool: Uint8Array,
};
const RANGES = { int8: [-128, 127], uint8: [0, 255], int16: [-32768, 32767], uint16: [0, 65535] };

/** Return the bytes of a coded tensor: code * factor * factor ... + offset, each step in float32. */
function numbers([dtype, codes, factors, offset], contents) {
  const array = ([chunk, start, kind, shape]) => {
    const bytes = contents.get(chunk);
    const count = shape.reduce((product, size) => product * size, 1);
    const found = new KINDS[kind](bytes.buffer, start, count);
    return kind === "float16" ? Float32Array.from(found, fromHalf) : found;
  };
  const whole = array(codes);
  let values = whole;
  if (factors.length || offset) {
    values = Float32Array.from(whole); // what is stored in it is rounded to float32
    for (const factor of factors) stretch(values, codes[3], array(factor), factor[3], (a, b) => a * b);
    if (offset) stretch(values, codes[3], array(offset), offset[3], (a, b) => a + b);
    if (dtype in RANGES) {
      const [low, high] = RANGES[dtype];
      values = values.map((x) => Math.min(Math.max(roundHalfEven(x), low), high));
    }
  }
  const result = new KINDS[dtype](values.length);
  const convert = CONVERTERS[dtype] ?? ((x) => x);
  for (let i = 0; i < values.length; i++) result[i] = convert(values[i]);
  return new Uint8Array(result.buffer);
}

const CONVERTERS = { float16: toHalf, int64: BigInt, uint64: BigInt, bool: (x) => (x ? 1 : 0) };

/** Combine ``values``, a row-major grid, with an array that is stretched to it as numpy does. */
function stretch(values, grid, array, shape, combine) {
  const steps = grid.map(() => 0);
  for (let axis = shape.length - 1, step = 1; axis >= 0; step *= shape[axis--])
    steps[axis + grid.length - shape.length] = shape[axis] === 1 ? 0 : step;
  const place = grid.map(() => 0);
  const last = grid.length - 1;
  const inner = last < 0 ? 1 : grid[last];
  const step = last < 0 ? 0 : steps[last];
  for (let i = 0, from = 0; i < values.length; ) {
    for (let k = 0; k < inner; k++, i++) values[i] = combine(values[i], array[from + k * step]);
    for (let axis = last - 1; axis >= 0; axis--) {
      from += steps[axis];
      if (++place[axis] < grid[axis]) break;
      from -= grid[axis] * steps[axis];
      place[axis] = 0;
    }
  }
}

function roundHalfEven(x) {
  const down = Math.floor(x);
  const rest = x - down;
  return rest < 0.5 || (rest === 0.5 && down % 2 === 0) ? down : down + 1;
}

const float = new Float32Array(1);
const bits = new Uint32Array(float.buffer);

function fromHalf(half) {
  const [sign, exponent, fraction] = [half >> 15 ? -1 : 1, (half >> 10) & 31, half & 1023];
  if (exponent === 31) return fraction ? NaN : sign * Infinity;
  return sign * (exponent ? (1024 + fraction) * 2 ** (exponent - 25) : fraction * 2 ** -24);
}

/** Return the bits of the float16 nearest to a float32, ties to even. */
function toHalf(number) {
  float[0] = number;
  const sign = (bits[0] >>> 16) & 0x8000;
  const size = Math.abs(float[0]);
  if (size >= 65520) return sign | 0x7c00; // the first that rounds to infinity
  if (size < 2 ** -14) return sign | roundHalfEven(size * 2 ** 24); // subnormal; 1024 is 2 ** -14
  const exponent = ((bits[0] >>> 23) & 255) - 127;
  return sign | (((exponent + 15) << 10) + roundHalfEven((bits[0] & 0x7fffff) / 8192));
}

async function sha256(bytes) {
  const { subtle } = globalThis.crypto ?? (await nodeModule("crypto")).webcrypto;
  const digest = new Uint8Array(await subtle.digest("SHA-256", bytes));
  return Array.from(digest, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

async function inNode(codec, bytes, size) {
  const zlib = await nodeModule("zlib");
  const decompress = codec === "br" ? zlib.brotliDecompressSync : zlib.zstdDecompressSync;
  if (!decompress) throw new Error(`this runtime cannot decompress ${codec}`);
  return decompress(bytes, { maxOutputLength: Math.max(size, 1) });
}

/** Import a module of node's; bundlers for browsers do not see its name. */
function nodeModule(name) {
  return import(`node:${name}`);
}
