/**
 * The measurements of the README's "Speed", as a table: `deno task bench`. Options: `--rounds=5`, `--seconds=3`, and
 * `--only=` with some of user, anonymous, add, million, sweep, start, stores.
 */
import { addActive, countSessions, fill } from "./folders.ts";
import { load, type Result, tool } from "./load.ts";
import { Engine, type EngineType } from "../stores/engines.ts";
import { startFlags } from "../support/server.ts";
import { bare, empty, express, flask, hono, Missing, ours, oursOn, type Subject, versions } from "./servers.ts";

const options = readOptions();
const folder = await Deno.makeTempDir({ prefix: "session-bench-" });

interface Row {
  readonly what: string;
  readonly ours: string;
  readonly against: string;
  readonly other: string;
  readonly outcome: string;
  readonly target: string;
  readonly met: string;
}
const rows: Row[] = [];

/** How many session files there are before anything is measured that makes more of them. */
const FILES_BEFORE = 30_000;

/** What is loaded in turn, and what came of it round by round. */
interface Contender {
  readonly name: string;
  readonly send: () => Promise<Result>;
  readonly results: Result[];
}

try {
  if (options.only.includes("user")) await measureUser();
  if (options.only.includes("anonymous")) await measureAnonymous();
  if (options.only.includes("add")) await measureAdd();
  if (options.only.includes("million")) await measureMillion();
  if (options.only.includes("sweep")) await measureSweep();
  if (options.only.includes("start")) await measureStart();
  if (options.only.includes("stores")) await measureStores();
  await print();
} finally {
  // Only now: on some file systems, making files is slow where many were just removed.
  say("Removing the temporary files");
  await Deno.remove(folder, { recursive: true });
}

/** `GET /` of a registered visitor, beside every peer. */
async function measureUser(): Promise<void> {
  const subject = await ours(await subfolder("user"));
  const cookie = await register(subject);
  const { page, headers } = await pageOf(subject, cookie);
  const peers: [name: string, target: number | undefined, start: () => Promise<Subject>][] = [
    ["bare `Deno.serve`, the same page", 0.7, () => bare(folder, page, "")],
    ["the same with our headers", undefined, () => bare(folder, page, "", headers)],
    ["Flask-Session, files", 25, () => flask(folder)],
    ["session-file-store", 70, () => express(folder)],
    ["hono-sessions, memory", 15, () => hono()],
  ];
  const contenders = [contender("ours", subject, { cookies: [cookie] })];
  const running = [subject];
  const targets: (number | undefined)[] = [];
  for (const [name, target, start] of peers) {
    try {
      const peer = await start();
      running.push(peer);
      targets.push(target);
      const cookies = name.includes("ession") ? [await register(peer)] : [cookie];
      contenders.push(contender(name, peer, { cookies }));
    } catch (error) {
      if (!(error instanceof Missing)) throw error;
      rows.push(missing("`GET /`, registered", name, `at least ${target} ×`, error.message));
    }
  }
  await inTurn(contenders);
  addRates("`GET /`, registered", contenders, targets);
  await stop(running);
}

/** `GET /` of somebody without a session. */
async function measureAnonymous(): Promise<void> {
  const subject = await ours(await subfolder("anonymous"));
  const { page, headers } = await pageOf(subject);
  const limit = await bare(folder, page, "");
  const same = await bare(folder, page, "", headers);
  const contenders = [
    contender("ours", subject),
    contender("bare `Deno.serve`, the same page", limit),
    contender("the same with our headers", same),
  ];
  await inTurn(contenders);
  addRates("`GET /`, anonymous", contenders, [0.85, undefined]);
  await stop([subject, limit, same]);
}

/** `POST /add` of new visitors, to servers that have made some thousand files: new folders are slow to fill at first. */
async function measureAdd(): Promise<void> {
  const dir = await subfolder("add");
  fill(dir, FILES_BEFORE, Date.now() + 3_600_000);
  await settle();
  const subject = await ours(dir);
  await register(subject);
  const record = anyRecord(dir);
  // Deno checks each path that is opened, link by link, unless everything is allowed.
  const limits = [
    await bare(folder, "", record, undefined, await startFlags()),
    await bare(folder, "", record),
  ];
  const form = "username=alice";
  for (const { origin } of limits) await load({ url: `${origin}/add`, seconds: 3, form });
  const contenders = [
    contender("ours", subject, { form, path: "/add" }),
    contender("bare `Deno.serve`, one new file a request, with our permissions", limits[0]!, { form, path: "/add" }),
    contender("the same with `--allow-all`", limits[1]!, { form, path: "/add" }),
  ];
  await inTurn(contenders);
  addRates("`POST /add`, new visitor", contenders, [0.7, undefined]);
  await stop([subject, ...limits]);
}

