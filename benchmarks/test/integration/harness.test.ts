import { availableParallelism } from 'node:os';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { expect, test } from 'vitest';
import { loadSuites } from '../../harness/load-suites.ts';
import type { ContenderResult, SuiteResult } from '../../harness/results.ts';
import { runSuite, type SuiteRun } from '../../harness/run-suite.ts';

const file = fileURLToPath(new URL('../fixtures/kinds.bench.ts', import.meta.url));

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

test('who hangs, dies or has no server is reported, and the others are measured all the same', async () => {
  const result = await run('stuck', { timeoutMs: 5_000 });
  const errorOf = (name: string): string | null => contender(result, name).error;
  expect(errorOf('never answers')).toContain('sent nothing within 5000 ms');
  expect(errorOf('never yields')).toContain('sent nothing within 5000 ms');
  expect(errorOf('is killed')).toContain('SIGKILL');
  expect(errorOf('has no server')).toContain('absent.ts');
  expect(contender(result, 'is well')).toMatchObject({ status: 'ok', figures: { loads: { median: 1 } } });
});

test('without its server a whole suite has failed', async () => {
  const result = await run('unserved', { mode: 'full' });
  expect(contender(result, 'is well').status).toBe('failed');
  expect(contender(result, 'is well').error).toContain('the suite failed: ');
  expect(result.goals).toMatchObject([{ status: 'missing' }]);
});

test('who does not close keeps its figures, but ours has failed', async () => {
  const result = await run('unclosed');
  expect(contender(result, 'theirs')).toMatchObject({ status: 'ok', figures: { loads: { median: 1 } } });
  expect(contender(result, 'ours').error).toContain('it did not close within');
});

test('wrong results during an outage are a figure of others, and a failure of ours', async () => {
  const result = await run('wrong-in-outage');
  expect(contender(result, 'theirs').figures.wrong?.median).toBeGreaterThan(50);
  expect(contender(result, 'ours').error).toMatch(/\d+ wrong results/);
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

// Elsewhere a process can not be kept on one core.
test.runIf(process.platform === 'linux')(
  'a contender has one core to itself when cores are assigned',
  async () => {
    const coresOf = async (pinned: boolean) =>
      contender(await run('cores', { pinned }), 'one').figures.cores?.median;
    expect(await coresOf(true)).toBe(1);
    expect(await coresOf(false)).toBe(availableParallelism());
  },
);

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
