import { generateKeyPairSync } from 'node:crypto';
import { subscribe, unsubscribe } from 'node:diagnostics_channel';
import {
  appendFileSync,
  cpSync,
  existsSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createVirtualClock } from '@hotpath/core/testing';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { FileAuditStore } from '../../src/audit/file-store.ts';
import { leafHashOf, parseCheckpoint, verifyConsistency, verifyInclusion } from '../../src/audit/index.ts';
import {
  type AuditEntry,
  type AuditLog,
  type AuditLogOptions,
  createAuditLog,
  createConstitution,
  type StoredEntry,
  verifyAuditLog,
} from '../../src/index.ts';

const WHOLE = 'sha256:raw:cdd01ef066bc6cf21ad294837e232073d8d1f07aa8a1c36da2aae997a3231a0f';
const constitution = createConstitution({ active: WHOLE });
const { privateKey, publicKey } = generateKeyPairSync('ed25519');

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'hotpath-audit-'));
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

const entry = (index: number): AuditEntry => ({
  who: 'ann',
  what: `read policy ${index}`,
  decision: index % 3 === 0 ? 'deny' : 'allow',
  details: { index, tags: ['é', '€'] },
});

async function openLog(options: Partial<AuditLogOptions> = {}): Promise<AuditLog> {
  return createAuditLog({ directory: folder, constitution, segmentEntries: 16, ...options });
}

async function logOf(count: number, options: Partial<AuditLogOptions> = {}): Promise<AuditLog> {
  const log = await openLog(options);
  for (let index = 0; index < count; index++) log.append(entry(index));
  await log.flush();
  return log;
}

async function all(log: AuditLog, from?: number, to?: number): Promise<StoredEntry[]> {
  const entries: StoredEntry[] = [];
  for await (const one of log.entries(from, to)) entries.push(one);
  return entries;
}

