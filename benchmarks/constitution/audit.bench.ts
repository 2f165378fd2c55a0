import { strict as assert } from 'node:assert';
import { mkdtempSync, rmSync } from 'node:fs';
import { open } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { defineSuite } from '../harness/index.ts';

const FINGERPRINT = 'sha256:raw:cdd01ef066bc6cf21ad294837e232073d8d1f07aa8a1c36da2aae997a3231a0f';
/** Entries between two waits for the disk, below what a log holds back at most. */
const CHUNK = 20_000;

const entryOf = (index: number) => ({
  who: `service-${index % 13}`,
  what: `policy:${index}`,
  decision: index % 5 === 0 ? 'deny' : 'allow',
  fingerprint: FINGERPRINT,
});

function privateFolder(): string {
  return mkdtempSync(join(tmpdir(), 'hotpath-audit-'));
}

/** Adds entries in chunks; `bufferedPerSecond` leaves the waits for the disk out, `sustainedPerSecond` does not. */
async function appendAll(
  count: number,
  append: (index: number) => void,
  flush: () => Promise<void>,
): Promise<Record<string, number>> {
  let bufferedMs = 0;
  const startedMs = performance.now();
  for (let first = 0; first < count; first += CHUNK) {
    const chunkMs = performance.now();
    for (let index = first; index < Math.min(count, first + CHUNK); index++) append(index);
    bufferedMs += performance.now() - chunkMs;
    await flush();
  }
  const sustainedMs = performance.now() - startedMs;
  return { bufferedPerSecond: (count / bufferedMs) * 1e3, sustainedPerSecond: (count / sustainedMs) * 1e3 };
}

const append = defineSuite({
  name: 'audit-append',
  title: 'Appending 200,000 decisions to the audit log, flushed to the disk every 20,000',
  kind: 'scenario',
  figure: 'bufferedPerSecond',
  better: 'higher',
  parameters: { entries: 200_000 },
  contenders: {
    'a file of JSON lines': {
      role: 'limit',
      note: 'no hash, no proof',
      async setup({ parameters, quick }) {
        const entries = quick ? CHUNK : parameters.entries;
        const folder = privateFolder();
        const file = await open(join(folder, 'log'), 'a');
        let lines: string[] = [];
        return {
          run: () =>
            appendAll(
              entries,
              (index) =>
                lines.push(JSON.stringify({ ...entryOf(index), index, time: new Date().toISOString() })),
              async () => {
                await file.write(`${lines.join('\n')}\n`);
                lines = [];
                await file.datasync();
              },
            ),
          async check() {
            assert.ok((await file.stat()).size > entries * 100);
          },
          async close() {
            await file.close();
            rmSync(folder, { recursive: true });
          },
        };
      },
    },
    hotpath: {
      role: 'ours',
      library: '@hotpath/constitution',
      async setup({ parameters, quick }) {
        const { createAuditLog } = await import('@hotpath/constitution');
        const { verifyInclusion } = await import('@hotpath/constitution/audit');
        const entries = quick ? CHUNK : parameters.entries;
        const folder = privateFolder();
        const log = await createAuditLog({ directory: folder });
        return {
          run: () =>
            appendAll(
              entries,
              (index) => log.append(entryOf(index)),
              () => log.flush(),
            ),
          async check() {
            assert.equal(log.size, entries);
            const proof = await log.inclusionProof(entries >> 1);
            assert.equal(verifyInclusion(proof, await log.root()), true);
          },
          async close() {
            await log.close();
            rmSync(folder, { recursive: true });
          },
        };
      },
    },
  },
  goals: [{ figure: 'bufferedPerSecond', atLeast: 200_000 }],
});

const PROOFS = 1_000;

const proof = defineSuite({
  name: 'audit-proof',
  title: 'An inclusion proof over 1,000,000 entries',
  kind: 'scenario',
  figure: 'medianMs',
  better: 'lower',
  timeoutMs: 120_000,
  parameters: { entries: 1_000_000, proofs: PROOFS },
  contenders: {
    hotpath: {
      role: 'ours',
      library: '@hotpath/constitution',
      async setup({ parameters, quick }) {
        const { createAuditLog } = await import('@hotpath/constitution');
        const { verifyInclusion } = await import('@hotpath/constitution/audit');
        const entries = quick ? CHUNK : parameters.entries;
        const folder = privateFolder();
        const log = await createAuditLog({ directory: folder, fsync: 'never' });
        await appendAll(
          entries,
          (index) => log.append(entryOf(index)),
          () => log.flush(),
        );
        const root = await log.root();
        return {
          async run() {
            const times = new Float64Array(PROOFS);
            for (let index = 0; index < PROOFS; index++) {
              const startedMs = performance.now();
              const found = await log.inclusionProof((index * 7_919) % entries);
              times[index] = performance.now() - startedMs;
              assert.equal(verifyInclusion(found, root), true);
            }
            times.sort();
            return {
              medianMs: times[PROOFS >> 1],
              p99Ms: times[Math.floor(PROOFS * 0.99)],
              rssBytes: process.memoryUsage.rss(),
            };
          },
          check: () => assert.equal(log.size, entries),
          async close() {
            await log.close();
            rmSync(folder, { recursive: true });
          },
        };
      },
    },
  },
  goals: [{ figure: 'medianMs', atMost: 1 }],
});

export default [append, proof];
