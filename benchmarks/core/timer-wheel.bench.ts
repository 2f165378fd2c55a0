import { strict as assert } from 'node:assert';
import { defineSuite } from '../harness/index.ts';

const DELAY_MS = 30_000;

export default defineSuite({
  name: 'timer-wheel',
  title: 'A timeout of 30 s that is armed and disarmed',
  kind: 'micro',
  parameters: { delayMs: DELAY_MS },
  contenders: {
    'a flag': {
      role: 'baseline',
      setup() {
        const timer = { armed: false };
        return {
          run() {
            timer.armed = true;
            timer.armed = false;
            return timer;
          },
          check: () => assert.equal(timer.armed, false),
        };
      },
    },
    'setTimeout and clearTimeout': {
      role: 'peer',
      setup() {
        const onDue = (): void => {};
        return {
          run: () => clearTimeout(setTimeout(onDue, DELAY_MS)),
          check: () => assert.equal(process.getActiveResourcesInfo().includes('Timeout'), false),
        };
      },
    },
    hotpath: {
      role: 'ours',
      library: '@hotpath/core',
      async setup() {
        const { createTimerWheel, WheelTimer } = await import('@hotpath/core');
        class Timer extends WheelTimer {
          override onDue(): void {}
        }
        const wheel = createTimerWheel();
        const timer = new Timer();
        return {
          run() {
            wheel.arm(timer, DELAY_MS);
            wheel.disarm(timer);
            return timer;
          },
          check() {
            assert.equal(timer.armed, false);
            assert.equal(wheel.armedCount, 0);
            wheel.arm(timer, DELAY_MS);
            assert.equal(wheel.armedCount, 1);
            wheel.disarm(timer);
          },
        };
      },
    },
  },
  goals: [{ figure: 'timeNs', atMost: { of: 'setTimeout and clearTimeout' } }],
});