/** Speed and memory with 1,000,000 stored sessions, beside 100. */
async function measureMillion(): Promise<void> {
  const few = await subfolder("few");
  const many = await subfolder("many");
  const fewCookies = await addActive(few, 100);
  say("Writing 1,000,000 session files");
  fill(many, 990_000, Date.now() + 3_600_000);
  await settle();
  const manyCookies = await addActive(many, 10_000);
  const subjects = [await ours(many), await ours(few)];

  const contenders = [
    contender("ours", subjects[0]!, { cookies: manyCookies.slice(0, 100) }),
    contender("the same with 100", subjects[1]!, { cookies: fewCookies }),
  ];
  await inTurn(contenders);
  addRates("`GET /`, registered, 1,000,000 stored", contenders, [0.95]);

  // Every one of the active visitors comes by, and somebody registers, for which all the sessions are counted.
  const memory: number[] = [];
  for (const [index, cookies] of [manyCookies, fewCookies].entries()) {
    await register(subjects[index]!);
    await load({ url: subjects[index]!.origin, seconds: options.seconds, cookies });
    memory.push(residentMegabytes(subjects[index]!.pid));
  }
  const [withMany, withFew] = memory as [number, number];
  rows.push({
    what: "Memory, 1,000,000 stored, 10,000 active",
    ours: `${withMany.toFixed(0)} MB`,
    against: "the same with 100",
    other: `${withFew.toFixed(0)} MB`,
    outcome: signed(withMany - withFew, "MB"),
    target: "+32 MB at most",
    met: withMany - withFew <= 32 ? "yes" : "no",
  });
  await stop(subjects);
}

/** `GET /` while 100,000 expired sessions are swept, all in one go since the store is full of them, and without. */
async function measureSweep(): Promise<void> {
  const results: [with_: Result, without: Result][] = [];
  let swept = 0;
  for (let round = 0; round < Math.min(options.rounds, 3); round++) {
    const pair: Result[] = [];
    for (const expired of round % 2 === 0 ? [100_000, 0] : [0, 100_000]) {
      const dir = await subfolder(`sweep-${expired}-${round}`);
      const cookies = await addActive(dir, 1);
      fill(dir, expired, Date.now() - 3_600_000);
      const subject = await ours(dir, 1);
      await load({ url: subject.origin, seconds: 1, cookies });
      const refused = await fetch(`${subject.origin}/add`, {
        method: "POST",
        body: new URLSearchParams({ username: "a" }),
      });
      await refused.body?.cancel();
      if (refused.status !== 503) throw new Error(`The store should have been full: received ${refused.status}`);
      pair[expired > 0 ? 0 : 1] = await load({ url: subject.origin, seconds: options.seconds, cookies });
      await stop([subject]);
      if (expired > 0) swept += expired - countSessions(dir, (mtime) => mtime < Date.now());
      say(`Round ${round + 1}: with ${thousands(expired)} expired sessions`);
    }
    results.push(pair as [Result, Result]);
  }
  const added = median(results.map(([a, b]) => a.p99 - b.p99));
  rows.push({
    what: `p99 of \`GET /\` while expired sessions are swept, ${
      thousands(swept / results.length)
    } of 100,000 meanwhile`,
    ours: `${median(results.map(([a]) => a.p99)).toFixed(2)} ms`,
    against: "the same with none to sweep",
    other: `${median(results.map(([, b]) => b.p99)).toFixed(2)} ms`,
    outcome: signed(added, "ms"),
    target: "+5 ms at most",
    met: added <= 5 ? "yes" : "no",
  });
}

