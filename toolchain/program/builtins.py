"""What calling and changing things of the language and its platforms does.

Source: ECMA-262 (2024) for the language; MDN for what browsers and Node.js share. A path that is
in no table here is unknown: nothing is claimed about calling it.
"""

from __future__ import annotations


def _words(text: str) -> list[str]:
    return text.split()


READS = frozenset(
    _words("""
Array Array.from Array.isArray Array.of ArrayBuffer ArrayBuffer.isView BigInt BigInt.asIntN
BigInt.asUintN Boolean Date Date.now Date.UTC Date.parse Error EvalError RangeError ReferenceError
SyntaxError TypeError URIError AggregateError Float32Array Float64Array Int8Array Int16Array
Int32Array Uint8Array Uint16Array Uint32Array Uint8ClampedArray BigInt64Array BigUint64Array
DataView JSON.parse JSON.stringify Map Set WeakMap WeakSet WeakRef FinalizationRegistry Number
Number.isFinite Number.isInteger Number.isNaN Number.isSafeInteger Number.parseFloat
Number.parseInt Object Object.entries Object.fromEntries
Object.getOwnPropertyDescriptor Object.getOwnPropertyDescriptors Object.getOwnPropertyNames
Object.getOwnPropertySymbols Object.getPrototypeOf Object.hasOwn Object.is Object.isExtensible
Object.isFrozen Object.isSealed Object.keys Object.values Promise.resolve Promise.reject
Promise.all Reflect.get Reflect.getOwnPropertyDescriptor Reflect.getPrototypeOf Reflect.has
Reflect.ownKeys RegExp String String.fromCharCode String.fromCodePoint String.raw Symbol
Symbol.for Symbol.keyFor atob btoa decodeURI decodeURIComponent encodeURI encodeURIComponent
escape unescape isFinite isNaN parseFloat parseInt structuredClone performance.now
SharedArrayBuffer TextDecoder TextEncoder URL URLSearchParams AbortController Headers Blob
EventTarget Event CustomEvent Intl.NumberFormat Intl.DateTimeFormat Intl.Collator
Intl.PluralRules Intl.Segmenter crypto.randomUUID WebAssembly.validate
Object.prototype.hasOwnProperty.call Object.prototype.toString.call Array.prototype.slice.call
""")
)
READ_FAMILIES = ("Math.",)

# Arrays of numbers, and what else shows the bytes of a buffer: who writes there, writes to it
VIEWS = frozenset(
    _words("""
    Int8Array Uint8Array Uint8ClampedArray Int16Array Uint16Array Int32Array Uint32Array
    Float32Array Float64Array BigInt64Array BigUint64Array DataView
    """)
)

# Those that may give the very promise, or share the bytes, that they are given
SHARE = VIEWS | {"Promise.resolve"}

# Those that wait for what they are given, or for its elements
WAIT = frozenset({"Promise.resolve"})
WAIT_EACH = frozenset({"Promise.all"})

# Those that read all there is in what they are given, in depth
DEEP = frozenset({"JSON.stringify", "structuredClone", "Headers", "URLSearchParams"})

# Those that keep what they are given as it is, and make no string or number of it
KEEP = frozenset(
    _words("""
    Array Array.from Array.of Map Object Object.entries Object.values Promise Promise.all
    Promise.reject Promise.resolve Set WeakMap WeakRef WeakSet
    """)
)

# They change what their first argument is, and give it back
CHANGE_FIRST = frozenset(
    _words("""
    Object.assign Object.defineProperty Object.defineProperties Object.freeze Object.seal
    Object.preventExtensions Object.setPrototypeOf Reflect.set Reflect.defineProperty
    Reflect.deleteProperty Reflect.setPrototypeOf Reflect.preventExtensions
    """)
)

# Those of them that define members by descriptors, let inherit, and give no new members
DEFINE = frozenset({"Object.defineProperty", "Reflect.defineProperty"})
DEFINE_ALL = frozenset({"Object.defineProperties"})
INHERIT = frozenset({"Object.setPrototypeOf", "Reflect.setPrototypeOf"})
ONLY_CLOSE = frozenset(
    {"Object.freeze", "Object.seal", "Object.preventExtensions", "Reflect.preventExtensions"}
)

# Those that ask about an object and read none of its members
SHALLOW = frozenset(
    _words("""
    Array.isArray Object.keys Object.getOwnPropertyNames Object.getOwnPropertySymbols Object.is
    Object.isExtensible Object.isFrozen Object.isSealed Reflect.ownKeys
    Number.isFinite Number.isInteger Number.isNaN
    Number.isSafeInteger ArrayBuffer.isView
    """)
)

# Those that describe a member, and all members
DESCRIBE = frozenset({"Object.getOwnPropertyDescriptor", "Reflect.getOwnPropertyDescriptor"})
DESCRIBE_ALL = frozenset({"Object.getOwnPropertyDescriptors"})

# Those that give an object that somebody else has, which one nobody knows
PROTOTYPE = frozenset({"Object.getPrototypeOf", "Reflect.getPrototypeOf"})

# Those that only read, but go through their first argument
ITERATE = frozenset(_words("Array.from Map Set WeakMap WeakSet Object.fromEntries Promise.all")) | (
    VIEWS - {"DataView"}
)

# What is certainly noticed outside of the program, or runs code later
ACTS = (
    "console.",
    "addEventListener",
    "alert",
    "customElements.define",
    "document.write",
    "fetch",
    "importScripts",
    "postMessage",
    "process.exit",
    "process.on",
    "queueMicrotask",
    "registerProcessor",
    "requestAnimationFrame",
    "setInterval",
    "setTimeout",
    "setImmediate",
)

