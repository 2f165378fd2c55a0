// Wraps calls to a service that goes down: retries while it blinks, refuses at once while it is away.
import { isHotpathError } from '@hotpath/core';
import { circuitBreaker, exponentialBackoff, pipeline, retry, timeout } from '@hotpath/resilience';

let isDown = false;
let calls = 0;
const askPrice = async (): Promise<number> => {
  calls++;
  if (isDown) throw new Error('connection refused');
  return 42;
};

const guarded = pipeline(
  retry({ attempts: 2, backoff: exponentialBackoff({ baseMs: 5 }) }),
  circuitBreaker({ minimumCalls: 5, failureRatio: 0.5 }),
  timeout(500),
);

console.log(await guarded.execute(askPrice));

isDown = true;
let refused = 0;
for (let call = 0; call < 20; call++) {
  try {
    await guarded.execute(askPrice);
  } catch (error) {
    if (isHotpathError(error, 'HOTPATH_CIRCUIT_OPEN')) refused++;
  }
}
console.log(`20 calls, ${calls - 1} attempts reached the service, ${refused} calls were refused at once`);
await guarded.close();
