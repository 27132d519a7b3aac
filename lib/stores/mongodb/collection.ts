/** MongoCollection: connects to the collection of a store, and creates its indexes. Only this file loads the client. */
// deno-lint-ignore no-import-prefix -- an entry in deno.json would make every program download it
import type { Collection, CreateIndexesOptions } from "npm:mongodb@7.9.0";
import { reasonOf } from "../../_reason.ts";
import type { Log } from "../../log.ts";
import { CLOCK_SKEW } from "../../record.ts";
import { loadClient } from "../_client.ts";
import { CALL_DEADLINE, DEADLINE } from "../_deadline.ts";
import { checkCollection } from "../_names.ts";
import { checkAddress } from "./address.ts";

/** The parts of a client that the store uses: a `MongoClient` of the package `mongodb`, of this or another version. */
export interface MongoConnection {
  /** Connects, unless it is connected. */
  connect(): Promise<unknown>;
  /** Returns its default database. */
  db(): { collection(name: string, options: object): unknown; command(command: object): Promise<object> };
  /** Closes its connections. */
  close(): Promise<void>;
}

/** A stored entry. Its `_id` is the key. */
export interface Document {
  _id: string;
  content: string;
  version: string;
  /** When MongoDB may remove it. */
  sweepAt: Date;
  /** The hash of the session's user, even if the session moved or ended. */
  user?: string | undefined;
  /** The times of a live session. */
  created?: number;
  used?: number;
  expires?: number;
  deadline?: number;
  /** The session's old key, while this entry is the new one of a move that is not complete. */
  from?: string;
}

/** MongoDB's error code for "the collection does not exist". */
const NO_COLLECTION = 26;

/** The options of a {@linkcode MongoCollection}. `MongoStoreOptions` describes them. */
export interface MongoCollectionOptions {
  readonly url?: string | undefined;
  readonly client?: MongoConnection | undefined;
  readonly collection?: string | undefined;
  readonly log: Log;
}

/** A collection. It connects at its first use. */
export class MongoCollection {
  /** The name of the server, for messages. */
  readonly name: string;
  #client: MongoConnection | undefined;
  #url: string | undefined;
  #collection: string;
  #log: Log;
  #documents: Collection<Document> | undefined;
  #opening: Promise<void> | undefined;

  /** @param options The address or the client, the name of the collection, and the log. */
  constructor(options: MongoCollectionOptions) {
    const { url, client, collection = "sessions", log } = options;
    checkCollection(collection);
    this.name = client === undefined ? `MongoDB at ${checkAddress(url!)}` : "MongoDB";
    this.#client = client;
    this.#url = client === undefined ? url : undefined;
    this.#collection = collection;
    this.#log = log;
  }

  /** Connects, unless it is connected. */
  open(): Promise<void> | undefined {
    if (this.#documents !== undefined) return undefined;
    return this.#opening ??= this.#open().finally(() => this.#opening = undefined);
  }

  /** The collection. `open` must have connected before. */
  get documents(): Collection<Document> {
    return this.#documents!;
  }

  /** Closes the connections. A client that the program gave stays open. */
  async close(): Promise<void> {
    if (this.#url !== undefined) await this.#client?.close();
  }

  async #open(): Promise<void> {
    const client = this.#client ??= await makeClient(this.#url!);
    await client.connect();
    const database = client.db();
    if ("ferretdbVersion" in await database.command({ buildInfo: 1 })) {
      throw new Error(
        "FerretDB 1 can bring ended sessions back, because it reads and writes in two steps: use version 2",
      );
    }
    const documents = database.collection(this.#collection, {
      writeConcern: { w: "majority" },
      readConcern: { level: "majority" },
      readPreference: "primary",
      timeoutMS: CALL_DEADLINE,
      ignoreUndefined: true,
    }) as Collection<Document>;
    const there = await documents.indexes().catch((error) => {
      if ((error as { code?: number }).code === NO_COLLECTION) return [];
      throw error;
    });
    const hasIndex = (field: string) => there.some(({ key }) => Object.keys(key)[0] === field);
    // This check comes before the index that lets MongoDB remove documents: they may be another program's.
    const any = hasIndex("sweepAt") ? null : await documents.findOne({});
    if (any !== null && typeof any.content !== "string") {
      throw new Error(`the collection "${this.#collection}" holds another program's documents: name another one`);
    }
    const make = async (field: string, options: CreateIndexesOptions) => {
      if (hasIndex(field)) return;
      await documents.createIndex({ [field]: 1 }, options).catch((error) =>
        this.#log("warn", `The index of "${field}" in MongoDB is missing and cannot be made`, reasonOf(error))
      );
    };
    await make("sweepAt", { expireAfterSeconds: CLOCK_SKEW / 1000 });
    await make("user", { sparse: true });
    this.#documents = documents;
  }
}

async function makeClient(url: string): Promise<MongoConnection> {
  // deno-lint-ignore no-import-prefix -- as above
  const { MongoClient } = await loadClient("MongoStore", "mongodb@7", () => import("npm:mongodb@7.9.0"));
  try {
    return new MongoClient(url, { serverSelectionTimeoutMS: DEADLINE, connectTimeoutMS: DEADLINE });
  } catch (error) {
    const [, secrets = ""] = /^[^@]*\/\/([^@]*)@/.exec(url) ?? [];
    const reason = reasonOf(error);
    const isSecret = secrets.split(":").some((secret) => secret !== "" && reason.includes(secret));
    throw new TypeError(`the address cannot be used${isSecret ? "" : `: ${reason}`}`);
  }
}
