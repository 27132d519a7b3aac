/** The cost of each other store, compared with the file store. Each has its own engine on this machine. */
import { Engine, type EngineType } from "../../stores/engines.ts";
import { MongoServer } from "../../stores/mongodb_server.ts";
import { type Contender, contender, inTurn, printMissing, printTable, say } from "../measure.ts";
import { Missing, ours, type Subject } from "../servers.ts";
import { folder, FORM, register, stop, subfolder } from "./common.ts";

const TYPES = ["memory", "sqlite", "redis", "postgres", "memcached", "mongodb", "denokv"] as const;

/** `GET /` and `POST /add` with every store in turn. The processor time is the server's, without the engine's. */
export async function measureStores(): Promise<void> {
  const dir = await subfolder("stores");
  const running: Subject[] = [];
  const engines: AsyncDisposable[] = [];
  const missing: [type: string, reason: string][] = [];
  const pages: Contender[] = [];
  const forms: Contender[] = [];
  const add = async (type: string, settings: Record<string, string>) => {
    const subject = await ours({ SESSION_TYPE: type, ...settings });
    running.push(subject);
    pages.push(contender(type, subject, { cookies: [await register(subject)] }));
    forms.push(contender(type, subject, { form: FORM, path: "/add" }));
  };
  try {
    await add("filesystem", { SESSION_FILE_DIR: dir });
    for (const type of TYPES) {
      try {
        await add(type, await settingsOf(type, engines));
      } catch (error) {
        const reason = error instanceof Missing ? error.message : "the server does not start with it";
        missing.push([type, reason]);
        say(`${type}: ${(error as Error).message}`);
      }
    }
    for (const [title, contenders] of [["GET / of a registered visitor", pages], ["POST /add", forms]] as const) {
      await inTurn(contenders);
      printTable(`${title}, the stores`, contenders);
    }
    for (const [type, reason] of missing) printMissing(type, reason);
  } finally {
    await stop(running);
    for (const engine of engines) await engine[Symbol.asyncDispose]();
  }
}

async function settingsOf(type: typeof TYPES[number], engines: AsyncDisposable[]): Promise<Record<string, string>> {
  if (type === "memory") return {};
  if (type === "sqlite" || type === "denokv") return { SESSION_URL: `${type}:${folder}/${type}.db` };
  try {
    const [engine, url] = type === "mongodb" ? await startMongo() : await startEngine(type);
    engines.push(engine);
    return { SESSION_URL: url };
  } catch (error) {
    say(`${type}: ${(error as Error).message}`);
    throw new Missing("its engine cannot be started here");
  }
}

async function startMongo(): Promise<[MongoServer, url: string]> {
  const server = await MongoServer.start();
  return [server, server.url("bench")];
}

async function startEngine(type: EngineType): Promise<[Engine, url: string]> {
  const engine = await Engine.start(type);
  return [engine, engine.url];
}
