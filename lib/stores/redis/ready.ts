/** Whether a Redis can be used by RedisStore: every command that it needs is tried. */
import type { Log } from "../../log.ts";
import type { RedisConnection } from "./connection.ts";
import { reasonOf } from "../../_reason.ts";

/** Tries every command that the scripts use, and returns those that are refused. On a replica it fails as a verb does. */
const TRY = `
  local refused = {}
  local key = KEYS[1]
  for _, command in ipairs({
    {"SET", key, "", "PX", "1000"}, {"GET", key}, {"PEXPIRE", key, "1000"}, {"DEL", key}, {"TIME"},
    {"ZADD", key, "1", "member"}, {"ZRANGE", key, "0", "-1"}, {"ZREMRANGEBYSCORE", key, "-inf", "0"},
    {"ZREM", key, "member"},
  }) do
    local reply = redis.pcall(unpack(command))
    if type(reply) == "table" and reply.err and string.find(reply.err, "READONLY") then return reply end
    if type(reply) == "table" and reply.err then table.insert(refused, command[1] .. " " .. reply.err) end
  end
  return refused`;

/**
 * Tries every command that the store needs, on a key of its own.
 *
 * @param connection The connection.
 * @param prefix What the store's keys begin with.
 * @param log Called if live sessions may be evicted.
 * @throws {Error} if some are refused, naming all of them, or if this server cannot be used now.
 */
export async function tryCommands(connection: RedisConnection, prefix: string, log: Log): Promise<void> {
  const key = `${prefix}ready:${crypto.randomUUID()}`;
  const refusals = await connection.ask(async (client) => {
    const refused: string[] = [];
    const attempt = async (command: string, work: Promise<unknown>) => {
      await work.catch((error) => {
        if (!isForbidden(reasonOf(error))) throw error;
        refused.push(`${command} ${reasonOf(error)}`);
      });
    };
    await attempt("GET", client.get(key));
    await attempt("ZSCAN", client.zScan(key, "0", { COUNT: 1 }));
    const tried = client.eval(TRY, { keys: [key], arguments: [] });
    await attempt("EVAL", tried.then((errors) => refused.push(...errors as string[])));
    for (const master of await connection.masters(client)) {
      await attempt("PING", master.sendCommand(["PING"]));
      await attempt("SCAN", master.sendCommand(["SCAN", "0", "MATCH", key, "COUNT", "1"]));
      await attempt("DBSIZE", master.sendCommand(["DBSIZE"]));
      // Without INFO, noeviction is assumed.
      warnOfEviction(String(await master.sendCommand(["INFO", "memory"]).catch(() => "")), log);
    }
    return refused;
  });
  // A full Redis can still be used: visitors can log out.
  const [first, ...others] = refusals.filter((refusal) => !/\bOOM\b/.test(refusal));
  if (first === undefined) return;
  const commands = new Set([first, ...others].map((refusal) => refusal.split(" ", 1)[0]));
  const reason = first.slice(first.indexOf(" ") + 1);
  if (!isForbidden(reason)) throw new Error(reason);
  throw new Error(
    `the user must be allowed ${[...commands].join(", ")} on keys that begin with "${prefix}": received "${reason}"`,
  );
}

/** Whether an answer says that this user may not do that, or that no user can, in the words of any version. */
function isForbidden(reason: string): boolean {
  return /NOPERM|ACL|permission|can't (run|access)|unknown command/i.test(reason);
}

function warnOfEviction(memory: string, log: Log): void {
  if (/^maxmemory:[1-9]/m.test(memory) && !memory.includes("maxmemory_policy:noeviction")) {
    log("warn", 'Redis may evict live sessions: set its "maxmemory-policy" to noeviction');
  }
}