describe('the audit log', () => {
  it('keeps who, what, decision, whole fingerprint and time, in order', async () => {
    const clock = createVirtualClock();
    const log = await openLog({ clock });
    expect(log.append({ who: 'ann', what: 'read', decision: 'allow' })).toBe(0);
    await clock.advance(1_500);
    expect(
      log.append({ who: 'bob', what: 'drop', decision: 'deny', details: { rule: 7 }, fingerprint: 'own' }),
    ).toBe(1);
    expect(await all(log)).toEqual([
      {
        index: 0,
        who: 'ann',
        what: 'read',
        decision: 'allow',
        fingerprint: WHOLE,
        time: '2026-01-01T00:00:00.000Z',
      },
      {
        index: 1,
        who: 'bob',
        what: 'drop',
        decision: 'deny',
        details: { rule: 7 },
        fingerprint: 'own',
        time: '2026-01-01T00:00:01.500Z',
      },
    ]);
    await log.close();
  });

  it('goes on where it ended, over many openings', async () => {
    for (let round = 0; round < 10; round++) {
      const log = await openLog();
      expect(log.size).toBe(round * 7);
      for (let index = 0; index < 7; index++) log.append(entry(round * 7 + index));
      await log.close();
    }
    expect(await verifyAuditLog(folder)).toMatchObject({ ok: true, size: 70, checkpoints: 10, problems: [] });
    const log = await openLog();
    expect((await all(log)).map(({ index }) => index)).toEqual(
      Array.from({ length: 70 }, (_, index) => index),
    );
    expect((await all(log, 15, 18)).map(({ index }) => index)).toEqual([15, 16, 17]);
    await log.close();
  });

  it('proves each entry and each earlier state, written or not', async () => {
    const log = await openLog();
    const roots: string[] = [];
    for (let index = 0; index < 50; index++) {
      roots.push(await log.root());
      log.append(entry(index));
    }
    const proveAll = async (): Promise<void> => {
      const root = await log.root();
      const stored = existsSync(join(folder, 'segment-000000.tree')) ? await all(log) : [];
      for (let index = 0; index < 50; index++) {
        const proof = await log.inclusionProof(index);
        expect(verifyInclusion(proof, root)).toBe(true);
        if (stored.length > 0) expect(leafHashOf(stored[index] as StoredEntry)).toBe(proof.leaf);
        const consistency = await log.consistencyProof(index);
        expect(verifyConsistency(consistency, roots[index] as string, root)).toBe(true);
        expect(await log.root(index)).toBe(roots[index]);
      }
    };
    await proveAll();
    await log.flush();
    await proveAll();
    await expect(log.inclusionProof(50)).rejects.toThrow('index must be a whole number from 0 to 49');
    await expect(log.consistencyProof(51)).rejects.toThrow(RangeError);
    await expect(log.drop(51)).rejects.toThrow(RangeError);
    await expect(all(log, 1.5)).rejects.toThrow('entries: from must be a whole number from 0 to 50, got 1.5');
    await expect(all(log, -1)).rejects.toThrow(RangeError);
    await expect(all(log, 7, 6)).rejects.toThrow('entries: to must be a whole number from 7 to 50, got 6');
    await expect(all(log, 0, 51)).rejects.toThrow(RangeError);
    await log.close();
  });

  it('signs checkpoints that anybody can check, and keeps them', async () => {
    const log = await logOf(20, { signingKey: privateKey, origin: 'example.org/audit' });
    const checkpoint = await log.checkpoint();
    expect(parseCheckpoint(checkpoint.note, publicKey)).toEqual(checkpoint);
    expect(checkpoint).toMatchObject({ origin: 'example.org/audit', size: 20, root: await log.root() });
    const other = generateKeyPairSync('ed25519').publicKey;
    const wrong = expect.objectContaining({ code: 'HOTPATH_AUDIT_CHECKPOINT' });
    expect(() => parseCheckpoint(checkpoint.note, other)).toThrow(wrong);
    expect(() => parseCheckpoint(checkpoint.note.replace('\n20\n', '\n21\n'), publicKey)).toThrow(wrong);
    expect(() => parseCheckpoint(checkpoint.note.split('—')[0] as string, publicKey)).toThrow(wrong);
    expect(() => parseCheckpoint('')).toThrow(wrong);
    await log.close();
    expect(await verifyAuditLog(folder, { publicKey })).toMatchObject({ ok: true, checkpoints: 1 });
    expect(await verifyAuditLog(folder, { publicKey: other })).toMatchObject({ ok: false });
  });

  it('writes what waits after its interval, makes checkpoints by itself, and leaves no timer behind', async () => {
    const clock = createVirtualClock();
    const events: unknown[] = [];
    const listen = (event: unknown): void => {
      events.push(event);
    };
    subscribe('hotpath:constitution:audit-checkpoint', listen);
    const log = await openLog({ clock, flushIntervalMs: 50, checkpointIntervalMs: 1_000 });
    log.append(entry(0));
    expect(log.stats()).toMatchObject({ size: 1, buffered: 1, appended: 1, flushes: 0 });
    await clock.advance(50);
    await log.flush();
    expect(log.stats()).toMatchObject({ buffered: 0, flushes: 1, checkpoints: 0 });
    await clock.advance(1_000);
    await log.flush();
    expect(log.stats()).toMatchObject({ checkpoints: 1 });
    unsubscribe('hotpath:constitution:audit-checkpoint', listen);
    expect(events).toMatchObject([{ checkpoint: { size: 1, root: await log.root() } }]);
    await log.close();
    await log.close();
    expect(clock.pendingTimers).toBe(0);
  });

  it('drops old segments and goes on proving and verifying the rest', async () => {
    const log = await logOf(100);
    const root = await log.root();
    expect(await log.drop(50)).toBe(48);
    expect(await log.root()).toBe(root);
    expect((await all(log)).map(({ index }) => index)[0]).toBe(48);
    expect(verifyInclusion(await log.inclusionProof(70), root)).toBe(true);
    await expect(log.inclusionProof(3)).rejects.toMatchObject({ code: 'HOTPATH_AUDIT_DROPPED' });
    await log.close();
    expect(readdirSync(folder).filter((name) => name.startsWith('segment-000000'))).toEqual([
      'segment-000000.root',
    ]);
    expect(await verifyAuditLog(folder)).toMatchObject({ ok: true, size: 100, dropped: 48, root });
    const again = await openLog();
    expect(await again.root()).toBe(root);
    again.append(entry(100));
    await again.close();
    expect(await verifyAuditLog(folder)).toMatchObject({ ok: true, size: 101 });
  });

  it('takes a drop that was cut off as one that was not made, or as one that was', async () => {
    const log = await logOf(40);
    const root = await log.root();
    await log.close();
    const tree = readFileSync(join(folder, 'segment-000000.tree'));
    writeFileSync(join(folder, 'segment-000000.root'), `${tree.subarray(-32).toString('hex')}\n`);
    expect(await verifyAuditLog(folder)).toMatchObject({ ok: true, dropped: 0, root });
    rmSync(join(folder, 'segment-000000.log'));
    expect(await verifyAuditLog(folder)).toMatchObject({ ok: true, dropped: 16, root });
    const again = await openLog();
    expect([await again.root(), await again.drop(32)]).toEqual([root, 32]);
    await again.close();
    expect(await verifyAuditLog(folder)).toMatchObject({ ok: true, dropped: 32, root });
  });

  it('has one writer', async () => {
    const log = await logOf(1);
    await expect(openLog()).rejects.toMatchObject({ code: 'HOTPATH_AUDIT_LOCKED' });
    await log.close();
    expect(readdirSync(folder)).not.toContain('writer.lock');
    await (await openLog()).close();
  });

  it.each([
    ['a process that is gone', { pid: 4_194_305, began: '1' }, true],
    ['a process whose id was given again', { pid: process.pid, began: '1' }, true],
    ['another machine', { pid: 1, began: '', host: 'elsewhere' }, false],
  ])('takes over the lock of %s only when it may', async (_, holder, isLost) => {
    const { hostname } = await import('node:os');
    writeFileSync(join(folder, 'writer.lock'), JSON.stringify({ host: hostname(), token: 'x', ...holder }));
    if (isLost) await (await openLog()).close();
    else await expect(openLog()).rejects.toMatchObject({ code: 'HOTPATH_AUDIT_LOCKED' });
  });

  it('refuses entries that say too little or too much, and keeps its count', async () => {
    const log = await openLog({ maxEntryBytes: 300 });
    expect(() => log.append({ who: '', what: 'a', decision: 'b' })).toThrow("'who' must be a text");
    expect(() => log.append({ who: 'a', what: 1 as never, decision: 'b' })).toThrow("'what' must be a text");
    expect(() => log.append({ ...entry(0), details: { big: 1n } })).toThrow('$.details.big is 1n');
    expect(() => log.append({ ...entry(0), details: '€'.repeat(100) })).toThrow('more than 300 bytes');
    expect(log.append(entry(0))).toBe(0);
    await log.close();
    expect(() => log.append(entry(1))).toThrow(expect.objectContaining({ code: 'HOTPATH_AUDIT_CLOSED' }));
    await expect(log.checkpoint()).rejects.toMatchObject({ code: 'HOTPATH_AUDIT_CLOSED' });
    const bare = await createAuditLog({ directory: join(folder, 'bare') });
    expect(() => bare.append(entry(0))).toThrow('needs a fingerprint');
    await bare.close();
  });

  it.each([
    [{}, "either option 'directory' or option 'store' is needed"],
    [{ directory: 'a', store: {} }, "option 'store' must be an object with the method"],
    [{ directory: 'a', segmentEntries: 100 }, "option 'segmentEntries' must be a power of two"],
    [{ directory: 'a', origin: 'a b' }, "option 'origin' must be"],
    [{ directory: 'a', constitution: {} }, "option 'constitution' must be made by createConstitution"],
    [{ directory: 'a', signingKey: 'x' }, "option 'signingKey' must be a private Ed25519 key"],
    [{ directory: 'a', signingKey: publicKey }, "option 'signingKey' must be a private Ed25519 key"],
    [{ directory: 'a', fsync: 'always' }, "option 'fsync' must be one of"],
    [{ directory: 'a', flush: 1 }, "unknown option 'flush'"],
  ])('refuses wrong options: %#', async (options, message) => {
    await expect(createAuditLog(options as never)).rejects.toThrow(message);
  });
});

