import { createHash, randomBytes } from 'node:crypto';

/**
 * What the limiter needs of a Redis client; an `ioredis` `Redis` or `Cluster` fits as it is.
 *
 * The client stays the caller's: the limiter never connects, configures or closes it.
 */
export interface RedisScriptPort {
  evalsha(sha1: string, numberOfKeys: number, ...keysAndArguments: (string | number)[]): Promise<unknown>;
  eval(script: string, numberOfKeys: number, ...keysAndArguments: (string | number)[]): Promise<unknown>;
}

const RETURN_NAME_LENGTH = 12;
const KEPT_RETURNS = 16;

/**
 * A leaky bucket on the server's clock, in one string key: its level in units and the time of that level
 * in microseconds. A level is small, so its fractions stay exact where a timestamp's would not.
 *
 * KEYS[1] the bucket. ARGV: units per microsecond, burst, units that come back, units to lease at most, what
 * names this return, then one cost a call. The latest returns are kept with the level: a driver that lost its
 * connection before the answer sends them again, and they must not count twice. What is stored and was not written by it counts as nothing. First the calls are served, in order, each wholly or not at all; of what is then
 * left a quarter may be leased, so that near exhaustion nobody takes from the others what it may not need.
 * Returns a digit a call (1 allowed, 0 refused), the units leased, and the level.
 */
const SOURCE = `
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local rate, burst = tonumber(ARGV[1]), tonumber(ARGV[2])
local level, seen = 0, ''
local stored = redis.call('GET', KEYS[1])
if stored then
  local storedLevel, storedAt, storedSeen = string.match(stored, '^(%d[%d.e+-]*) (%d+)(.*)$')
  storedLevel = tonumber(storedLevel)
  if storedLevel and storedLevel < math.huge then
    local passed = now - tonumber(storedAt)
    if passed < 0 then passed = 0 end
    level, seen = storedLevel - passed * rate, storedSeen
  end
end
local returned = tonumber(ARGV[3])
if returned > 0 and not string.find(seen, ARGV[5], 1, true) then
  level = level - returned
  seen = string.sub(' ' .. ARGV[5] .. seen, 1, ${KEPT_RETURNS * (RETURN_NAME_LENGTH + 1)})
end
if level < 0 then level = 0 end
local answers = {}
for i = 6, #ARGV do
  local cost = tonumber(ARGV[i])
  if level + cost <= burst + 1e-6 then
    level = level + cost
    answers[i - 5] = '1'
  else
    answers[i - 5] = '0'
  end
end
local lease = math.min(tonumber(ARGV[4]), math.floor((burst - level) / 4))
if lease > 0 then level = level + lease else lease = 0 end
if level > 0 or seen ~= '' then
  local spare = seen == '' and 1000 or 60000
  local expiry = math.min(math.ceil(level / rate / 1000) + spare, 1e14)
  redis.call('SET', KEYS[1], string.format('%.15g %.0f', level, now) .. seen, 'PX', string.format('%.0f', expiry))
else
  redis.call('DEL', KEYS[1])
end
return { table.concat(answers), lease, string.format('%.15g', level) }
`;

const SHA1 = createHash('sha1').update(SOURCE).digest('hex');

/** What the script said. */
export interface LeaseReply {
  /** One `1` or `0` a call. */
  readonly answers: string;
  readonly leased: number;
  /** How full the bucket is, in units. */
  readonly level: number;
}

/** What one run of the script is asked for. */
export interface LeaseRequest {
  readonly key: string;
  readonly unitsPerUs: number;
  readonly burst: number;
  readonly returned: number;
  readonly wanted: number;
  readonly costs: readonly number[];
}

/** Runs the script once: by its hash, and in full where the server does not know it (a new one, a failover). */
export async function runLeaseScript(redis: RedisScriptPort, request: LeaseRequest): Promise<LeaseReply> {
  const { key, unitsPerUs, burst, returned, wanted, costs } = request;
  const given = [key, unitsPerUs, burst, returned, wanted, returned > 0 ? returnName() : '', ...costs];
  let reply: unknown;
  try {
    reply = await redis.evalsha(SHA1, 1, ...given);
  } catch (error) {
    if (!isUnknownScript(error)) throw error;
    reply = await redis.eval(SOURCE, 1, ...given);
  }
  return readReply(reply, costs.length);
}

/** Of a fixed length, so that the script can cut its list. */
function returnName(): string {
  return randomBytes((RETURN_NAME_LENGTH / 4) * 3).toString('base64url');
}

// Not the exact text: servers since version 7, proxies and drivers put words in front of it.
function isUnknownScript(error: unknown): boolean {
  return error instanceof Error && error.message.includes('NOSCRIPT');
}

function readReply(reply: unknown, calls: number): LeaseReply {
  if (Array.isArray(reply) && reply.length === 3) {
    const answers = String(reply[0]);
    const leased = Number(reply[1]);
    const level = Number(reply[2]);
    if (answers.length === calls && leased >= 0 && level >= 0) return { answers, leased, level };
  }
  throw new TypeError('the rate limiter script gave an answer of the wrong shape');
}
