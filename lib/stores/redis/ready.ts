/** Checks whether RedisStore can use a Redis: tries every command that the store needs. */
import type { Log } from "../../log.ts";
import type { RedisConnection } from "./connection.ts";
import { reasonOf } from "../../_reason.ts";

/** Tries every command that the scripts use, and returns the refused ones. On a replica it fails as a verb does. */
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
 * Tries every command that the store needs, on a key that is not used otherwise.
 *
 * @param connection The connection.
 * @param prefix The prefix of the store's keys.
 * @param log Called if live sessions may be evicted.
 * @throws {Error} if this server cannot be used now, or refuses commands. The message names all refused commands.
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
    for (const master of await Promise.all(connection.masters(client))) {
      await attempt("PING", master.sendCommand(["PING"]));
      await attempt("SCAN", master.sendCommand(["SCAN", "0", "MATCH", key, "COUNT", "1"]));
      await attempt("DBSIZE", master.sendCommand(["DBSIZE"]));
      // If INFO is refused, noeviction is assumed.
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

/** Whether an error says that this user, or every user, may not use a command. The words differ between versions. */
function isForbidden(reason: string): boolean {
  return /NOPERM|ACL|permission|can't (run|access)|unknown command/i.test(reason);
}

function warnOfEviction(memory: string, log: Log): void {
  if (/^maxmemory:[1-9]/m.test(memory) && !memory.includes("maxmemory_policy:noeviction")) {
    log("warn", 'Redis may evict live sessions: set its "maxmemory-policy" to noeviction');
  }
}
