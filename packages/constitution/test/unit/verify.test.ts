import { generateKeyPairSync } from 'node:crypto';
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { leafHash } from '../../src/audit/merkle.ts';
import { run } from '../../src/cli/run.ts';
import { type AuditProblem, createAuditLog, verifyAuditLog } from '../../src/index.ts';

const { privateKey, publicKey } = generateKeyPairSync('ed25519');
let folder: string;
let notes: string[];

beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), 'hotpath-verify-'));
  notes = [];
  const log = await createAuditLog({ directory: folder, segmentEntries: 16, signingKey: privateKey });
  for (let index = 0; index < 40; index++) {
    log.append({ who: 'ann', what: `policy ${index}`, decision: 'allow', fingerprint: 'f' });
    if (index === 9 || index === 24) notes.push((await log.checkpoint()).note);
  }
  await log.close();
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

const path = (name: string): string => join(folder, name);
const SEALED = 'segment-000001.log';
const OPEN = 'segment-000002.log';

function edit(name: string, change: (lines: string[]) => string[]): void {
  const lines = readFileSync(path(name), 'utf8').split('\n');
  lines.pop();
  writeFileSync(path(name), `${change(lines).join('\n')}\n`);
}

/** What somebody does who knows the format: another text, with the leaf hash that belongs to it. */
function rewritten(line: string, from: string, to: string): string {
  const text = line.slice(65).replace(from, to);
  return `${leafHash(text)} ${text}`;
}

async function problems(): Promise<
  (readonly [AuditProblem['kind'], number | undefined, number | undefined])[]
> {
  const { ok, problems: found } = await verifyAuditLog(folder, { publicKey });
  expect(ok).toBe(found.length === 0);
  return found.map(({ kind, index, until }) => [kind, index, until] as const);
}

