import { strict as assert } from 'node:assert';
import { defineSuite } from '../harness/index.ts';

export default defineSuite({
  name: 'single-flight-join',
  title: 'Joining a flight that is under way, without waiting for it',
  kind: 'micro',
  contenders: {
    'return a promise': {
      role: 'baseline',
      setup() {
        const flight = { under: Promise.resolve(1) };
        return joined(() => flight.under, flight.under);
      },
    },
    'Map of promises': {
      role: 'limit',
      setup() {
        const under = new Promise<number>(() => {});
        const flights = new Map([['key', under]]);
        return joined(() => flights.get('key'), under);
      },
    },
    hotpath: {
      role: 'ours',
      library: '@hotpath/core',
      async setup() {
        const { singleFlight } = await import('@hotpath/core');
        const flights = singleFlight<string, number>();
        const work = () => new Promise<number>(() => {});
        const under = flights.run('key', work);
        return joined(() => flights.run('key', work), under);
      },
    },
  },
  goals: [{ figure: 'timeNs', atMost: 100 }],
});

/** Awaiting would measure the flight, not the joining, so the promise is wrapped. */
function joined(join: () => unknown, flight: unknown) {
  const holder: { promise: unknown } = { promise: undefined };
  return {
    run() {
      holder.promise = join();
      return holder;
    },
    check: () => assert.equal(holder.promise, flight),
  };
}
