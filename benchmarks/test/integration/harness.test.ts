import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { spawnNode } from '@hotpath/testkit';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { benchmarksFolder } from '../../harness/discover.ts';
import { loadSuites } from '../../harness/load-suites.ts';
import { type ContenderResult, readResults, type SuiteResult } from '../../harness/results.ts';
import { runSuite, type SuiteRun } from '../../harness/run-suite.ts';

const file = fileURLToPath(new URL('../fixtures/kinds.bench.ts', import.meta.url));
const folder = mkdtempSync(join(tmpdir(), 'hotpath-bench-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

async function run(name: string, options: Partial<SuiteRun> = {}): Promise<SuiteResult> {
  const suites = await loadSuites(pathToFileURL(file));
  const suite = suites.find((candidate) => candidate.name === name) as (typeof suites)[number];
  return runSuite({ package: 'fixtures', file, suite }, { mode: 'quick', pinned: false, ...options });
}

function contender({ contenders }: SuiteResult, name: string): ContenderResult {
  return contenders.find((one) => one.name === name) as ContenderResult;
}

test('a micro suite measures time per operation, bytes, ratios and goals', async () => {
  const steps: string[] = [];
  const result = await run('micro', { mode: 'full', rounds: 2, onStep: (name) => steps.push(name) });
  const timeOf = (name: string): number => contender(result, name).figures.timeNs?.median as number;
  expect(timeOf('once')).toBeGreaterThan(20_000);
  expect(timeOf('once')).toBeLessThan(30_000);
  expect(timeOf('many')).toBeGreaterThan(20_000);
  expect(timeOf('many')).toBeLessThan(30_000);
  expect(contender(result, 'once').ratioToBestPeer).toBeGreaterThan(0.4);
  expect(contender(result, 'once').ratioToBestPeer).toBeLessThan(0.6);
  expect(contender(result, 'once').rounds).toHaveLength(2);
  expect(contender(result, 'objects').figures.bytesPerOp?.median).toBeGreaterThan(50);
  expect(result.goals).toMatchObject([{ status: 'met', contender: 'once' }]);
  expect(result.parameters).toEqual({ factor: 2 });
  // Ours first, then in turn.
  expect(steps).toEqual(['once', 'many', 'objects', 'twice', 'many', 'objects', 'twice', 'once']);
});

test('who fails has no figures, and a goal without figures is not met', async () => {
  const result = await run('broken', { mode: 'full', rounds: 1 });
  const errorOf = (name: string): string | null => contender(result, name).error;
  expect(result.contenders.map(({ status }) => status)).toEqual(Array(5).fill('failed'));
  expect(errorOf('gives a wrong result')).toContain('1 !== 2');
  expect(errorOf('throws in setup')).toContain('no set-up');
  expect(errorOf('turns wrong later')).toContain('true !== false');
  expect(errorOf('rejects aside')).toContain('stray');
  expect(errorOf('ends its process')).toContain('code 7');
  expect(result.contenders.map(({ figures }) => figures)).toEqual(Array(5).fill({}));
  expect(result.goals).toMatchObject([{ status: 'missing', value: null }]);
});

test('a throughput suite runs closed loops against servers of their own', async () => {
  const result = await run('throughput');
  const { figures, version } = contender(result, 'hotpath');
  expect(version).toMatch(/^6\./);
  expect(figures.opsPerSecond?.median).toBeGreaterThan(1_000);
  expect(figures.p99Ms?.median).toBeGreaterThanOrEqual(figures.p50Ms?.median as number);
  expect(figures.maxMs?.median).toBeGreaterThanOrEqual(figures.p99Ms?.median as number);
  expect(figures.cpuUs?.median).toBeGreaterThan(0);
  expect(figures.callers?.median).toBe(8);
  expect(figures.counterRequests?.median).toBe(1);
});

test('a scenario gives its own figures, and a figure that is no number is a failure', async () => {
  const result = await run('scenario', { mode: 'full' });
  expect(contender(result, 'one').figures.loads?.median).toBe(1);
  expect(contender(result, 'one').rounds).toHaveLength(3);
  expect(contender(result, 'nothing')).toMatchObject({
    status: 'failed',
    error: expect.stringContaining('NaN'),
  });
  expect(result.goals).toMatchObject([{ status: 'met' }]);
});

test('who waits for a killed server stalls for as long as it is away; who gives up has errors', async () => {
  const result = await run('fault-kill');
  const figureOf = (name: string, figure: string) => contender(result, name).figures[figure]?.median;
  expect(figureOf('waits', 'longestStallMs')).toBeGreaterThan(450);
  expect(figureOf('waits', 'errors')).toBe(0);
  expect(figureOf('waits', 'unsettled')).toBe(0);
  expect(figureOf('gives up', 'longestStallMs')).toBeLessThan(450);
  expect(figureOf('gives up', 'errors')).toBeGreaterThan(50);
  expect(figureOf('gives up', 'recoverMs')).toBeLessThan(1_500);
});

test('who waits for a frozen server stalls until it thaws', async () => {
  const result = await run('fault-freeze');
  const figureOf = (name: string, figure: string) => contender(result, name).figures[figure]?.median;
  expect(figureOf('waits', 'longestStallMs')).toBeGreaterThan(450);
  expect(figureOf('waits', 'errors')).toBe(0);
  expect(figureOf('gives up', 'longestStallMs')).toBeLessThan(450);
  expect(figureOf('gives up', 'errors')).toBeGreaterThan(50);
});

test('an orderly restart is played as well', async () => {
  const result = await run('fault-restart');
  expect(result.contenders.map(({ status }) => status)).toEqual(['ok', 'ok']);
  expect(contender(result, 'waits').figures.errors?.median).toBe(0);
});

test('a quick run leaves the others out when its time is over, never ours', async () => {
  const result = await run('micro', { untilMs: 0 });
  expect(contender(result, 'once').status).toBe('ok');
  expect(contender(result, 'twice').status).toBe('notRun');
  expect(result.goals).toMatchObject([{ status: 'notJudged' }]);
});

async function bench(...args: string[]): Promise<{ code: number | null; output: string }> {
  const child = spawnNode(join(benchmarksFolder, 'main.ts'), [...args, '--results', folder]);
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
  expect(worse.output).toMatch(/REGRESSION|CANNOT JUDGE: the same code/);
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