describe('verifyAuditLog', () => {
  it('finds nothing wrong with a log that nobody touched', async () => {
    expect(await verifyAuditLog(folder, { publicKey, checkpoints: notes })).toMatchObject({
      ok: true,
      size: 40,
      checkpoints: 5,
      problems: [],
    });
  });

  it.each([
    ['a private key', privateKey],
    ['a key of another kind', generateKeyPairSync('x25519').publicKey],
    ['the text of a key', publicKey.export({ type: 'spki', format: 'pem' })],
  ])('does not take %s for a damaged log', async (_, key) => {
    await expect(verifyAuditLog(folder, { publicKey: key as never })).rejects.toThrow(
      new TypeError("verifyAuditLog: option 'publicKey' must be a public Ed25519 key"),
    );
  });

  it.each([0.5, 1, '16', null])(
    'refuses a log that says to have %j entries a segment',
    async (segmentEntries) => {
      const meta = JSON.parse(readFileSync(path('audit.json'), 'utf8'));
      writeFileSync(path('audit.json'), JSON.stringify({ ...meta, segmentEntries }));
      await expect(verifyAuditLog(folder)).rejects.toMatchObject({
        code: 'HOTPATH_AUDIT_CORRUPT',
        message: expect.stringContaining('does not describe an audit log'),
      });
    },
  );

  it.each([SEALED, OPEN])('names an altered entry in %s', async (name) => {
    const first = name === SEALED ? 16 : 32;
    edit(name, (lines) => lines.map((line, place) => (place === 5 ? line.replace('allow', 'denied') : line)));
    expect(await problems()).toEqual([['altered', first + 5, undefined]]);
  });

  it('names an altered entry whose own hash was made to fit', async () => {
    edit(SEALED, (lines) =>
      lines.map((line, place) => (place === 5 ? rewritten(line, 'allow', 'deny') : line)),
    );
    expect(await problems()).toEqual([['altered', 21, undefined]]);
  });

  it('names the run between two checkpoints when an unsealed entry was altered and its hash made to fit', async () => {
    edit(OPEN, (lines) =>
      lines.map((line, place) => (place === 5 ? rewritten(line, 'allow', 'deny') : line)),
    );
    expect(await problems()).toEqual([['altered', 25, 40]]);
  });

  it.each([
    ['the first', SEALED, 0, 16],
    ['one in the middle', SEALED, 7, 23],
    ['the last', SEALED, 15, 31],
    ['one of the open segment', OPEN, 3, 35],
  ])('names a removed entry: %s', async (_, name, place, index) => {
    edit(name, (lines) => lines.toSpliced(place, 1));
    expect(await problems()).toEqual([['removed', index, undefined]]);
  });

  it('names the entries that are missing at the end, by a checkpoint that covers them', async () => {
    edit(OPEN, (lines) => lines.slice(0, 6));
    expect(await problems()).toEqual([['removed', 38, 40]]);
  });

  it('names a moved entry, wherever it went', async () => {
    edit(SEALED, (lines) => [
      ...lines.slice(0, 3),
      ...lines.slice(4, 9),
      lines[3] as string,
      ...lines.slice(9),
    ]);
    expect(await problems()).toEqual([['moved', 19, undefined]]);
  });

  it('names an entry that was moved into another segment', async () => {
    const [moved] = readFileSync(path(SEALED), 'utf8').split('\n').slice(4);
    edit(SEALED, (lines) => lines.toSpliced(4, 1));
    edit(OPEN, (lines) => lines.toSpliced(2, 0, moved as string));
    expect(await problems()).toEqual([['moved', 20, undefined]]);
  });

  it('names two that changed places', async () => {
    edit(OPEN, (lines) => [...lines.slice(0, 2), lines[3] as string, lines[2] as string, ...lines.slice(4)]);
    expect(await problems()).toEqual([['moved', expect.toBeOneOf([34, 35]), undefined]]);
  });

  it('names an entry that was written twice', async () => {
    edit(OPEN, (lines) => lines.toSpliced(4, 0, lines[2] as string));
    expect(await problems()).toEqual([['inserted', 34, undefined]]);
  });

  it('names a segment that is gone', async () => {
    rmSync(path('segment-000001.log'));
    rmSync(path('segment-000001.tree'));
    expect(await problems()).toEqual([['removed', 16, 32]]);
  });

  it('does not look for the segments before one that somebody has put far away', async () => {
    writeFileSync(path('segment-4000000000.log'), '');
    await expect(verifyAuditLog(folder)).rejects.toMatchObject({
      code: 'HOTPATH_AUDIT_CORRUPT',
      message: 'the audit log is damaged: 3999999997 segments before segment 4000000000 are missing',
    });
  });

  it('tells a damaged tree from damaged entries', async () => {
    const tree = readFileSync(path('segment-000001.tree'));
    tree[40] = (tree[40] as number) ^ 1;
    writeFileSync(path('segment-000001.tree'), tree);
    expect((await problems()).map(([kind]) => kind)).toEqual(['tree']);
  });

  it('notices when everything was written anew, by a checkpoint that was kept elsewhere', async () => {
    rmSync(folder, { recursive: true });
    const log = await createAuditLog({ directory: folder, segmentEntries: 16, signingKey: privateKey });
    for (let index = 0; index < 40; index++) {
      log.append({ who: 'eve', what: `policy ${index}`, decision: 'allow', fingerprint: 'f' });
    }
    await log.close();
    expect(await verifyAuditLog(folder, { publicKey })).toMatchObject({ ok: true });
    expect(await verifyAuditLog(folder, { publicKey, checkpoints: notes })).toMatchObject({
      ok: false,
      problems: [{ kind: 'altered', index: 0, until: 10 }],
    });
  });

  it('notices each single byte that is changed, in whichever file', async () => {
    const lengths: number[] = [];
    for (const name of readdirSync(folder)) {
      const content = readFileSync(path(name));
      lengths.push(content.length);
      // Every byte of what is short, and enough of what is long to reach each line.
      const step = content.length < 600 ? 1 : 13;
      for (let place = 0; place < content.length; place += step) {
        const changed = Buffer.from(content);
        changed[place] = (changed[place] as number) ^ (1 << (place % 8));
        writeFileSync(path(name), changed);
        const isNoticed = await verifyAuditLog(folder, { publicKey }).then(
          ({ ok }) => !ok,
          () => true,
        );
        expect([name, place, isNoticed]).toEqual([name, place, true]);
      }
      writeFileSync(path(name), content);
    }
    expect(lengths.length).toBe(7);
  }, 60_000);

  it('can not be fooled by bytes that a decoder would mend', async () => {
    const own = mkdtempSync(join(tmpdir(), 'hotpath-utf8-'));
    const log = await createAuditLog({ directory: own });
    log.append({ who: '\ufffd', what: 'a', decision: 'b', fingerprint: 'f' });
    await log.flush();
    const name = join(own, 'segment-000000.log');
    const content = readFileSync(name);
    const place = content.indexOf(0xef);
    content[place] = 0xf0;
    writeFileSync(name, content);
    expect((await verifyAuditLog(own)).problems).toMatchObject([{ kind: 'altered', index: 0 }]);
    await log.close();
    rmSync(own, { recursive: true });
  });

  it('can not be fooled by bytes that are no UTF-8 and read as the text that was there', async () => {
    const own = mkdtempSync(join(tmpdir(), 'hotpath-utf8-'));
    const log = await createAuditLog({ directory: own });
    log.append({ who: 'Ã(', what: 'a', decision: 'b', fingerprint: 'f' });
    await log.flush();
    const name = join(own, 'segment-000000.log');
    const content = readFileSync(name);
    // 0xc3 0x83 is Ã; 0xc3 alone is Ã only in another encoding.
    const place = content.indexOf(0x83);
    writeFileSync(name, Buffer.concat([content.subarray(0, place), content.subarray(place + 1)]));
    expect((await verifyAuditLog(own)).problems).toMatchObject([{ kind: 'altered', index: 0 }]);
    await log.close();
    rmSync(own, { recursive: true });
  });

  it('is what the command line says and exits with', async () => {
    const key = path('key.pem');
    writeFileSync(key, publicKey.export({ type: 'spki', format: 'pem' }));
    const kept = path('kept.txt');
    writeFileSync(kept, notes[0] as string);
    let text = '';
    const output = {
      out: (line: string) => (text += `${line}\n`),
      error: (line: string) => (text += `${line}\n`),
    };
    const verify = ['audit', 'verify', folder, '--public-key', key, '--checkpoint', kept];
    expect(await run(verify, output)).toBe(0);
    expect(text).toMatch(/^40 entries \(0 dropped\), root [0-9a-f]{64}, 4 checkpoints agree\n$/);
    edit(OPEN, (lines) => lines.toSpliced(3, 1));
    text = '';
    expect(await run(verify, output)).toBe(1);
    expect(text).toContain('removed entry 35: the entry is missing');
    text = '';
    expect(await run([...verify, '--json'], output)).toBe(1);
    expect(JSON.parse(text)).toMatchObject({ ok: false, problems: [{ kind: 'removed', index: 35 }] });
  });

  it('proves and exports entries on the command line', async () => {
    let text = '';
    const output = { out: (line: string) => (text += `${line}\n`), error: () => {} };
    expect(await run(['audit', 'prove', folder, '7', '--json'], output)).toBe(0);
    const { proof, root } = JSON.parse(text);
    const { verifyInclusion } = await import('../../src/audit/index.ts');
    expect(verifyInclusion(proof, root)).toBe(true);
    text = '';
    expect(await run(['audit', 'export', folder], output)).toBe(0);
    expect(
      text
        .trim()
        .split('\n')
        .map((line) => JSON.parse(line).index),
    ).toEqual(Array.from({ length: 40 }, (_, i) => i));
  });
});
