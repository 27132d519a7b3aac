/** The scripts of RedisStore. Each runs as one step, and uses keys of one slot, as a Cluster needs it. */
import { encode } from "../../record.ts";

// A session is the marks of its last writers and a record's text, with its end as the key's time to live, by the clock of
// Redis: using it is one PEXPIRE, and Redis removes it. While the deadline cuts the idle limit short, the text holds the
// idle limit, too.

/** What the texts of records begin with that this version can read. */
const READABLE = /^[^,]*,/.exec(encode({ data: {}, created: 0, idle: 0, expires: 0, deadline: 0 }))![0];

/** It has the same outcome when it runs twice, so it can be repeated after a lost answer. */
export const CREATE = `
  local found = redis.call("GET", KEYS[1])
  if found then return found == ARGV[1] and 1 or 0 end
  redis.call("SET", KEYS[1], ARGV[1], "PX", ARGV[2])
  return 1`;
export const REPLACE = `
  if redis.call("GET", KEYS[1]) ~= ARGV[1] then return 0 end
  redis.call("SET", KEYS[1], ARGV[2], "PX", ARGV[3])
  return 1`;
export const TOUCH = `
  local head = redis.call("GETRANGE", KEYS[1], 0, 399)
  local deadline = tonumber(string.match(head, '"deadline":(%d+)'))
  if not deadline or not string.find(head, '\\n${READABLE}', 1, true) then return 0 end
  local expires = tonumber(ARGV[1])
  local left = math.min(expires, deadline) - ARGV[2]
  if left <= 0 then return 0 end
  if expires < deadline then return redis.call("PEXPIRE", KEYS[1], string.format("%d", left)) end
  local text = string.gsub(redis.call("GET", KEYS[1]), '"expires":[%d.]+', '"expires":' .. ARGV[1], 1)
  redis.call("SET", KEYS[1], text, "PX", string.format("%d", left))
  return 1`;
/**
 * Ends sessions: each has two keys, its own and one for a mark, which tells which verb ended it for as long as that verb
 * may repeat the script. What needs space comes after DEL, because a full Redis refuses only what comes first.
 */
export const END = `
  local ended = {}
  for i = 1, #KEYS, 2 do
    local text = redis.call("GET", KEYS[i])
    if text then
      redis.call("DEL", KEYS[i])
      redis.pcall("SET", KEYS[i + 1], ARGV[1], "PX", ARGV[2])
    end
    table.insert(ended, text or redis.call("GET", KEYS[i + 1]) == ARGV[1] and "")
  end
  return ended`;
/** Ends a session if it is as expected, and makes another in the same step where one step can use both keys. */
export const RELEASE = `
  local text = redis.call("GET", KEYS[1])
  if not text then return redis.call("GET", KEYS[2]) == ARGV[1] and "done" or "gone" end
  if text ~= ARGV[3] then return "changed" end
  redis.call("DEL", KEYS[1])
  redis.pcall("SET", KEYS[2], ARGV[1], "PX", ARGV[2])
  if KEYS[3] then redis.call("SET", KEYS[3], ARGV[4], "PX", ARGV[5]) end
  return "done"`;
/** Notes a key until its deadline, by the clock of Redis, and drops those whose deadline is over. */
export const NOTE = `
  local time = redis.call("TIME")
  local now = time[1] * 1000 + math.floor(time[2] / 1000)
  redis.call("ZREMRANGEBYSCORE", KEYS[1], "-inf", string.format("%d", now - ARGV[3]))
  redis.call("ZADD", KEYS[1], string.format("%d", now + ARGV[2]), ARGV[1])
  local last = redis.call("ZRANGE", KEYS[1], -1, -1, "WITHSCORES")[2]
  redis.call("PEXPIRE", KEYS[1], string.format("%d", last - now + ARGV[3]))
  return 1`;
export const KEEP = `return redis.call("SET", KEYS[1], ARGV[1], "PX", ARGV[2]) and 1`;
export const FORGET = `return redis.call("ZREM", KEYS[1], unpack(ARGV))`;
export const EXPIRE = `return redis.call("PEXPIRE", KEYS[1], ARGV[1])`;
