/** A real PostgreSQL server for the tests of its store, with a database for each test. */
import type { SessionStore } from "../../lib/store.ts";
import { Engine, PASSWORD } from "./engines.ts";
import { type SharedOptions, storeClass } from "./shared.ts";

const ignore = !(Deno.env.get("TEST_ENGINES") ?? "").split(",").includes("postgres");

/** The server, while tests run. */
export let engine: Engine;
Deno.test.beforeAll(async () => {
  if (!ignore) engine = await Engine.start("postgres", ["-c", "listen_addresses=127.0.0.1,::1"]);
});
Deno.test.afterAll(async () => {
  if (!ignore) await engine[Symbol.asyncDispose]();
});

/** Declares a test with its own database. The test gets the name of the database. */
export function test(behaviour: string, fn: (database: string) => Promise<void>): void {
  Deno.test({
    name: `postgres store: ${behaviour}`,
    ignore,
    async fn() {
      const database = `test_${crypto.randomUUID().replaceAll("-", "")}`;
      await say("postgres", `create database ${database}`);
      try {
        await fn(database);
      } finally {
        await say("postgres", `drop database ${database} with (force)`);
      }
    },
  });
}

/** Sends a statement to the server, as an operator would. Returns the rows as strings, with "|" between the values. */
export async function say(database: string, sql: string): Promise<string[]> {
  const { success, stdout, stderr } = await new Deno.Command("psql", {
    args: [
      "-h",
      "127.0.0.1",
      "-p",
      `${engine.port}`,
      "-U",
      "tester",
      "-d",
      database,
      "-qAtX",
      "-v",
      "ON_ERROR_STOP=1",
      "-c",
      sql,
    ],
    env: { PGPASSWORD: PASSWORD },
  }).output();
  if (!success) throw new Error(new TextDecoder().decode(stderr));
  return new TextDecoder().decode(stdout).split("\n").filter(Boolean);
}

/** The address of a database. The options change parts of it. */
export function urlOf(
  database: string,
  { port = engine.port, user = "tester", host = "127.0.0.1", more = "" } = {},
): string {
  return `postgres://${user}:${PASSWORD}@${host}:${port}/${database}${more}`;
}

/** A store that is closed at the end of the block. */
export async function open(options: SharedOptions): Promise<SessionStore & AsyncDisposable> {
  const store = new (await storeClass("postgres"))(options);
  return Object.assign(store, { [Symbol.asyncDispose]: async () => await store.close!() });
}
