import { expectTypeOf, it } from 'vitest';
import {
  type AuditLog,
  type CheckResult,
  type Constitution,
  createAuditLog,
  createConstitution,
  fingerprint,
  type Refusal,
} from '../../src/index.ts';

it('tells results apart by literal types, and gives back what was stamped', () => {
  const constitution = createConstitution({ active: fingerprint('a') });
  expectTypeOf(constitution).toEqualTypeOf<Constitution>();
  expectTypeOf(constitution.check).parameter(0).toEqualTypeOf<unknown>();
  expectTypeOf(constitution.check).returns.toEqualTypeOf<CheckResult>();
  expectTypeOf<Refusal>().toEqualTypeOf<'missing' | 'malformed' | 'unknown' | 'retired' | 'not-yet-valid'>();
  expectTypeOf(constitution.stamp({ accept: '*/*' })).toEqualTypeOf<{ accept: string }>();
  expectTypeOf(createAuditLog).returns.resolves.toEqualTypeOf<AuditLog>();
  // @ts-expect-error an accepted version must say its end
  createConstitution.bind(null, { active: 'a', accepted: [{ fingerprint: 'b' }] });
});
