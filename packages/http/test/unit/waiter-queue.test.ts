import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { Waiter, WaiterQueue } from '../../src/internal/waiter-queue.ts';

class Somebody extends Waiter {
  readonly priority: number;
  readonly order: number;
  constructor(priority: number, order: number) {
    super();
    this.priority = priority;
    this.order = order;
  }
  override onConnection(): void {}
  override onConnectFailure(): void {}
}

describe('the queue', () => {
  it('gives out by priority, then by arrival, whoever leaves in between', () => {
    const action = fc.oneof(
      fc.record({ join: fc.integer({ min: 0, max: 9 }) }),
      fc.record({ leave: fc.nat(30) }),
      fc.constant('shift' as const),
    );
    fc.assert(
      fc.property(fc.array(action, { maxLength: 60 }), (actions) => {
        const queue = new WaiterQueue();
        const model: Somebody[] = [];
        let order = 0;
        for (const one of actions) {
          if (one === 'shift') {
            model.sort((a, b) => b.priority - a.priority || a.order - b.order);
            expect(queue.shift()).toBe(model.shift());
          } else if ('join' in one) {
            const waiter = new Somebody(one.join, order++);
            queue.push(waiter);
            model.push(waiter);
          } else if (model.length > 0) {
            const [waiter] = model.splice(one.leave % model.length, 1);
            queue.remove(waiter!);
            queue.remove(waiter!);
          }
          expect(queue.size).toBe(model.length);
        }
      }),
    );
  });
});
