/** RedisStore in a database with very many keys of other programs. */
import { assertEquals } from "@std/assert";
import { newId } from "../../lib/id.ts";
import { inSimulatedTime } from "../support/simulated_time.ts";
import { idsOf, storeClass } from "./shared.ts";

const ignore = !(Deno.env.get("TEST_ENGINES") ?? "").split(",").includes("redis");
const name = "redis: sessions are listed although the search takes longer than one call may";

Deno.test({ name, ignore, fn: listed });

async function listed(): Promise<void> {
  const key = newId();
  const now = Date.now();
  const record = { version: 1, created: now, idle: 60_000, expires: now + 60_000, deadline: now + 60_000, data: {} };
  /** A client whose SCAN takes 0.3 seconds per step, and finds a session in the last of ten steps. */
  const client = {
    isOpen: true,
    get: (name: string) =>
      Promise.resolve(name === `session:${key}` ? `${"0".repeat(20)}\n${JSON.stringify(record)}` : null),
    sendCommand: async ([, cursor]: string[]) => {
      await new Promise((resolve) => setTimeout(resolve, 300));
      const next = (Number(cursor) + 1) % 10;
      return [String(next), next === 0 ? [`session:${key}`] : []];
    },
    ...{ connect() {}, zScan() {}, eval() {}, on() {}, off() {} },
  };
  const store = new (await storeClass("redis"))({ client });
  await inSimulatedTime(async () => assertEquals(await idsOf(store.list!()), [key]));
}
