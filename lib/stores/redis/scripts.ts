/** The scripts of RedisStore. Each script runs as one step. In a Cluster, it uses only keys of one slot. */

// A session's value begins with the version of its last write, in 20 characters. After a session has moved or ended,
// its value is stored under a second key, so that the keys of live sessions can be counted.

/** How many characters a version has. */
export const VERSION_LENGTH = 20;

const FOUND = `local found = redis.call("GET", KEYS[1]) or redis.call("GET", KEYS[2])`;

/**
 * Writes a value, if the stored version is the one in ARGV[1]. If the session moves, also writes the value of its new
 * key, KEYS[3].
 *
 * A full Redis refuses a command that needs memory only if it is the first write of a script. So a value that is not
 * longer than the old one is written second, after a write that needs no memory.
 */
export const WRITE = `
  ${FOUND}
  if string.sub(found or "", 1, ${VERSION_LENGTH}) ~= ARGV[1] then return 0 end
  if ARGV[4] == "live" then
    if found and #ARGV[2] <= #found then redis.call("PEXPIRE", KEYS[1], ARGV[3]) end
    redis.call("SET", KEYS[1], ARGV[2], "PX", ARGV[3])
    return 1
  end
  redis.call("DEL", KEYS[1])
  redis.pcall("SET", KEYS[2], ARGV[2], "PX", ARGV[3])
  if KEYS[3] then redis.call("SET", KEYS[3], ARGV[5], "PX", ARGV[6]) end
  return 1`;
/** Writes a hidden value under a new key. It replaces only a hidden value of an earlier attempt. */
export const HIDE = `
  ${FOUND}
  local at = ${VERSION_LENGTH}
  if found and (string.sub(found, at + 1, at + 1) ~= ">" or string.sub(found, 1, at) > string.sub(ARGV[1], 1, at)) then
    return 0
  end
  redis.call("SET", KEYS[1], ARGV[1], "PX", ARGV[2])
  return 1`;
/** Replaces a hidden value by the visible one. */
export const SHOW = `
  if redis.call("GET", KEYS[1]) == ARGV[1] then redis.call("SET", KEYS[1], ARGV[2], "PX", ARGV[3]) end
  return 1`;
/** Adds a key to a user's set, for some milliseconds by the clock of Redis. Removes the keys whose time is over. */
export const NOTE = `
  local time = redis.call("TIME")
  local now = time[1] * 1000 + math.floor(time[2] / 1000)
  redis.call("ZREMRANGEBYSCORE", KEYS[1], "-inf", string.format("%d", now))
  redis.call("ZADD", KEYS[1], string.format("%d", now + ARGV[2]), ARGV[1])
  local last = redis.call("ZRANGE", KEYS[1], -1, -1, "WITHSCORES")[2]
  redis.call("PEXPIRE", KEYS[1], string.format("%d", last - now))
  return 1`;
/** Removes keys from a user's set. */
export const FORGET = `return redis.call("ZREM", KEYS[1], unpack(ARGV))`;
