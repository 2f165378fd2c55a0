import { createHash } from 'node:crypto';

/*
 * What lies in Redis. A value begins with a head of 48 bytes that only these scripts write:
 *   0 double  when it was stored, server time in ms      32 double  the shard's head when the lease was given
 *   8 double  until when its lease stands (0: none)      40 double  the shard's head when its load began
 *  16 bytes   the lease's token
 * A value that is nothing but this head is the lease of a key without a value.
 *
 * The state of a shard is one string, "history head floor marks adopted":
 *   history  run_id of the server under which the data was last adopted
 *   head     number of the latest invalidation; microseconds of server time, made unique
 *   floor    values whose load began before this one are invalid
 *   marks    number of the latest invalidation of a tag or prefix
 *   adopted  head at the adoption: what is younger, and from an older history, was lost
 * The marks are a sorted set: member tag or prefix, score its number; member '' proves that it is whole.
 */

const PRELUDE = `
local function micros() local t = redis.call('TIME') return t[1] * 1000000 + t[2] end
local function text(n) return string.format('%.0f', n) end
local function read(key)
  local s = redis.call('GET', key)
  if not s then return nil end
  local history, head, floor, marks, adopted = string.match(s, '^(%S+) (%d+) (%d+) (%d+) (%d+)$')
  if not history then return nil end
  return {history, tonumber(head), tonumber(floor), tonumber(marks), tonumber(adopted)}
end
local function write(key, s)
  local value = s[1]..' '..text(s[2])..' '..text(s[3])..' '..text(s[4])..' '..text(s[5])
  redis.call('SET', key, value)
  return value
end
local function raised(key, us)
  local s = read(key)
  if not s then return {'-', us, us, us, us} end
  s[2] = math.max(s[2] + 1, us)
  return s
end
-- Under maxmemory a script that has begun to write may go on: an invalidation must not fail for want of memory.
local function bump(key, us)
  redis.call('PERSIST', key)
  return raised(key, us)
end
`;

/** KEYS state value...; ARGV token, lease ms, one '0' or '1' a value: lease wanted. Gives state, a value or a number each, server ms. */
const READ = `
local v = redis.call('MGET', unpack(KEYS))
local t = redis.call('TIME')
local now = t[1] * 1000 + math.floor(t[2] / 1000)
if v[1] then
  local head
  for i = 2, #v do
    local x = v[i]
    if not x then
      v[i] = 2
      if string.byte(ARGV[3], i - 1) == 49 then
        head = head or tonumber(string.match(v[1], '^%S+ (%d+)')) or 0
        local lease = struct.pack('>dd', now, now + ARGV[2])..ARGV[1]..struct.pack('>dd', head, 0)
        local set = redis.pcall('SET', KEYS[i], lease, 'PX', ARGV[2])
        if not set.err then v[i] = 1 end
      end
    elseif #x == 48 then
      v[i] = 0
    end
  end
end
v[#v + 1] = now
return v
`;

/**
 * KEYS state, value; ARGV token, lease ms, '1' to replace what is there, then of the value that the asker knows (or ''):
 * until when it is fresh, server ms, and its number. 1: granted, 0: leased by another, 2: no state, 3: there is a newer value.
 * A refreshed value is told from the known one by its expiry, which clocks at both ends blur by far less than a quarter of its life.
 */
const ACQUIRE = `${PRELUDE}
local now = math.floor(micros() / 1000)
local s = read(KEYS[1])
if not s then return 2 end
local head = struct.pack('>d', s[2])
local x = redis.call('GETRANGE', KEYS[2], 0, 60)
if #x == 61 and ARGV[3] == '0' then
  local known = tonumber(ARGV[4])
  if known and struct.unpack('>d', x) + struct.unpack('<d', x, 54) * 0.75 > known then return 3 end
  known = tonumber(ARGV[5])
  if known and struct.unpack('>d', x, 41) > known then return 3 end
end
if #x < 48 or ARGV[3] == '1' then
  redis.call('SET', KEYS[2], struct.pack('>dd', now, now + ARGV[2])..ARGV[1]..head..struct.pack('>d', 0), 'PX', ARGV[2])
  return 1
end
if redis.call('STRLEN', KEYS[2]) == 48 or struct.unpack('>d', x, 9) > now then return 0 end
redis.call('SETRANGE', KEYS[2], 8, struct.pack('>d', now + ARGV[2])..ARGV[1]..head)
return 1
`;

