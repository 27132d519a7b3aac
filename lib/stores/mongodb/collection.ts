/** The collection of a MongoDB store: connecting and indexes; the only user of the client. */
// deno-lint-ignore no-import-prefix -- in deno.json, everyone would have to download it
import type { Collection, CreateIndexesOptions } from "npm:mongodb@7.9.0";
import { reasonOf } from "../../_reason.ts";
import type { Log } from "../../log.ts";
import { CLOCK_SKEW } from "../../record.ts";
import { loadClient } from "../_client.ts";
import { CALL_DEADLINE, DEADLINE } from "../_deadline.ts";
import { checkCollection } from "../_names.ts";
import { checkAddress } from "./address.ts";

/** What is needed of a client: a `MongoClient` of the package `mongodb`, which may be another version of it. */
export interface MongoConnection {
  /** Connects, or does nothing if it has. */
  connect(): Promise<unknown>;
  /** Its default database. */
  db(): { collection(name: string, options: object): unknown; command(command: object): Promise<object> };
  /** Lets go of its connections. */
  close(): Promise<void>;
}

/** An entry, by its key. One that a session is being moved to names the key where the session comes from. */
export interface Document {
  _id: string;
  content: string;
  version: string;
  /** When MongoDB may remove it. */
  sweepAt: Date;
  /** The hash of the user whose session it is, or was. */
  user?: string | undefined;
  /** The times of a live session. */
  created?: number;
  used?: number;
  expires?: number;
  deadline?: number;
  from?: string;
}

const NO_COLLECTION = 26;

/** What a {@linkcode MongoCollection} needs to know, as described at the store's options. */
export interface MongoCollectionOptions {
  readonly url?: string | undefined;
  readonly client?: MongoConnection | undefined;
  readonly collection?: string | undefined;
  readonly log: Log;
}

/** A collection that is connected to when it is first needed. */
export class MongoCollection {
  /** What to call the server. */
  readonly name: string;
  #client: MongoConnection | undefined;
  #url: string | undefined;
  #collection: string;
  #log: Log;
  #documents: Collection<Document> | undefined;
  #opening: Promise<void> | undefined;

  /** @param options Where it is. */
  constructor(options: MongoCollectionOptions) {
    const { url, client, collection = "sessions", log } = options;
    checkCollection(collection);
    this.name = client === undefined ? `MongoDB at ${checkAddress(url!)}` : "MongoDB";
    this.#client = client;
    this.#url = client === undefined ? url : undefined;
    this.#collection = collection;
    this.#log = log;
  }

  /** Connects, unless it has. */
  open(): Promise<void> | undefined {
    if (this.#documents !== undefined) return undefined;
    return this.#opening ??= this.#open().finally(() => this.#opening = undefined);
  }

  /** The collection, which is open. */
  get documents(): Collection<Document> {
    return this.#documents!;
  }

  /** Lets go of the connections, unless they are the program's. */
  async close(): Promise<void> {
    if (this.#url !== undefined) await this.#client?.close();
  }

  async #open(): Promise<void> {
    const client = this.#client ??= await makeClient(this.#url!);
    await client.connect();
    const database = client.db();
    if ("ferretdbVersion" in await database.command({ buildInfo: 1 })) {
      throw new Error("FerretDB 1 can bring ended sessions back, as it looks and writes in two steps: use version 2");
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
    // Before MongoDB is told to remove anything there: it may be another program's.
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
    throw new TypeError(`The address of a MongoDB cannot be used${isSecret ? "" : `: ${reason}`}`);
  }
}
