/**
 * JSON that keeps what JSON loses: `undefined`, NaN, infinities, -0, BigInt, Date, Map, Set and bytes.
 *
 * Each of these becomes an object with the one field `$`; an object that has this field itself is
 * wrapped the same way. Instances of other classes become plain objects, as in JSON.
 */
const TAG = '$';

/** Values that are nested deeper than this may be cycles, and go where those are found. */
const DEEPEST_PLAIN = 200;

/** Whether plain JSON gives back `value` as it is. Cost: O(size), without allocation for trees of plain objects. */
export function isPlainJson(value: unknown, depth: number = DEEPEST_PLAIN): boolean {
  switch (typeof value) {
    case 'string':
    case 'boolean':
      return true;
    case 'number':
      return Number.isFinite(value) && !Object.is(value, -0);
    case 'object': {
      if (value === null) return true;
      if (depth === 0) return false;
      if (Array.isArray(value)) {
        for (let index = 0; index < value.length; index++) {
          if (!isPlainJson(value[index], depth - 1)) return false;
        }
        return true;
      }
      const prototype: unknown = Object.getPrototypeOf(value);
      if (prototype !== Object.prototype && prototype !== null) return false;
      for (const name in value) {
        if (name === TAG || name === '__proto__' || name === 'toJSON') return false;
        if (!isPlainJson((value as Record<string, unknown>)[name], depth - 1)) return false;
      }
      return true;
    }
    default:
      return false;
  }
}

/** Makes a tree that plain JSON keeps. @throws TypeError when the value holds a function, a symbol or a cycle. */
export function toJsonTree(value: unknown): unknown {
  return encode(value, new Set());
}

function encode(value: unknown, parents: Set<object>): unknown {
  switch (typeof value) {
    case 'number':
      return Number.isFinite(value) && !Object.is(value, -0) ? value : tagged('n', numberText(value));
    case 'undefined':
      return tagged('u', 0);
    case 'bigint':
      return tagged('i', String(value));
    case 'function':
    case 'symbol':
      throw new TypeError(`a ${typeof value} can't be stored`);
    case 'object':
      break;
    default:
      return value;
  }
  if (value === null) return null;
  if (parents.has(value)) throw new TypeError("a cycle can't be stored");
  if (value instanceof Date) return tagged('d', Number.isNaN(value.getTime()) ? null : value.getTime());
  if (ArrayBuffer.isView(value)) {
    const bytes = Buffer.from(value.buffer, value.byteOffset, value.byteLength).toString('base64');
    return tagged('b', [value.constructor.name, bytes]);
  }
  if (value instanceof ArrayBuffer)
    return tagged('b', ['ArrayBuffer', Buffer.from(value).toString('base64')]);
  parents.add(value);
  let tree: unknown;
  if (Array.isArray(value)) tree = Array.from(value, (item) => encode(item, parents));
  else if (value instanceof Map) {
    tree = tagged(
      'm',
      [...value].map(([key, item]) => [encode(key, parents), encode(item, parents)]),
    );
  } else if (value instanceof Set)
    tree = tagged(
      's',
      [...value].map((item) => encode(item, parents)),
    );
  else tree = encodeFields(value, parents);
  parents.delete(value);
  return tree;
}

function encodeFields(value: object, parents: Set<object>): unknown {
  const { toJSON } = value as { toJSON?: unknown };
  if (typeof toJSON === 'function') return encode(toJSON.call(value, ''), parents);
  const names = Object.keys(value);
  if (names.includes(TAG) || names.includes('__proto__')) {
    const fields = names.map((name) => [name, encode((value as Record<string, unknown>)[name], parents)]);
    return tagged('o', fields);
  }
  const tree: Record<string, unknown> = {};
  for (const name of names) tree[name] = encode((value as Record<string, unknown>)[name], parents);
  return tree;
}

function tagged(tag: string, content: unknown): unknown {
  return { [TAG]: [tag, content] };
}

function numberText(value: number): string {
  return Object.is(value, -0) ? '-0' : String(value);
}

const byteTypes: Readonly<Record<string, (bytes: Uint8Array<ArrayBuffer>) => unknown>> = {
  Buffer: (bytes) => Buffer.from(bytes.buffer),
  ArrayBuffer: (bytes) => bytes.buffer,
  DataView: (bytes) => new DataView(bytes.buffer),
  Uint8Array: (bytes) => bytes,
  Uint8ClampedArray: (bytes) => new Uint8ClampedArray(bytes.buffer),
  Int8Array: (bytes) => new Int8Array(bytes.buffer),
  Uint16Array: (bytes) => new Uint16Array(bytes.buffer),
  Int16Array: (bytes) => new Int16Array(bytes.buffer),
  Uint32Array: (bytes) => new Uint32Array(bytes.buffer),
  Int32Array: (bytes) => new Int32Array(bytes.buffer),
  Float32Array: (bytes) => new Float32Array(bytes.buffer),
  Float64Array: (bytes) => new Float64Array(bytes.buffer),
  BigInt64Array: (bytes) => new BigInt64Array(bytes.buffer),
  BigUint64Array: (bytes) => new BigUint64Array(bytes.buffer),
};

/** Gives back what {@link toJsonTree} was given. @throws Error when the tree is not one of its making. */
export function fromJsonTree(tree: unknown): unknown {
  if (typeof tree !== 'object' || tree === null) return tree;
  if (Array.isArray(tree)) return tree.map(fromJsonTree);
  if (TAG in tree) return fromTagged(tree[TAG] as [string, unknown]);
  const value: Record<string, unknown> = {};
  for (const name of Object.keys(tree)) value[name] = fromJsonTree((tree as Record<string, unknown>)[name]);
  return value;
}

function fromTagged([tag, content]: [string, unknown]): unknown {
  switch (tag) {
    case 'u':
      return undefined;
    case 'n':
      return Number(content);
    case 'i':
      return BigInt(content as string);
    case 'd':
      return new Date(content === null ? Number.NaN : (content as number));
    case 'b': {
      const [name, base64] = content as [string, string];
      const make = byteTypes[name];
      if (make === undefined) throw new Error(`unknown kind of bytes: ${name}`);
      return make(Uint8Array.from(Buffer.from(base64, 'base64')));
    }
    case 'm':
      return new Map(
        (content as [unknown, unknown][]).map(([key, item]) => [fromJsonTree(key), fromJsonTree(item)]),
      );
    case 's':
      return new Set((content as unknown[]).map(fromJsonTree));
    case 'o': {
      const value: Record<string, unknown> = {};
      for (const [name, item] of content as [string, unknown][]) {
        const field = { value: fromJsonTree(item), enumerable: true, writable: true, configurable: true };
        Object.defineProperty(value, name, field);
      }
      return value;
    }
    default:
      throw new Error(`unknown tag: ${tag}`);
  }
}