describe('a log whose store fails', () => {
  class FailingStore extends FileAuditStore {
    failures: string[] = [];
    #failOnce(name: string): void {
      const place = this.failures.indexOf(name);
      if (place === -1) return;
      this.failures.splice(place, 1);
      throw new Error(`no space for ${name}`);
    }
    override async append(segment: number, first: number, lines: readonly string[]): Promise<void> {
      this.#failOnce('append');
      if (this.failures.includes('half')) {
        this.#half(segment, lines);
        this.#failOnce('half');
      }
      await super.append(segment, first, lines);
    }
    #half(segment: number, lines: readonly string[]): void {
      const path = join(folder, `segment-${String(segment).padStart(6, '0')}.log`);
      appendFileSync(path, lines.join('\n').slice(0, 100));
    }
    override async seal(segment: number, tree: Buffer): Promise<void> {
      this.#failOnce('seal');
      await super.seal(segment, tree);
    }
    override async addCheckpoint(note: string): Promise<void> {
      this.#failOnce('checkpoint');
      await super.addCheckpoint(note);
    }
    override async sync(): Promise<void> {
      this.#failOnce('sync');
      await super.sync();
    }
  }

  it('keeps every entry, says so, and writes them all when it can again', async () => {
    const clock = createVirtualClock();
    const store = new FailingStore(folder);
    const log = await createAuditLog({ store, constitution, segmentEntries: 16, clock });
    const events: unknown[] = [];
    const listen = (event: unknown): void => {
      events.push(event);
    };
    subscribe('hotpath:constitution:audit-write-failed', listen);
    for (const failure of ['append', 'half', 'seal', 'sync', 'seal']) {
      store.failures = [failure];
      for (let index = 0; index < 20; index++) log.append(entry(log.size));
      await expect(log.flush()).rejects.toThrow(`no space for ${failure}`);
      await log.flush();
    }
    unsubscribe('hotpath:constitution:audit-write-failed', listen);
    expect(events).toHaveLength(5);
    expect(log.stats()).toMatchObject({ failedFlushes: 5, buffered: 0, size: 100 });
    await log.close();
    expect(await verifyAuditLog(folder)).toMatchObject({ ok: true, size: 100 });
  });

  it('takes nothing for safe whose sync failed, until another one succeeded', async () => {
    const store = new FailingStore(folder);
    const log = await createAuditLog({ store, constitution, clock: createVirtualClock() });
    await log.commit(entry(0));
    log.append(entry(1));
    store.failures = ['sync', 'sync'];
    await expect(log.flush()).rejects.toThrow('no space for sync');
    await expect(log.flush()).rejects.toThrow('no space for sync');
    await log.flush();
    expect(log.stats()).toMatchObject({ flushes: 2, failedFlushes: 2, buffered: 0 });
    await log.close();
  });

  it('fails all that wait for one flush with one try, by an error that has a code and the cause', async () => {
    const store = new FailingStore(folder);
    const log = await createAuditLog({ store, constitution, clock: createVirtualClock() });
    store.failures = ['append'];
    const commits = Array.from({ length: 100 }, (_, index) => log.commit(entry(index)));
    const results = await Promise.allSettled(commits);
    expect(log.stats().failedFlushes).toBe(1);
    for (const result of results) {
      expect(result).toMatchObject({
        status: 'rejected',
        reason: {
          code: 'HOTPATH_AUDIT_UNAVAILABLE',
          family: 'unavailable',
          cause: { message: 'no space for append' },
        },
      });
    }
    await log.flush();
    expect(log.stats()).toMatchObject({ flushes: 1, buffered: 0 });
    await log.close();
    expect(await verifyAuditLog(folder)).toMatchObject({ ok: true, size: 100 });
  });

  it('tries again by itself what a commit could not write', async () => {
    const clock = createVirtualClock();
    const store = new FailingStore(folder);
    const log = await createAuditLog({ store, constitution, clock, retryIntervalMs: 400 });
    store.failures = ['append'];
    await expect(log.commit(entry(0))).rejects.toThrow('no space for append');
    await clock.advance(399);
    expect(log.stats().buffered).toBe(1);
    await clock.advance(1);
    await vi.waitFor(() => expect(log.stats()).toMatchObject({ failedFlushes: 1, flushes: 1, buffered: 0 }));
    await log.close();
    expect(clock.pendingTimers).toBe(0);
  });

  it('makes a checkpoint later when one failed, and says so', async () => {
    const clock = createVirtualClock();
    const store = new FailingStore(folder);
    const log = await createAuditLog({ store, constitution, clock, checkpointIntervalMs: 1_000 });
    await log.commit(entry(0));
    store.failures = ['checkpoint'];
    await clock.advance(1_000);
    await log.flush();
    expect(log.stats()).toMatchObject({ checkpoints: 0, failedFlushes: 1 });
    await clock.advance(1_000);
    await log.flush();
    expect(log.stats()).toMatchObject({ checkpoints: 1 });
    await log.close();
    expect(clock.pendingTimers).toBe(0);
  });

  it('tries again by itself', async () => {
    const clock = createVirtualClock();
    const store = new FailingStore(folder);
    const log = await createAuditLog({
      store,
      constitution,
      clock,
      flushIntervalMs: 50,
      retryIntervalMs: 400,
    });
    store.failures = ['append'];
    log.append(entry(0));
    await clock.advance(50);
    await log.root();
    expect(log.stats()).toMatchObject({ failedFlushes: 1, buffered: 1 });
    await clock.advance(400);
    await vi.waitFor(() => expect(log.stats()).toMatchObject({ failedFlushes: 1, buffered: 0 }));
    await log.close();
  });

  it('writes nothing once it has let go of the store, and says each time what was lost', async () => {
    const clock = createVirtualClock();
    const store = new FailingStore(folder);
    const log = await createAuditLog({ store, constitution, clock, flushIntervalMs: 50 });
    await log.commit(entry(0));
    log.append(entry(1));
    store.failures = ['append'];
    const closing = log.close();
    // The flush that the entry would have waited for comes due while the log closes.
    const due = clock.advance(50);
    await expect(closing).rejects.toThrow('no space for append');
    await due;
    await expect(log.close()).rejects.toThrow('no space for append');
    await expect(log.flush()).rejects.toThrow('no space for append');
    await expect(all(log)).rejects.toThrow('no space for append');
    expect(clock.pendingTimers).toBe(0);
    const next = await openLog();
    expect(await next.commit(entry(1))).toBe(1);
    await next.close();
    expect(await verifyAuditLog(folder)).toMatchObject({ ok: true, size: 2 });
  });

  it('refuses more when its buffer is full, and loses nothing of it', async () => {
    const store = new FailingStore(folder);
    const log = await createAuditLog({ store, constitution, maxBufferedEntries: 10 });
    for (let index = 0; index < 10; index++) log.append(entry(index));
    expect(() => log.append(entry(10))).toThrow(
      expect.objectContaining({ code: 'HOTPATH_AUDIT_BUFFER_FULL', retryAfterMs: 50 }),
    );
    expect(await log.commit(entry(10)).catch((error) => error.code)).toBe('HOTPATH_AUDIT_BUFFER_FULL');
    await log.flush();
    expect(await log.commit(entry(10))).toBe(10);
    await log.close();
    expect(await verifyAuditLog(folder)).toMatchObject({ ok: true, size: 11 });
  });
});