/** KEYS state, value; ARGV token, ms to live, value. 1: stored, 0: the lease does not stand any more. */
const FILL = `${PRELUDE}
local x = redis.call('GETRANGE', KEYS[2], 16, 39)
if string.sub(x, 1, 16) ~= ARGV[1] then return 0 end
local now = math.floor(micros() / 1000)
local head = struct.pack('>dd', now, 0)..string.rep('\\0', 16)..struct.pack('>d', 0)..string.sub(x, 17, 24)
redis.call('SET', KEYS[2], head..ARGV[3], 'PX', ARGV[2])
return 1
`;

/** KEYS state, value; ARGV token, lease ms (0: give it back). */
const RENEW = `${PRELUDE}
if redis.call('GETRANGE', KEYS[2], 16, 31) ~= ARGV[1] then return 0 end
local isBare = redis.call('STRLEN', KEYS[2]) == 48
if ARGV[2] == '0' then
  if isBare then redis.call('DEL', KEYS[2])
  else redis.call('SETRANGE', KEYS[2], 8, struct.pack('>d', 0)..string.rep('\\0', 16)) end
  return 1
end
redis.call('SETRANGE', KEYS[2], 8, struct.pack('>d', math.floor(micros() / 1000) + ARGV[2]))
if isBare then redis.call('PEXPIRE', KEYS[2], ARGV[2]) end
return 1
`;

/**
 * KEYS state, value...; ARGV publish command, channel, sender, keys as JSON, then ms to live and value each, or none to delete.
 * Gives the state. What there is no memory for is deleted, which has to be tried before anything else is written.
 */
const WRITE = `${PRELUDE}
local us = micros()
local s = raised(KEYS[1], us)
local isFull = false
for i = 2, #KEYS do
  local ttl = ARGV[2 * i + 1]
  if ttl and not isFull then
    local head = struct.pack('>dd', math.floor(us / 1000), 0)..string.rep('\\0', 16)..struct.pack('>dd', 0, s[2])
    local set = redis.pcall('SET', KEYS[i], head..ARGV[2 * i + 2], 'PX', ttl)
    if set.err and string.find(set.err, 'OOM') then isFull = true elseif set.err then return set end
  end
  if isFull or not ttl then redis.call('UNLINK', KEYS[i]) end
end
redis.call('PERSIST', KEYS[1])
local state = write(KEYS[1], s)
redis.call(ARGV[1], ARGV[2], 'k '..text(s[2])..' 0 '..ARGV[3]..' '..ARGV[4])
return state
`;

/** KEYS state, marks; ARGV publish command, channel, sender, marks as JSON, most marks, mark... Gives the state and the marks' former number. */
const MARK = `${PRELUDE}
local s = bump(KEYS[1], micros())
local before = s[4]
if not redis.call('ZSCORE', KEYS[2], '') then
  s[3] = s[2]
  redis.call('DEL', KEYS[2])
  redis.call('ZADD', KEYS[2], 0, '')
end
for i = 6, #ARGV do redis.call('ZADD', KEYS[2], s[2], ARGV[i]) end
local excess = redis.call('ZCARD', KEYS[2]) - 1 - ARGV[5]
if excess > 0 then
  local last = redis.call('ZRANGE', KEYS[2], excess, excess, 'WITHSCORES')
  s[3] = math.max(s[3], tonumber(last[2]))
  redis.call('ZREMRANGEBYRANK', KEYS[2], 1, excess)
end
s[4] = s[2]
local state = write(KEYS[1], s)
redis.call(ARGV[1], ARGV[2], 'm '..text(s[2])..' '..text(before)..' '..ARGV[3]..' '..ARGV[4])
return {state, text(before)}
`;