/** From the start of the process to its first answer, everything cached. */
async function measureStart(): Promise<void> {
  const dir = await subfolder("start");
  const times: [ours: number, empty: number][] = [];
  for (let round = 0; round <= 2 * options.rounds; round++) {
    const pair: number[] = [];
    for (const start of [() => ours(dir), empty]) {
      const before = performance.now();
      const subject = await start();
      pair.push(performance.now() - before);
      await stop([subject]);
    }
    // The first one warms the caches.
    if (round > 0) times.push(pair as [number, number]);
  }
  const added = median(times.map(([a, b]) => a - b));
  rows.push({
    what: "Start to first answer, warm",
    ours: `${median(times.map(([a]) => a)).toFixed(0)} ms`,
    against: "`deno run` of an empty server",
    other: `${median(times.map(([, b]) => b)).toFixed(0)} ms`,
    outcome: signed(added, "ms"),
    target: "+150 ms at most",
    met: added <= 150 ? "yes" : "no",
  });
}

/** What each shared store costs beside the file store, on an engine of its own on this machine. */
async function measureStores(): Promise<void> {
  const file = await ours(await subfolder("stores"));
  const fileCookie = await register(file);
  for (const type of ["sqlite", "redis", "postgres", "memcached"] as const) {
    const what = ["`GET /`, registered", "`POST /add`, new visitor"] as const;
    let engine: Engine | undefined;
    try {
      engine = type === "sqlite" ? undefined : await startEngine(type);
      const url = engine?.url ?? `sqlite:${folder}/sessions.db`;
      const subject = await oursOn(type, url);
      const pages = [
        contender(type, subject, { cookies: [await register(subject)] }),
        contender("filesystem", file, { cookies: [fileCookie] }),
      ];
      const form = "username=alice";
      const forms = [
        contender(type, subject, { form, path: "/add" }),
        contender("filesystem", file, { form, path: "/add" }),
      ];
      for (const [index, contenders] of [pages, forms].entries()) {
        await inTurn(contenders);
        addRates(`${what[index]}, \`SESSION_TYPE=${type}\``, contenders, [undefined]);
      }
      await stop([subject]);
    } catch (error) {
      if (!(error instanceof Missing)) throw error;
      rows.push(missing(`\`SESSION_TYPE=${type}\``, "filesystem", "", error.message));
    } finally {
      await engine?.[Symbol.asyncDispose]();
    }
  }
  await stop([file]);
}

async function startEngine(type: EngineType): Promise<Engine> {
  try {
    return await Engine.start(type);
  } catch {
    throw new Missing(`a server for ${type} cannot be started here`);
  }
}

function contender(
  name: string,
  { origin }: Subject,
  { path = "/", ...what }: { path?: string; cookies?: string[]; form?: string } = {},
): Contender {
  return { name, send: () => load({ url: origin + path, seconds: options.seconds, ...what }), results: [] };
}

/** Loads them in turn, round by round, so that what else the machine does meets them all. The first round warms up. */
async function inTurn(contenders: Contender[]): Promise<void> {
  for (let round = 0; round <= options.rounds; round++) {
    for (const { name, send, results } of contenders) {
      const result = await send();
      if (round === 0) continue;
      results.push(result);
      say(`Round ${round}: ${thousands(result.rate)} requests a second: ${name}`);
    }
  }
}

/** Adds a row for each but the first, which is ours: medians of the rates, and of their ratios round by round. */
function addRates(what: string, [first, ...others]: Contender[], targets: (number | undefined)[]): void {
  const text = ({ results }: Contender) =>
    `${thousands(median(results.map(({ rate }) => rate)))}/s, p99 ${
      median(results.map(({ p99 }) => p99)).toFixed(2)
    } ms`;
  for (const [index, other] of others.entries()) {
    const ratios = first!.results.map(({ rate }, round) => rate / other.results[round]!.rate);
    const ratio = median(ratios);
    const target = targets[index];
    rows.push({
      what,
      ours: text(first!),
      against: other.name,
      other: text(other),
      outcome: `**${round(ratio)} ×** (${round(Math.min(...ratios))}–${round(Math.max(...ratios))})`,
      target: target === undefined ? "" : `at least ${target} ×`,
      met: target === undefined ? "" : ratio >= target ? "yes" : "no",
    });
  }
}

function missing(what: string, against: string, target: string, reason: string): Row {
  return { what, ours: "", against, other: "missing", outcome: reason, target, met: "" };
}

