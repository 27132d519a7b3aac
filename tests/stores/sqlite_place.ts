/** A database for each test of the SQLite store, and a client that fails on purpose. */
import { DatabaseSync, type SQLInputValue, type StatementResultingChanges, type StatementSync } from "node:sqlite";
import { newId } from "../../lib/id.ts";
import { SqliteStore, type SqliteStoreOptions } from "../../lib/stores/sqlite/store.ts";
import { fresh, set } from "./shared.ts";

/** The folder of the databases. It is removed when the tests end. */
export const dir: string = Deno.makeTempDirSync();
globalThis.addEventListener("unload", () => Deno.removeSync(dir, { recursive: true }));

/** A minute, in milliseconds. */
export const MINUTE = 60_000;

let count = 0;

/** Declares a test with its own database: it gets the path, and a function that opens stores, which are closed later. */
export function test(
  behaviour: string,
  fn: (path: string, open: (options?: SqliteStoreOptions) => SqliteStore) => Promise<void>,
  ignore = false,
): void {
  Deno.test({
    name: `sqlite store: ${behaviour}`,
    ignore,
    async fn() {
      const path = `${dir}/${count++}/sessions.db`;
      const stores: SqliteStore[] = [];
      try {
        await fn(path, (options = { path }) => {
          const store = new SqliteStore(options);
          stores.push(store);
          return store;
        });
      } finally {
        for (const store of stores) await store.close();
      }
    },
  });
}

/** A client that fails on purpose. */
export class Failing extends DatabaseSync {
  /** The statement that fails. */
  statement = "";
  /** The code of the error. */
  errcode = 0;
  /** How many more times it fails. */
  times = Infinity;
  /** How many times it failed. */
  failed = 0;
  /** Whether SQLite rolls the transaction back when the statement fails. */
  rollsBack = false;

  override prepare(sql: string): StatementSync {
    const statement = super.prepare(sql);
    const run = statement.run.bind(statement) as (...values: SQLInputValue[]) => StatementResultingChanges;
    statement.run = ((...values: SQLInputValue[]) => {
      if (sql !== this.statement || this.times-- <= 0) return run(...values);
      this.failed++;
      if (this.rollsBack) this.exec("ROLLBACK");
      throw Object.assign(new Error("on purpose"), { errcode: this.errcode });
    }) as StatementSync["run"];
    return statement;
  }
}

/** Every verb that writes, on the session of a key. */
export function writes(store: SqliteStore, key: string): Record<string, () => Promise<unknown>> {
  return {
    create: () => store.create(newId(), fresh()),
    update: () => store.update(key, set({ n: 2 })),
    touch: () => store.touch(key, Date.now() + 2 * MINUTE),
    move: () => store.move(key, newId(), set({ n: 2 })),
    delete: () => store.delete(key),
  };
}
