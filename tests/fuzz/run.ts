/**
 * `deno task fuzz`: sends seeded requests to a real server, over raw sockets. It fails if an answer has status 500 or
 * more, the process ends, a page shows the name of another visitor, the log has input of a visitor, or a request takes
 * over 20 ms of the processor.
 */
import { parseArgs } from "node:util";
import { costlyRequests } from "../support/costly_requests.ts";
import { Random } from "../support/fuzz.ts";
import { ProcessorClock } from "../support/processor.ts";
import { http1Request, Http2, type RawAnswer, sendHttp1 } from "../support/raw_http.ts";
import { Server } from "../support/server.ts";
import { type Cookies, http1Of, MARK, type Owner, shoot, type Shot } from "./grammar.ts";

/** The most processor time a request may take, in milliseconds. */
const MOST = 20;
/** How often each request of a slow group is sent alone. The lowest time counts: the others include other work. */
const AGAIN = 8;
/** A request that takes this many milliseconds is slow, whatever else the server does. */
const FAR = 500;
/** How many requests are sent at the same time. The first of them is sent over HTTP/2. */
const TOGETHER = 8;
/** The number of findings after which the fuzz ends. */
const ENOUGH = 10;

const NAMES: Readonly<Record<Exclude<Owner, "no one">, string>> = {
  victim: "Zaphod of the fuzz",
  eve: "Eve of the fuzz",
};

/** A request and its number in the run. */
type NumberedShot = Shot & { readonly number: number };

const { values } = parseArgs({
  options: {
    seed: { type: "string", default: "1" },
    seconds: { type: "string", default: "45" },
    // The number of a single request, to send it again.
    only: { type: "string" },
  },
});
const seed = Number(values.seed);
const only = values.only === undefined ? undefined : Number(values.only);
const dir = await Deno.makeTempDir({ prefix: "session-fuzz-" });
// With an even seed, the site uses https, and binds sessions to devices.
const https: Record<string, string> = { ORIGIN: "https://localhost", SESSION_BOUND: "true" };
const server = await Server.start({
  SESSION_FILE_DIR: dir,
  PERMANENT_SESSION_LIFETIME: "3600",
  LOG_LEVEL: "info",
  ...(seed % 2 === 0 ? https : {}),
});
const port = Number(new URL(server.origin).port);
const clock = new ProcessorClock(server.process.pid);
let findings = 0;
const statuses = new Map<number, number>();
let isRunning = true;
void server.process.status.then(() => isRunning = false);
let http2: Http2 | undefined;

try {
  const cookies: Cookies = { victim: await register(NAMES.victim), eve: await register(NAMES.eve) };
  if (only === undefined) await sendCostly(cookies.eve);
  const count = await sendRandom(cookies);
  http2?.close();
  await findAtTheEnd(cookies);
  const byStatus = [...statuses].sort(([a], [b]) => a - b).map(([status, times]) => `${status || "none"} ${times}`);
  console.log(`Seed ${seed}: ${count} requests; answers: ${byStatus.join(", ")}`);
} finally {
  await server.kill();
  await Deno.remove(dir, { recursive: true });
}
console.log(findings === 0 ? "Nothing found" : `${findings} findings`);
Deno.exit(findings === 0 ? 0 : 1);

/** Registers a visitor. Returns the cookie. */
async function register(username: string): Promise<string> {
  const form = {
    fields: [["content-type", "application/x-www-form-urlencoded"]],
    body: `username=${username}`,
  } as const;
  const sent = http1Request({ method: "POST", target: "/add", host: "localhost", ...form });
  const { text } = await sendHttp1(port, sent);
  const [, cookie] = /^set-cookie: ([^;]*)/im.exec(text) ?? [];
  if (cookie === undefined) throw new Error(`Cannot register a visitor: ${text}`);
  return cookie;
}

/** Sends the fixed requests, before the random ones. */
async function sendCostly(cookie: string): Promise<void> {
  const requests = [...costlyRequests(15_500, cookie), ...costlyRequests(64_000, cookie)];
  for (const [index, request] of requests.entries()) {
    if (findings >= ENOUGH) return;
    await check([{ ...request, owner: "eve", version: "HTTP/1.1", end: "\r\n", number: -1 - index }]);
  }
}

