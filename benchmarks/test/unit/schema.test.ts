import { readFileSync } from 'node:fs';
import { Ajv } from 'ajv';
import { expect, test } from 'vitest';
import { discover } from '../../harness/discover.ts';
import { collect } from '../../harness/latest.ts';
import { type Results, SCHEMA } from '../../harness/results.ts';
import { contenderOf, resultsOf, suiteOf } from './results-of.ts';

const schema = JSON.parse(readFileSync(new URL('../../results.schema.json', import.meta.url), 'utf8'));
const validate = new Ajv({ allErrors: true, allowUnionTypes: true, strictTypes: false }).compile(schema);

function complaintsOf(results: unknown): string[] {
  validate(JSON.parse(JSON.stringify(results)));
  return (validate.errors ?? []).map(({ instancePath, message }) => `${instancePath} ${message}`);
}

const us = contenderOf('us', 'ours', [{ timeNs: 75 }, { timeNs: 76 }]);
const goal = {
  text: 'time at most 80 ns',
  contender: 'us',
  figure: 'timeNs',
  status: 'met',
  value: 75.5,
  bound: 80,
} as const;
const right = resultsOf([suiteOf([us, contenderOf('them', 'peer', [])], { goals: [goal] })]);

test('results keep to the documented schema', () => {
  expect(complaintsOf(right)).toEqual([]);
  expect(schema.definitions.results.properties.schema.const).toBe(SCHEMA);
});

test('the results that are published keep to the documented schema', () => {
  const latest = JSON.parse(
    readFileSync(new URL('../../results/latest.json', import.meta.url), 'utf8'),
  ) as Results;
  expect(complaintsOf(latest)).toEqual([]);
});

test('suites that are not measured yet keep to it as well, with all their goals', async () => {
  const { all, broken } = await discover([], undefined);
  expect(broken).toEqual([]);
  const results = collect(all, broken, new Map(), []);
  expect(complaintsOf(results)).toEqual([]);
  const goals = results.suites.flatMap((suite) => suite.goals);
  expect(goals).toHaveLength(all.flatMap(({ suite }) => suite.goals ?? []).length);
  expect(new Set(goals.map(({ status }) => status))).toEqual(new Set(['notMeasured']));
});

test.each<[string, (results: { suites: Record<string, unknown>[] }) => void, string]>([
  ['an unknown field', (results) => Object.assign(results, { when: 1 }), 'additional'],
  ['another schema', (results) => Object.assign(results, { schema: 1 }), '/schema'],
  [
    'a date that is none',
    ({ suites }) => Object.assign(suites[0] ?? {}, { measuredAt: 'today' }),
    'measuredAt',
  ],
  ['no machine', ({ suites }) => delete suites[0]?.machine, "'machine'"],
  [
    'a figure that is no number',
    ({ suites }) => Object.assign(suites[0] ?? {}, { contenders: [{ ...us, rounds: [{ timeNs: null }] }] }),
    'timeNs must be number',
  ],
  [
    'figures of who failed',
    ({ suites }) => Object.assign(suites[0] ?? {}, { contenders: [{ ...us, status: 'failed', error: 'x' }] }),
    'rounds must NOT have more than 0',
  ],
  [
    'a goal that is met without a figure',
    ({ suites }) => Object.assign(suites[0] ?? {}, { goals: [{ ...goal, value: null }] }),
    'value must be number',
  ],
])('the schema refuses %s', (_, spoil, complaint) => {
  const wrong = structuredClone(right) as unknown as { suites: Record<string, unknown>[] };
  spoil(wrong);
  expect(complaintsOf(wrong).join('\n')).toContain(complaint);
});
