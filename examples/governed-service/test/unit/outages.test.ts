import { deadlineError, RejectedError, UnavailableError, UpstreamError } from '@hotpath/core';
import pg from 'pg';
import { describe, expect, it } from 'vitest';
import { isOutage, outageText } from '../../src/outages.ts';

function databaseError(code: string, message = 'refused'): Error {
  return Object.assign(new pg.DatabaseError(message, 0, 'error'), { code, severity: 'ERROR' });
}

describe('an outage', () => {
  const passing = [
    '08006',
    '25006',
    '28P01',
    '3D000',
    '40001',
    '40P01',
    '53100',
    '53300',
    '55P03',
    '57014',
    '57P03',
    '58030',
  ];
  for (const state of passing) {
    it(`${state} passes, also as the cause of a failed index`, () => {
      expect(isOutage(databaseError(state))).toBe(true);
      expect(
        isOutage(new UpstreamError('HOTPATH_PG_INDEX_FAILED', 'x', { cause: databaseError(state) })),
      ).toBe(true);
    });
  }

  for (const state of ['22P02', '23505', '42501', '42P01', '25001', '54001', 'XX000']) {
    it(`${state} does not`, () => expect(isOutage(databaseError(state))).toBe(false));
  }

  it('is what is away, late or full, and nothing that only looks like it', () => {
    expect(isOutage(new UnavailableError('HOTPATH_PG_DOWN', 'x'))).toBe(true);
    expect(isOutage(new RejectedError('HOTPATH_PG_QUEUE_FULL', 'x'))).toBe(true);
    expect(isOutage(deadlineError(1))).toBe(true);
    for (const other of [
      new Error('x'),
      new UpstreamError('HOTPATH_X', 'x'),
      { code: '53100' },
      null,
      undefined,
      '53100',
    ]) {
      expect(isOutage(other)).toBe(false);
    }
  });

  it('of a log-in asks for DATABASE_URL, directly or as a cause', () => {
    const refused = databaseError('28P01', 'password authentication failed');
    expect(outageText(refused)).toBe('password authentication failed; is DATABASE_URL right?');
    expect(outageText(new UnavailableError('HOTPATH_PG_DOWN', 'down', { cause: refused }))).toBe(
      'down; is DATABASE_URL right?',
    );
    expect(outageText(databaseError('53100', 'disk full'))).toBe('disk full');
  });
});
