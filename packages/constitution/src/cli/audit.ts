import { createPublicKey, type KeyObject } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { parseLine } from '../audit/entry.ts';
import { FileAuditStore } from '../audit/file-store.ts';
import { inclusionRanges, rootsOfRanges } from '../audit/proofs.ts';
import { TreeOfSegments } from '../audit/tree-of-segments.ts';
import { verifyAuditLog } from '../audit/verify.ts';
import { AuditCorruptError } from '../errors.ts';
import { type CommandResult, type Output, UsageError } from './output.ts';
import type { Flags } from './run.ts';

export async function auditCommand(
  operands: readonly string[],
  flags: Flags,
  output: Output,
): Promise<CommandResult> {
  const [action, folder, ...rest] = operands;
  if (folder === undefined) throw new UsageError('audit takes an action and a folder');
  switch (action) {
    case 'verify':
      if (rest.length > 0) throw new UsageError('audit verify takes one folder');
      return verify(folder, flags);
    case 'prove':
      return prove(folder, rest);
    case 'export':
      if (rest.length > 0) throw new UsageError('audit export takes one folder');
      return exportEntries(folder, output);
    default:
      throw new UsageError(`audit has no action '${action}'`);
  }
}

async function verify(folder: string, flags: Flags): Promise<CommandResult> {
  const keyFile = flags['public-key'];
  const found = await verifyAuditLog(folder, {
    publicKey: keyFile === undefined ? undefined : readKey(keyFile),
    checkpoints: (flags.checkpoint ?? []).map((path) => readFileSync(path, 'utf8')),
  });
  const { ok, size, dropped, root, checkpoints, problems } = found;
  const lines = problems.map(({ kind, index, until, detail }) => {
    const place =
      index === undefined ? '' : ` entry ${index}${until === undefined ? '' : ` to ${until - 1}`}`;
    return `${kind}${place}: ${detail}`;
  });
  const summary = `${size} entries (${dropped} dropped), root ${root}, ${checkpoints} checkpoints agree`;
  return {
    exitCode: ok ? 0 : 1,
    json: { ...found },
    text: ok ? summary : [...lines, summary].join('\n'),
  };
}

function readKey(path: string): KeyObject {
  const key = createPublicKey(readFileSync(path));
  if (key.asymmetricKeyType !== 'ed25519') throw new UsageError('--public-key must be an Ed25519 key');
  return key;
}

/** Proves an entry of a log that another process may be writing; nothing is locked or changed. */
async function prove(folder: string, operands: readonly string[]): Promise<CommandResult> {
  const [text = '', ...rest] = operands;
  if (!/^\d{1,15}$/.test(text) || rest.length > 0)
    throw new UsageError('audit prove takes a folder and an index');
  const index = Number(text);
  const store = new FileAuditStore(folder);
  const meta = await store.meta();
  if (meta === undefined)
    throw new AuditCorruptError('HOTPATH_AUDIT_CORRUPT', `there is no audit log in ${folder}`);
  const tree = new TreeOfSegments(meta.segmentEntries, store);
  for (const segment of await store.segments()) {
    if (segment.root !== undefined) tree.appendSegment(segment.root, segment.state === 'dropped');
    else
      for (const line of (await store.lines(segment.number)).lines) {
        const parsed = parseLine(line);
        if (parsed === undefined) break;
        tree.append(parsed.leaf);
      }
  }
  if (index >= tree.size) throw new UsageError(`the log has ${tree.size} entries, from 0`);
  const ranges = [[index, index + 1] as const, ...inclusionRanges(index, tree.size), [0, tree.size] as const];
  const hashes = (await rootsOfRanges(ranges, tree.nodes)).map((hashed) => hashed.toString('hex'));
  const proof = { index, size: tree.size, leaf: hashes[0], path: hashes.slice(1, -1) };
  const json = { proof, root: hashes.at(-1) };
  return { exitCode: 0, json, text: JSON.stringify(json, null, 2) };
}

async function exportEntries(folder: string, { out }: Output): Promise<CommandResult> {
  const store = new FileAuditStore(folder);
  if ((await store.meta()) === undefined) {
    throw new AuditCorruptError('HOTPATH_AUDIT_CORRUPT', `there is no audit log in ${folder}`);
  }
  let entries = 0;
  for (const { number, state } of await store.segments()) {
    if (state === 'dropped') continue;
    for (const line of (await store.lines(number)).lines) {
      out(line.slice(65));
      entries++;
    }
  }
  return { exitCode: 0, json: { entries }, text: '' };
}