/** Sends random requests of the grammar until the time is over. Returns how many. */
async function sendRandom(cookies: Cookies): Promise<number> {
  const shot = (number: number) => ({ ...shoot(new Random(seed * 1_000_003 + number), cookies), number });
  if (only !== undefined) {
    await check([shot(only)]);
    return 1;
  }
  const end = performance.now() + Number(values.seconds) * 1000;
  let number = 0;
  while (isRunning && findings < ENOUGH && performance.now() < end) {
    await check(Array.from({ length: TOGETHER }, () => shot(number++)));
  }
  return number;
}

/** Checks the two sessions, stops the server, and checks its log. */
async function findAtTheEnd(cookies: Cookies): Promise<void> {
  for (const owner of ["victim", "eve"] as const) {
    const look = { method: "GET", target: "/", host: "localhost", fields: [["cookie", cookies[owner]]] } as const;
    const { text } = isRunning ? await sendHttp1(port, http1Request(look)) : { text: "" };
    if (!text.includes(NAMES[owner])) report(`The session of ${owner} is gone`);
  }
  const code = isRunning ? await server.stop() : await server.ended();
  const { stderr } = server;
  if (code !== 0) report(`The process ended with code ${code}: ${stderr.slice(-2000)}`);
  for (const words of [MARK, ...Object.values(NAMES)]) {
    if (stderr.includes(words)) report(`"${words}" is in the log`);
  }
  if (/^\s+at |error A request failed|failed in the background/m.test(stderr)) {
    report(`An error is in the log: ${stderr.slice(-2000)}`);
  }
}

/** Sends requests at the same time, and checks their answers. If they took long, it sends each again alone. */
async function check(shots: readonly NumberedShot[]): Promise<void> {
  const time = await measured(() => Promise.all(shots.map(async (shot) => look(shot, await send(shot)))));
  if (!isRunning) return void found(shots[0]!, "The process ended with this request or one of the next");
  if (time <= MOST && only === undefined) return;
  for (const shot of shots) {
    let least = Infinity;
    for (let again = 0; isRunning && least > MOST && again < AGAIN; again++) {
      least = Math.min(least, await measured(() => send(shot)));
      if (least > FAR) break;
    }
    if (least > MOST) found(shot, `${least.toFixed(0)} ms of the processor`);
    if (only !== undefined) console.log(`${least.toFixed(1)} ms of the processor`);
  }
}

/** Checks an answer. */
function look(shot: NumberedShot, { status, text }: RawAnswer): void {
  statuses.set(status, (statuses.get(status) ?? 0) + 1);
  if (status >= 500) found(shot, `Status ${status}`);
  for (const [owner, name] of Object.entries(NAMES)) {
    if (owner !== shot.owner && text.includes(name)) found(shot, `The name of ${owner} is shown to ${shot.owner}`);
  }
}

function report(finding: string): void {
  findings++;
  console.log(`Found: ${finding}`);
}

function found(shot: NumberedShot, what: string): void {
  const sent = http1Of(shot);
  const where = `${sent.length} bytes over ${isHttp2(shot) ? "HTTP/2" : "HTTP/1.1"}`;
  report(`${what}: --seed=${seed} --only=${shot.number}, ${where}: ${JSON.stringify(sent.slice(0, 500))}`);
}

/** The processor time of the server while some work is done, in milliseconds. */
async function measured(work: () => Promise<unknown>): Promise<number> {
  try {
    const before = clock.read();
    await work();
    return clock.read() - before;
  } catch (error) {
    // The process may have ended.
    await new Promise((resolve) => setTimeout(resolve, 100));
    if (isRunning) throw error;
    return 0;
  }
}

function isHttp2({ number }: NumberedShot): boolean {
  return number % TOGETHER === 0;
}

async function send(shot: NumberedShot): Promise<RawAnswer> {
  if (!isHttp2(shot)) return await sendHttp1(port, http1Of(shot), 1000);
  if (http2?.isOpen !== true) http2 = await Http2.open(port);
  return await http2.send(shot);
}