/** KEYS state, marks; ARGV publish command, channel, sender. Everything older than now is invalid. Gives the state. */
const CLEAR = `${PRELUDE}
local s = bump(KEYS[1], micros())
local before = s[4]
s[3] = s[2]
s[4] = s[2]
redis.call('DEL', KEYS[2])
redis.call('ZADD', KEYS[2], 0, '')
local state = write(KEYS[1], s)
redis.call(ARGV[1], ARGV[2], 'c '..text(s[2])..' '..text(before)..' '..ARGV[3]..' []')
return state
`;

/**
 * KEYS state, marks; ARGV channel, '1' on a Cluster. Binds the data to the server that runs.
 * Gives state, publish command, server ms, run_id. It publishes nothing of interest: whoever may not publish must not get further.
 */
const ADOPT = `${PRELUDE}
local info = redis.call('INFO', 'server')
local run = string.match(info, 'run_id:(%w+)') or 'unknown'
local version = string.match(info, 'redis_version:(%d+)') or '6'
local publish = 'PUBLISH'
if ARGV[2] == '1' and tonumber(version) >= 7 then publish = 'SPUBLISH' end
local us = micros()
redis.call('PERSIST', KEYS[1])
redis.call(publish, ARGV[1], 'a')
local s = read(KEYS[1])
if not s then
  s = {run, us, us, us, us}
  redis.call('DEL', KEYS[2])
elseif s[1] ~= run then
  s = {run, math.max(s[2] + 1, us), s[3], s[4], s[2]}
end
if not redis.call('ZSCORE', KEYS[2], '') then
  s[2] = math.max(s[2] + 1, us)
  s[3] = s[2]
  s[4] = s[2]
  redis.call('DEL', KEYS[2])
  redis.call('ZADD', KEYS[2], 0, '')
end
return {write(KEYS[1], s), publish, math.floor(us / 1000), run}
`;

/** KEYS state, marks; ARGV number. Gives the state, the marks younger than that, with their numbers, and whether they are whole. */
const SYNC = `
return {redis.call('GET', KEYS[1]), redis.call('ZRANGEBYSCORE', KEYS[2], '('..ARGV[1], '+inf', 'WITHSCORES'), redis.call('ZSCORE', KEYS[2], '')}
`;

/** KEYS state; ARGV '1' to ask for the server's role as well. Gives the state and the role. */
const VERIFY = `
local role = 'master'
if ARGV[1] == '1' then role = string.match(redis.call('INFO', 'replication'), 'role:(%w+)') end
return {redis.call('GET', KEYS[1]), role}
`;

/** A script and the digest by which the server knows it. */
export interface Script {
  readonly source: string;
  readonly sha: string;
}

function script(source: string): Script {
  return Object.freeze({ source, sha: createHash('sha1').update(source).digest('hex') });
}

/** Every script; each runs against one shard only. */
export const scripts: {
  readonly read: Script;
  readonly acquire: Script;
  readonly fill: Script;
  readonly renew: Script;
  readonly write: Script;
  readonly mark: Script;
  readonly clear: Script;
  readonly adopt: Script;
  readonly sync: Script;
  readonly verify: Script;
} = Object.freeze({
  read: script(READ),
  acquire: script(ACQUIRE),
  fill: script(FILL),
  renew: script(RENEW),
  write: script(WRITE),
  mark: script(MARK),
  clear: script(CLEAR),
  adopt: script(ADOPT),
  sync: script(SYNC),
  verify: script(VERIFY),
});

/** How many bytes the scripts keep in front of a value. */
export const HEAD_BYTES = 48;
/** Where in them the double stands that says when the value was stored, and which invalidation its load began after. */
export const STORED_AT_OFFSET = 0;
export const SEQUENCE_OFFSET = 40;
