import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import type { AddressInfo } from 'node:net';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type NodeProcess, spawnNode } from '@hotpath/testkit';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { run } from '../../src/cli/run.ts';

const SKEWS_MS = [-700, 0, 700];
let folder: string;
let fleet: NodeProcess[] = [];

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'hotpath-fleet-'));
});
afterEach(async () => {
  await Promise.all(fleet.map((node) => node.kill()));
  fleet = [];
  rmSync(folder, { recursive: true, force: true });
});

async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  await new Promise((resolve) => server.close(resolve));
  return port;
}

interface Counts {
  readonly counts: Readonly<Record<string, number>>;
  readonly version: number;
}

async function countsOf(node: NodeProcess): Promise<Counts> {
  node.send('counts');
  return node.receive<Counts>();
}

it('rotates three real nodes with differing clocks by a rolling restart, without one refused request', async () => {
  const document = join(folder, 'constitution.md');
  const pin = join(folder, 'constitution.lock.json');
  const cli = async (...args: string[]): Promise<void> => {
    expect(await run([...args, '--pin', pin], { out: () => {}, error: (text) => expect.fail(text) })).toBe(0);
  };
  writeFileSync(document, 'Version 1\n');
  await cli('compute', document, '--write');
  const ports = await Promise.all(SKEWS_MS.map(freePort));
  const start = async (place: number): Promise<NodeProcess> => {
    const peers = ports.filter((port) => port !== ports[place]).map(String);
    const node = spawnNode(join(import.meta.dirname, 'fleet-node.ts'), [
      pin,
      String(ports[place]),
      String(SKEWS_MS[place]),
      ...peers,
    ]);
    fleet[place] = node;
    await node.receive();
    return node;
  };
  for (const place of SKEWS_MS.keys()) await start(place);

  writeFileSync(document, 'Version 2\n');
  await cli('rotate', '--lead', '8s', '--grace', '3s');
  const totals: Record<string, number> = {};
  const add = ({ counts }: Pick<Counts, 'counts'>): void => {
    for (const [key, count] of Object.entries(counts)) totals[key] = (totals[key] ?? 0) + count;
  };
  for (const place of SKEWS_MS.keys()) {
    const old = fleet[place] as NodeProcess;
    old.send('stop');
    add(await old.receive());
    await old.exited;
    await start(place);
  }
  const deadline = performance.now() + 30_000;
  const isOver = async (): Promise<boolean> => {
    const states = await Promise.all(fleet.map(countsOf));
    return states.every(({ version, counts }) => version === 2 && (counts['2:200'] ?? 0) > 200);
  };
  while (!(await isOver())) {
    expect(performance.now()).toBeLessThan(deadline);
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
  for (const node of fleet) {
    node.send('stop');
    add(await node.receive());
  }
  const { away: _, ...answered } = totals;
  expect(Object.keys(answered).sort()).toEqual(['1:200', '2:200']);
  expect(answered['1:200']).toBeGreaterThan(200);
});
