import { systemClock } from '@hotpath/core';
import { type RedisServer, startRedis } from '@hotpath/testkit';
import { Redis } from 'ioredis';
import { afterEach, beforeEach, expect, test } from 'vitest';
import type { RedisClient } from '../../src/index.ts';
import { Counters } from '../../src/internal/counters.ts';
import { Link, type LinkOptions } from '../../src/internal/link.ts';
import { until } from '../fixtures/fleet.ts';

let server: RedisServer;
let link: Link;

beforeEach(async () => {
  server = await startRedis();
});
afterEach(async () => {
  await link.close();
  await server[Symbol.asyncDispose]();
});

function open(options: Partial<LinkOptions>): void {
  const redis = new Redis({ port: server.port, lazyConnect: true });
  link = new Link(
    redis as RedisClient,
    {},
    {
      clock: systemClock,
      counters: new Counters(),
      softDeadlineMs: 2_000,
      hardDeadlineMs: 4_000,
      recover: async () => {},
      repeat: async () => {},
      isInStep: () => true,
      onState: () => {},
      onSlow: () => {},
      ...options,
    },
  );
}

test('a link takes changes while what could not be done is repeated, and is up when nothing is left of it', async () => {
  const seen: string[] = [];
  const note = (what: string, { state, takesChanges }: Link): void => {
    seen.push(`${what}: ${state}${takesChanges ? ', takes changes' : ''}`);
  };
  let left = 3;
  open({
    recover: async (given) => note('recover', given),
    repeat: async (given) => {
      note('repeat', given);
      await given.send('PING', []);
      left--;
    },
    isInStep: () => left === 0,
    onState: (given) => note('state', given),
  });
  expect(link.takesChanges).toBe(false);
  await until(() => link.state === 'up');
  expect(seen).toEqual([
    'recover: recovering',
    ...Array(3).fill('repeat: recovering, takes changes'),
    'state: up, takes changes',
  ]);
  link.fail('lost');
  expect(seen.at(-1)).toBe('state: down');
});
