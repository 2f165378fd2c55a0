import { describe, expect, it } from 'vitest';
import { outcomeOf } from '../../src/decisions.ts';
import type { Finding } from '../../src/evidence.ts';

const known = (score: number): Finding => ({ status: 'ok', score });
const missing: Finding = { status: 'unavailable', code: 'HOTPATH_DEADLINE' };
const active = { status: 'active' } as const;

describe('the outcome of a decision', () => {
  it('allows only under an active policy with complete, low evidence', () => {
    expect(outcomeOf(active, [known(0), known(0.49), known(0.2)])).toBe('allow');
    expect(outcomeOf({ status: 'draft' }, [known(0), known(0), known(0)])).toBe('deny');
    expect(outcomeOf({ status: 'retired' }, [known(0), known(0), known(0)])).toBe('deny');
  });

  it('asks for a review when evidence is missing or mixed', () => {
    expect(outcomeOf(active, [known(0), missing, known(0)])).toBe('review');
    expect(outcomeOf(active, [missing, missing, missing])).toBe('review');
    expect(outcomeOf(active, [known(0.5), known(0), known(0)])).toBe('review');
  });

  it('denies on one high score, whatever is missing', () => {
    expect(outcomeOf(active, [known(0.7), missing, known(0)])).toBe('deny');
  });
});