/** Registers a visitor and returns the cookie. */
async function register({ origin }: Subject): Promise<string> {
  const body = new URLSearchParams({ username: "alice" });
  const response = await fetch(`${origin}/add`, { method: "POST", body, redirect: "manual" });
  await response.body?.cancel();
  const [cookie] = response.headers.getSetCookie();
  if (cookie === undefined) throw new Error(`${origin} registered nobody: it answered ${response.status}`);
  return cookie.split(";")[0]!;
}

async function pageOf({ origin }: Subject, cookie = ""): Promise<{ page: string; headers: Headers }> {
  const response = await fetch(origin, { headers: { cookie } });
  const headers = new Headers(response.headers);
  for (const name of ["date", "content-length", "content-encoding", "transfer-encoding"]) headers.delete(name);
  headers.set("vary", "Cookie");
  return { page: await response.text(), headers };
}

/** The text of some session file. */
function anyRecord(dir: string): string {
  for (const shard of Deno.readDirSync(dir)) {
    if (!shard.isDirectory) continue;
    for (const { name } of Deno.readDirSync(`${dir}/${shard.name}`)) {
      if (name.endsWith(".json")) return Deno.readTextFileSync(`${dir}/${shard.name}/${name}`);
    }
  }
  throw new Error("There is no session file");
}

/** Has the system write what it has not yet, so that it does not while something is measured. */
async function settle(): Promise<void> {
  await new Deno.Command("sync").output();
}

function residentMegabytes(pid: number): number {
  const [, kilobytes] = /VmRSS:\s+(\d+)/.exec(Deno.readTextFileSync(`/proc/${pid}/status`))!;
  return Number(kilobytes) / 1024;
}

async function subfolder(name: string): Promise<string> {
  await Deno.mkdir(`${folder}/${name}`, { mode: 0o700 });
  return `${folder}/${name}`;
}

async function stop(subjects: Subject[]): Promise<void> {
  for (const subject of subjects) await subject.stop();
}

async function print(): Promise<void> {
  console.log(`\n| what | ours | against | that | ratio, median (range) | target | met |\n|${" --- |".repeat(7)}`);
  for (const { what, ours, against, other, outcome, target, met } of rows) {
    console.log(`| ${[what, ours, against, other, outcome, target, met].join(" | ")} |`);
  }
  const { total } = Deno.systemMemoryInfo();
  const cpu = /model name\s*: (.*)/.exec(await Deno.readTextFile("/proc/cpuinfo").catch(() => ""))?.[1] ?? "";
  const machine = `${navigator.hardwareConcurrency} cores ${cpu}, ${
    Math.round(total / 2 ** 30)
  } GiB, ${Deno.osRelease()}`;
  const measured =
    `${options.rounds} rounds of ${options.seconds} s each, 32 connections, ${tool.name} ${tool.version}`;
  console.log(`\n${measured}; Deno ${Deno.version.deno}; ${(await versions()).join("; ")}; ${machine}`);
}

function readOptions(): { rounds: number; seconds: number; only: string[] } {
  const given = new Map(Deno.args.map((argument) => argument.replace(/^--/, "").split("=") as [string, string]));
  const all = "user,anonymous,add,million,sweep,start,stores";
  const only = (given.get("only") ?? all).split(",");
  const rounds = Number(given.get("rounds") ?? 5);
  const seconds = Number(given.get("seconds") ?? 3);
  const known = ["rounds", "seconds", "only"];
  const wrong = [...given.keys()].filter((name) => !known.includes(name));
  wrong.push(...only.filter((name) => !all.split(",").includes(name)));
  if (wrong.length > 0 || !(rounds >= 1) || !(seconds >= 1)) {
    console.error(`Options: --rounds=5 --seconds=3 --only=${all}`);
    Deno.exit(1);
  }
  return { rounds, seconds, only };
}

function median(numbers: number[]): number {
  const sorted = numbers.toSorted((a, b) => a - b);
  const half = Math.floor(sorted.length / 2);
  return sorted.length % 2 === 1 ? sorted[half]! : (sorted[half - 1]! + sorted[half]!) / 2;
}

function round(ratio: number): string {
  return ratio.toFixed(ratio < 10 ? 2 : 0);
}

function signed(number: number, unit: string): string {
  return `**${number < 0 ? "−" : "+"}${Math.abs(number).toFixed(unit === "MB" ? 0 : 1)} ${unit}**`;
}

function thousands(number: number): string {
  return Math.round(number).toLocaleString("en");
}

function say(text: string): void {
  console.error(text);
}