# Constructors that start something
STARTS = frozenset(
    {"Worker", "SharedWorker", "WebSocket", "EventSource", "XMLHttpRequest", "BroadcastChannel"}
)

_NAMES = frozenset(
    _words("""
AbortSignal Atomics AudioContext AudioData AudioNode AudioWorkletNode AudioWorkletProcessor Buffer
CSSStyleSheet CustomElementRegistry DOMException DOMParser Document DocumentFragment Element
FileReader File FormData Function Generator HTMLElement IDBKeyRange Image Infinity Intl
IntersectionObserver Iterator JSON KeyboardEvent Math MediaRecorder MediaStream MessageChannel
MessagePort MouseEvent MutationObserver NaN Navigator Node NodeList OfflineAudioContext
OffscreenCanvas Path2D PerformanceObserver PointerEvent Promise RTCPeerConnection
RTCRtpReceiver RTCRtpSender RTCRtpTransceiver ReadableStream Reflect Request ResizeObserver
Response SVGElement Storage TouchEvent TransformStream UIEvent VideoFrame WebAssembly
WebGL2RenderingContext
WebGLRenderingContext WebSocket Window Worker WorkerGlobalScope WritableStream XMLHttpRequest
__dirname __filename caches cancelAnimationFrame clearInterval clearTimeout console crypto
customElements devicePixelRatio document exports fetch global globalThis history indexedDB
innerHeight innerWidth isSecureContext localStorage location matchMedia module name navigator
performance process queueMicrotask registerProcessor require requestAnimationFrame screen self
sessionStorage setInterval setTimeout sampleRate currentTime currentFrame undefined visualViewport
window webkitAudioContext addEventListener removeEventListener getComputedStyle postMessage
importScripts setImmediate clearImmediate alert Proxy
""")
)
# Names whose mere reading does nothing, in a browser, a worker or Node
GLOBALS = _NAMES | {path.partition(".")[0] for path in READS}

# The object that holds all globals
GLOBAL_OBJECTS = frozenset({"globalThis", "window", "self", "global"})

# Globals whose members the program itself may set: it matters when they are read
SHARED = GLOBAL_OBJECTS | {"document", "localStorage", "sessionStorage", "process", "process.env"}

# Methods of arrays, collections and views
CHANGE_THIS = frozenset(
    _words("""
    push pop shift unshift splice sort reverse fill copyWithin set add delete clear append
    setPrototypeOf setInt8 setUint8 setInt16 setUint16 setInt32 setUint32 setFloat32 setFloat64
    setBigInt64 setBigUint64
    """)
)
# They set where the regular expression goes on that they are called on, or given
MATCH = frozenset(_words("test exec"))
MATCH_GIVEN = frozenset(_words("match replace replaceAll"))
# They ask an iterator for more
ADVANCE = frozenset({"next"})
# They give an iterator
MAKE_ITERATOR = frozenset(_words("entries keys matchAll values"))
# They make strings of elements
CONVERT_THIS = frozenset(_words("join sort toLocaleString toSorted toString"))
# They wait for what a callback gives
WAIT_FOR_CALLBACK = frozenset(_words("catch finally then"))
CALL_BACK = frozenset(
    _words("""
    map forEach filter reduce reduceRight some every find findIndex findLast findLastIndex flatMap
    sort replace replaceAll toSorted then catch finally
    """)
)
READ_THIS = frozenset(
    _words("""
    at charAt charCodeAt codePointAt concat endsWith entries flat get has includes indexOf join keys
    lastIndexOf localeCompare match matchAll normalize padEnd padStart repeat slice search split
    startsWith subarray substr substring toFixed toLowerCase toPrecision toReversed toString
    toUpperCase toLocaleString toISOString toJSON getTime trim trimEnd trimStart values valueOf
    hasOwnProperty isPrototypeOf propertyIsEnumerable with test exec next getInt8 getUint8 getInt16
    getUint16 getInt32 getUint32 getFloat32 getFloat64 getBigInt64 getBigUint64
    """)
)

# They give strings
GIVE_TEXT = frozenset(_words("join toLocaleString toString"))
# They make no string or number of what they are given
KEEP_GIVEN = frozenset(_words("add push unshift")) | (CALL_BACK - MATCH_GIVEN)
# Those of maps make none, either; those of URLSearchParams and Headers do
MAY_KEEP_GIVEN = frozenset(_words("delete get has set"))

METHODS = CHANGE_THIS | CALL_BACK | READ_THIS


def reads_only(path: str) -> bool:
    """Whether calling ``path`` changes nothing.

    >>> reads_only("Math.max"), reads_only("window.Map"), reads_only("console.log")
    (True, True, False)
    """
    path = without_global(path)
    return path in READS or path.startswith(READ_FAMILIES)


def acts(path: str) -> bool:
    """Whether calling ``path`` is certainly noticed."""
    path = without_global(path)
    return any(path == act or (act.endswith(".") and path.startswith(act)) for act in ACTS)


def is_provided(path: str) -> bool:
    """Whether a path is the platform's, and no global that some program has put there."""
    return without_global(path).partition(".")[0] in GLOBALS | {"method", "primitive"}


def without_global(path: str) -> str:
    """Return a path without the name of the global object in front."""
    first, dot, rest = path.partition(".")
    return rest if dot and first in GLOBAL_OBJECTS else path