describe('a log whose writer died', () => {
  const file = (): string => join(folder, 'segment-000001.log');

  async function crashed(count: number): Promise<void> {
    const log = await logOf(count);
    await log.checkpoint();
    await log.close();
  }

  it('is repaired wherever the last line was torn', async () => {
    await crashed(20);
    const whole = readFileSync(file());
    const copy = join(folder, '..', `${folder.split('/').at(-1)}-copy`);
    const log = await logOf(0);
    log.append(entry(20));
    await log.flush();
    const longer = readFileSync(file());
    // Without the checkpoint that closing makes.
    cpSync(folder, copy, { recursive: true });
    await log.close();
    const places = Array.from({ length: longer.length - whole.length }, (_, place) => whole.length + place);
    // Within a character of several bytes too.
    for (const end of places.filter((place) => place % 19 === 0 || (longer[place] as number) > 127)) {
      rmSync(folder, { recursive: true });
      cpSync(copy, folder, { recursive: true });
      rmSync(join(folder, 'writer.lock'));
      truncateSync(file(), end);
      if (end > whole.length) {
        expect((await verifyAuditLog(folder)).problems).toMatchObject([{ kind: 'torn', index: 20 }]);
      }
      const repaired = await openLog();
      expect(repaired.size).toBe(20);
      expect(repaired.stats().repairedBytes).toBe(end - whole.length);
      repaired.append(entry(20));
      await repaired.close();
      expect(await verifyAuditLog(folder)).toMatchObject({ ok: true, size: 21 });
    }
    rmSync(copy, { recursive: true });
  });

  it('is repaired when a loss of power left zeros', async () => {
    await crashed(20);
    appendFileSync(file(), Buffer.alloc(4_096));
    const log = await openLog();
    expect([log.size, log.stats().repairedBytes]).toEqual([20, 4_096]);
    await log.close();
  });

  it('is sealed when it died between a full segment and its tree', async () => {
    await crashed(32);
    rmSync(join(folder, 'segment-000001.tree'));
    const log = await openLog();
    expect(log.size).toBe(32);
    await log.close();
    expect(existsSync(join(folder, 'segment-000001.tree'))).toBe(true);
  });

  it('forgets a checkpoint that was torn', async () => {
    await crashed(20);
    appendFileSync(join(folder, 'checkpoints'), '"hotpath-audit\\n21\\n');
    const log = await openLog();
    log.append(entry(20));
    await log.close();
    expect(await verifyAuditLog(folder)).toMatchObject({ ok: true, size: 21 });
  });

  it.each([
    [
      'the last entry was altered',
      (text: string): string => text.replace(/read policy 19/, 'read policy 18'),
    ],
    ['an entry was altered', (text: string): string => text.replace('"ann"', '"eve"')],
    [
      'the end was cut off behind a line',
      (text: string): string => `${text.split('\n').slice(0, 2).join('\n')}\n`,
    ],
    [
      'the end was cut off within an entry that a checkpoint covers',
      (text: string): string => text.slice(0, -20),
    ],
    ['an entry was removed', (text: string): string => text.split('\n').slice(1).join('\n')],
  ])('is refused when %s', async (_, change) => {
    await crashed(20);
    writeFileSync(file(), change(readFileSync(file(), 'utf8')));
    await expect(openLog()).rejects.toMatchObject({ code: 'HOTPATH_AUDIT_CORRUPT' });
    expect(readdirSync(folder)).not.toContain('writer.lock');
    expect(await verifyAuditLog(folder)).toMatchObject({ ok: false });
  });
});
