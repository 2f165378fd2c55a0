import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { type NodeProcess, spawnNode } from '@hotpath/testkit';
import { Ajv } from 'ajv';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { benchmarksFolder } from '../../harness/discover.ts';
import { readResults, type SuiteResult } from '../../harness/results.ts';

const folder = mkdtempSync(join(tmpdir(), 'hotpath-bench-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const start = (...args: string[]): NodeProcess => spawnNode(join(benchmarksFolder, 'main.ts'), args);

async function bench(...args: string[]): Promise<{ code: number | null; output: string }> {
  const child = start(...args, '--results', folder);
  const { code } = await child.exited;
  return { code, output: child.stdout + child.stderr };
}

const latest = join(folder, 'latest.json');

beforeAll(async () => {
  const { code, output } = await bench('core', '--suite', 'timer-wheel', '--rounds', '2');
  expect(output).toContain('core / timer-wheel');
  expect(code).toBe(0);
});

test('the command writes results with machine and versions, and a page', () => {
  const results = readResults(latest);
  expect(results.mode).toBe('full');
  const measured = results.suites.filter(({ measuredAt }) => measuredAt !== null);
  expect(measured.map(({ name }) => name)).toEqual(['timer-wheel']);
  expect(measured[0]?.machine?.node).toBe(process.version);
  expect(results.suites.length).toBeGreaterThan(30);
  expect(results.suites.flatMap(({ goals }) => goals).filter(({ status }) => status === 'met')).toHaveLength(
    1,
  );
  expect(readFileSync(join(folder, 'index.html'), 'utf8')).toContain('timer-wheel');
});

test('what the command writes keeps to the documented schema', () => {
  const schema = JSON.parse(readFileSync(join(benchmarksFolder, 'results.schema.json'), 'utf8'));
  const ajv = new Ajv({ allowUnionTypes: true, strictTypes: false });
  ajv.validate(schema, JSON.parse(readFileSync(latest, 'utf8')));
  expect(ajv.errors).toBe(null);
});

test('a quick run leaves the latest results alone, and can be written elsewhere', async () => {
  const before = readFileSync(latest, 'utf8');
  const json = join(folder, 'elsewhere.json');
  const { code, output } = await bench('core', '--quick', '--json', json);
  expect(output).toContain('not judged');
  expect(code).toBe(0);
  expect(readResults(json).mode).toBe('quick');
  expect(readFileSync(latest, 'utf8')).toBe(before);
});

test('results are compared with earlier ones, and what is missing can not be judged', async () => {
  const earlier = join(folder, 'earlier.json');
  const results = readResults(latest);
  const suite = results.suites.find(({ name }) => name === 'timer-wheel') as SuiteResult;
  // As if ours had cost a third: five rounds of it.
  const contenders = suite.contenders.map((one) => {
    const rounds = Array.from({ length: 5 }, (_, round) => {
      const { timeNs = Number.NaN } = one.rounds[round % 2] ?? {};
      return { timeNs: (one.role === 'ours' ? timeNs / 3 : timeNs) * (1 + round / 1_000) };
    });
    return { ...one, rounds };
  });
  writeFileSync(earlier, JSON.stringify({ ...results, suites: [{ ...suite, contenders }] }));
  const worse = await bench('core', '--suite', 'timer-wheel', '--against', earlier, '--rounds', '5');
  // On a busy machine the noise may hide even this; what it may not be is a pass.
  expect(worse.output).toMatch(
    /REGRESSION|CANNOT JUDGE: (the same code differs|others|the figures scatter|a second run says)/,
  );
  expect(worse.output).toContain('not shown to be free of regressions');
  expect(worse.code).toBe(1);
  const other = await bench('core', '--suite', 'gather', '--against', earlier);
  expect(other.output).toContain('CANNOT JUDGE: the suite is not in the earlier run');
  expect(other.code).toBe(1);
});

test.each([
  [['nowhere'], 'no suites for nowhere'],
  [['core', '--suite', 'nothing'], 'no suite of the name nothing'],
  [['--rounds', '0'], '--rounds must be'],
  [['--quick', '--against', 'x'], 'too short'],
  [['core', '--against', '/nowhere.json'], '/nowhere.json'],
  [['--wrong'], '--wrong'],
])('the command refuses %j', async (args, complaint) => {
  const { code, output } = await bench(...args);
  expect(output).toContain(complaint);
  expect(code).toBe(2);
});

test('a second run of other suites keeps what the first measured', async () => {
  const before = readResults(latest).suites.find(({ name }) => name === 'timer-wheel');
  await bench('core', '--suite', 'single-flight-join', '--rounds', '1');
  const measured = readResults(latest).suites.filter(({ measuredAt }) => measuredAt !== null);
  expect(measured.map(({ name }) => name)).toEqual(['single-flight-join', 'timer-wheel']);
  expect(measured[1]).toEqual(before);
});

/** All processes below one, with what they were started as. */
function descendantsOf(root: number): { pid: number; args: string }[] {
  const lines = execFileSync('ps', ['-A', '-o', 'pid=,ppid=,args='], { encoding: 'utf8' }).split('\n');
  const all = lines.map((line) => /^\s*(\d+)\s+(\d+)\s+(.*)$/.exec(line) ?? []);
  const found: { pid: number; args: string }[] = [];
  const parents = new Set([root]);
  // A child has not always a larger id than its parent, so until nothing is added.
  for (let size = 0; size !== parents.size; ) {
    size = parents.size;
    for (const [, pid, parent, args = ''] of all) {
      if (parents.has(Number(pid)) || !parents.has(Number(parent))) continue;
      parents.add(Number(pid));
      found.push({ pid: Number(pid), args });
    }
  }
  return found;
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return !/^Z/.test(execFileSync('ps', ['-o', 'stat=', '-p', String(pid)], { encoding: 'utf8' }));
  } catch {
    return false;
  }
}

test('Ctrl-C ends a run and every process that it started: contender, servers, and what these started', async () => {
  const child = start('service', '--results', join(folder, 'stopped'));
  let started = descendantsOf(child.pid);
  const expected = [/child\.ts/, /bare-server/, /governed-service/, /redis|valkey/, /postgres/];
  while (!expected.every((pattern) => started.some(({ args }) => pattern.test(args)))) {
    await delay(100);
    started = [...new Map([...started, ...descendantsOf(child.pid)].map((one) => [one.pid, one])).values()];
  }
  await child.kill('SIGINT');
  expect(await child.exited).toEqual({ code: 130, signal: null });
  const alive = () => started.filter(({ pid }) => isAlive(pid));
  const giveUpMs = performance.now() + 20_000;
  while (alive().length > 0 && performance.now() < giveUpMs) await delay(50);
  expect(alive()).toEqual([]);
});

test('a run that is stopped keeps the suites that it had measured whole', async () => {
  const results = join(folder, 'half');
  const child = start('core', '--rounds', '1', '--results', results);
  while (!child.stdout.includes('core / batcher')) await delay(20);
  await child.kill('SIGTERM');
  expect((await child.exited).code).toBe(143);
  const measured = readResults(join(results, 'latest.json')).suites.filter(({ tookMs }) => tookMs !== null);
  expect(measured.map(({ name }) => name)).toContain('batcher');
  expect(measured.length).toBeLessThan(4);
});

test('publishing writes the marked sections of READMEs, and a check finds one that differs', async () => {
  const root = join(folder, 'root');
  const marked = '# A\n\n<!-- performance:begin -->\n<!-- performance:end -->\n\nrest\n';
  const texts = {
    'README.md': marked,
    'packages/core/README.md': marked,
    'packages/http/README.md': '# Unmarked\n',
  };
  for (const [path, text] of Object.entries(texts)) {
    mkdirSync(dirname(join(root, path)), { recursive: true });
    writeFileSync(join(root, path), text);
  }
  const read = (path: string): string => readFileSync(join(root, path), 'utf8');
  const publish = async (...args: string[]) => {
    const options = ['--root', root, '--results', latest];
    const child = spawnNode(join(benchmarksFolder, 'publish.ts'), [...options, ...args]);
    return { ...(await child.exited), output: child.stderr };
  };
  expect(await publish('--check')).toMatchObject({ code: 1, output: expect.stringContaining('differ') });
  expect(read('README.md')).toBe(marked);
  expect(await publish()).toMatchObject({ code: 0 });
  for (const path of ['README.md', 'packages/core/README.md']) {
    expect(read(path)).toContain('A timeout of 30 s that is armed and disarmed |');
  }
  expect(read('packages/core/README.md')).not.toContain('Fastify');
  expect(read('packages/http/README.md')).toBe('# Unmarked\n');
  expect(await publish('--check')).toMatchObject({ code: 0 });
  writeFileSync(
    join(root, 'packages/core/README.md'),
    read('packages/core/README.md').replace(' ns', ' ns!'),
  );
  expect(await publish('--check')).toMatchObject({
    code: 1,
    output: expect.stringMatching(/core\/README\.md; run pnpm bench:publish/),
  });
});
