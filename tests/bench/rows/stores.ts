/** What each other store costs beside the file store, on an engine of its own on this machine. */
import { Engine, type EngineType } from "../../stores/engines.ts";
import { type Contender, contender, inTurn, printMissing, printTable } from "../measure.ts";
import { Missing, ours, type Subject } from "../servers.ts";
import { folder, FORM, register, stop, subfolder } from "./common.ts";

const TYPES = ["memory", "sqlite", "redis", "postgres", "memcached", "mongodb", "denokv"] as const;

/** Both kinds of requests, with every store in turn. The processor time is the server's alone, not the engine's. */
export async function measureStores(): Promise<void> {
  const dir = await subfolder("stores");
  const running: Subject[] = [];
  const engines: Engine[] = [];
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
        missing.push([type, error instanceof Missing ? error.message : `does not start: ${(error as Error).message}`]);
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

async function settingsOf(type: typeof TYPES[number], engines: Engine[]): Promise<Record<string, string>> {
  if (type === "memory") return {};
  if (type === "sqlite" || type === "denokv") return { SESSION_URL: `${type}:${folder}/${type}.db` };
  try {
    engines.push(await Engine.start(type as EngineType));
  } catch {
    throw new Missing("its engine cannot be started here");
  }
  return { SESSION_URL: engines.at(-1)!.url };
}
