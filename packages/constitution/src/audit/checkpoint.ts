import { createPublicKey, hash, type KeyObject, sign, verify } from 'node:crypto';
import { AuditCorruptError } from '../errors.ts';

/** A statement of a log's size and root, in the text form that transparency logs share (C2SP tlog-checkpoint, signed-note). */
export interface Checkpoint {
  /** The log's name, which is also the name of its key. */
  readonly origin: string;
  readonly size: number;
  /** Hex. */
  readonly root: string;
  /** When it was made, ISO 8601. */
  readonly time: string;
  /** The text to hand out and keep, signatures included. */
  readonly note: string;
}

const ED25519 = Buffer.from([1]);
// The algorithm's header in front of the 32 bytes of the key itself.
const SPKI_HEADER_BYTES = 12;

function keyId(origin: string, publicKey: KeyObject): Buffer {
  const raw = publicKey.export({ type: 'spki', format: 'der' }).subarray(SPKI_HEADER_BYTES);
  const named = Buffer.concat([Buffer.from(`${origin}\n`), ED25519, raw]);
  return hash('sha256', named, 'buffer').subarray(0, 4);
}

/** Makes a checkpoint; signed when a private Ed25519 key is given. */
export function makeCheckpoint(
  origin: string,
  size: number,
  root: Buffer,
  time: string,
  signingKey: KeyObject | undefined,
): Checkpoint {
  const body = `${origin}\n${size}\n${root.toString('base64')}\ntime ${time}\n`;
  let note = `${body}\n`;
  if (signingKey !== undefined) {
    const id = keyId(origin, createPublicKey(signingKey));
    const signature = Buffer.concat([id, sign(null, Buffer.from(body), signingKey)]);
    note += `— ${origin} ${signature.toString('base64')}\n`;
  }
  return { origin, size, root: root.toString('hex'), time, note };
}

const BODY = /^([^\n]+)\n(0|[1-9]\d{0,15})\n([A-Za-z0-9+/]{43}=)\ntime (\d{4}-\d\d-\d\dT[0-9:.]+Z)\n$/;

/**
 * Reads a checkpoint's text; with a key, its signature must be of that key.
 *
 * @param publicKey Ed25519.
 * @throws AuditCorruptError (HOTPATH_AUDIT_CHECKPOINT) when it is not one, or not signed by the key.
 */
export function parseCheckpoint(note: string, publicKey?: KeyObject): Checkpoint {
  const end = note.indexOf('\n\n');
  const body = note.slice(0, end + 1);
  const match = end === -1 ? null : BODY.exec(body);
  const root = Buffer.from(match?.[3] ?? '', 'base64');
  // Base64 has spare bits in its last digit; one text must have one meaning.
  if (match === null || root.toString('base64') !== match[3]) {
    throw new AuditCorruptError('HOTPATH_AUDIT_CHECKPOINT', 'not a checkpoint');
  }
  const [, origin, size, , time] = match as unknown as [string, string, string, string, string];
  const signatures = note.slice(end + 2);
  if (signatures !== '' && !/^(— [^\n]+ [A-Za-z0-9+/=]+\n)+$/.test(signatures)) {
    throw new AuditCorruptError('HOTPATH_AUDIT_CHECKPOINT', 'the checkpoint has broken signature lines');
  }
  if (publicKey !== undefined && !isSigned(origin, body, signatures, publicKey)) {
    throw new AuditCorruptError('HOTPATH_AUDIT_CHECKPOINT', 'the checkpoint is not signed by the given key');
  }
  return { origin, size: Number(size), root: root.toString('hex'), time, note };
}

function isSigned(origin: string, body: string, signatures: string, publicKey: KeyObject): boolean {
  const id = keyId(origin, publicKey);
  return signatures.split('\n').some((line) => {
    if (!line.startsWith(`— ${origin} `)) return false;
    const bytes = Buffer.from(line.slice(line.lastIndexOf(' ') + 1), 'base64');
    if (bytes.toString('base64') !== line.slice(line.lastIndexOf(' ') + 1)) return false;
    return bytes.subarray(0, 4).equals(id) && verify(null, Buffer.from(body), publicKey, bytes.subarray(4));
  });
}
