/** Clients of the shared engines for the suite: with hooks around their writes, and for changes without a store. */
import type { StoreSubject, WriteHooks } from "../../lib/store_suite.ts";
import type { SessionStore } from "../../lib/store.ts";
import { MemcachedConnection } from "../../lib/stores/memcached/connection.ts";
import { type SharedOptions, storeClass } from "./shared.ts";

/** The functions of a subject that test lost answers, corrupt records and those of later versions. */
export type Means = Required<Pick<StoreSubject, "openHooked" | "rewrite">>;

// The clients are imported by computed names, because only the lock files of the stores have them.
const POSTGRES = ["npm:postgres", "3.4.9"].join("@");
const REDIS = ["npm:@redis/client", "6.3.1"].join("@");

/** A function with hooks around each call. */
function around<Args extends unknown[], T>(work: (...args: Args) => PromiseLike<T>, { before, after }: WriteHooks) {
  return async (...args: Args): Promise<T> => {
    await before();
    const outcome = await work(...args);
    await after();
    return outcome;
  };
}

async function openOn(
  type: string,
  options: SharedOptions,
  close: () => Promise<unknown> | unknown,
): Promise<SessionStore> {
  const store = new (await storeClass(type))(options);
  const end = store.close!.bind(store);
  return Object.assign(store, { close: async () => void (await end(), await close()) });
}

/** The position of a record's text in the content of an entry. */
function editEntry(content: string, edit: (text: string) => string): string {
  const [head, text = ""] = content.split("\n");
  return `${head}\n${edit(text)}`;
}

/** For memcached. */
export function memcachedMeans(url: string | undefined, prefix: string): Means {
  const connect = () => {
    const { hostname, port } = new URL(url!);
    return new MemcachedConnection({ host: hostname, port: Number(port) });
  };
  return {
    async openHooked({ now }, hooks) {
      const connection = connect();
      const client = {
        gets: connection.gets.bind(connection),
        store: around(connection.store.bind(connection), hooks),
        delete: connection.delete.bind(connection),
      };
      return await openOn("memcached", { client, prefix, now }, () => connection.close());
    },
    async rewrite(key, edit) {
      const connection = connect();
      const { value, casUniq } = (await connection.gets(prefix + key))!;
      await connection.store("cas", prefix + key, editEntry(value, edit), { lifetime: 60, casUniq });
      connection.close();
    },
  };
}

/** For PostgreSQL. */
export function postgresMeans(url: string | undefined): Means {
  const connect = async () => (await import(POSTGRES)).default(url, { onnotice: () => {} });
  return {
    async openHooked({ now }, hooks) {
      const client = await connect();
      const plain = client.unsafe.bind(client);
      const hooked = around(plain, hooks);
      const isWrite = (statement: string) => /^\s*(insert|update|with moved)/.test(statement);
      client.unsafe = (statement: string, ...more: unknown[]) =>
        (isWrite(statement) ? hooked : plain)(statement, ...more);
      return await openOn("postgres", { client, now }, () => client.end());
    },
    async rewrite(key, edit) {
      const client = await connect();
      const [{ content }] = await client.unsafe("select content from sessions where key = $1", [key]);
      await client.unsafe("update sessions set content = $2 where key = $1", [key, editEntry(content, edit)]);
      await client.end();
    },
  };
}

/** For one Redis server. */
export function redisMeans(url: string | undefined, prefix: string): Means {
  const connect = async () => {
    const client = (await import(REDIS)).createClient({ url, disableOfflineQueue: true });
    await client.connect();
    return client;
  };
  return {
    async openHooked({ now }, hooks) {
      const client = await connect();
      client.eval = around(client.eval.bind(client), hooks);
      return await openOn("redis", { client, prefix, now }, () => client.destroy());
    },
    async rewrite(key, edit) {
      const client = await connect();
      await client.set(prefix + key, editEntry(await client.get(prefix + key), edit), { expiration: "KEEPTTL" });
      client.destroy();
    },
  };
}
