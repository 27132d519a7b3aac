/** Scenarios of a user's sessions: all of them are ended, and lifetimes differ between servers. */
import { assert, assertEquals } from "@std/assert";
import { Browser, Server } from "../support/server.ts";
import { accepted, type Scenario, type Stage, wait } from "./scenario.ts";

const SERVERS = 3;
/** In one of this many rounds, a server is killed while the sessions are ended. */
const KILLS = 10;

/** Servers with the same sessions. A test can kill and restart each. */
class Fleet {
  servers: Server[] = [];
  #env: Record<string, string>;

  constructor(env: Record<string, string>) {
    this.#env = env;
  }

  async start(): Promise<void> {
    for (let i = 0; i < SERVERS; i++) this.servers.push(await this.#one());
  }

  async restart(index: number): Promise<void> {
    await this.servers[index]!.kill();
    this.servers[index] = await this.#one();
  }

  async kill(): Promise<void> {
    for (const server of this.servers) await server.kill();
  }

  #one(): Promise<Server> {
    const program = new URL("users_server.ts", import.meta.url).pathname;
    return Server.start(this.#env, [Deno.execPath(), "run", "--allow-all", program]);
  }
}

/** The answer of a server to a request. */
interface Answer {
  readonly said: string;
  readonly cookie: string;
  /** When the request was sent that got this answer. The requests before it were answered 503. */
  readonly sent: number;
}

/** Sends a request to a server. Returns `undefined` if the server dies. */
async function ask(server: Server, path: string, cookie?: string): Promise<Answer | undefined> {
  const browser = new Browser(server.origin);
  if (cookie !== undefined) browser.cookies.set("session", cookie);
  try {
    let [said, sent] = ["", 0];
    const status = await accepted(async () => {
      sent = performance.now();
      const response = await browser.request(path, { signal: AbortSignal.timeout(10_000) });
      said = await response.text();
      return response.status;
    });
    assertEquals(status, 200, `${path}: ${said}`);
    return { said, cookie: browser.cookies.get("session") ?? "", sent };
  } catch (error) {
    if (error instanceof TypeError) return undefined;
    throw error;
  }
}

/** All sessions of a user are ended, while the user logs in and servers die. */
export const endAll: Scenario = {
  name: "end-all",
  rounds: 1000,
  async play({ dir, rounds, random }: Stage) {
    const figures = { ended: 0, others: 0, races: 0, survived: 0, kills: 0 };
    for (const type of ["filesystem", "sqlite"]) {
      await Deno.mkdir(`${dir}/${type}`);
      const fleet = new Fleet({ SESSION_FILE_DIR: `${dir}/${type}`, SESSION_TYPE: type });
      try {
        await fleet.start();
        for (let round = 0; round < Math.ceil(rounds / 2); round++) await endAllRound(fleet, round, random, figures);
      } finally {
        await fleet.kill();
      }
    }
    return `${figures.ended} sessions logged in before, 0 of use at any of ${SERVERS} servers; ${figures.others} of others ` +
      `untouched; ${figures.races} log-ins raced, ${figures.survived} of them answered later and lived; ${figures.kills} kills`;
  },
};

async function endAllRound(
  fleet: Fleet,
  round: number,
  random: () => number,
  figures: { ended: number; others: number; races: number; survived: number; kills: number },
): Promise<void> {
  const any = () => Math.floor(random() * SERVERS);
  const logIn = (user: string) => ask(fleet.servers[any()]!, `/log-in?user=${encodeURIComponent(user)}`);
  const [ada, bob] = [`Ada / ${round}`, `Bob / ${round}`];
  const [mine, others] = await Promise.all([ada, bob].map((user) => Promise.all([1, 2, 3].map(() => logIn(user)))));

  // Log-ins, and the death of a server, race with the end of all sessions.
  const answered: number[] = [];
  const racing = [wait(3 * random()), wait(3 * random())].map((when, index) =>
    when.then(() => logIn(ada)).then((session) => {
      answered[index] = performance.now();
      return session;
    })
  );
  const dying = random() * KILLS < 1 ? any() : undefined;
  const death = dying === undefined
    ? undefined
    : wait(6 * random()).then(() => fleet.servers[dying]!.process.kill("SIGKILL"));
  await wait(5 * random());
  let answer = await ask(fleet.servers[any()]!, `/end-all?user=${encodeURIComponent(ada)}`);
  const raced = await Promise.all(racing);
  await death;
  if (dying !== undefined) {
    await fleet.restart(dying);
    figures.kills++;
  }
  // The server that got the request has died.
  answer ??= await ask(fleet.servers[any()]!, `/end-all?user=${encodeURIComponent(ada)}`);
  assert(answer !== undefined);

  for (const server of fleet.servers) {
    for (const session of mine!) {
      if (session === undefined) continue;
      assertEquals((await ask(server, "/", session.cookie))?.said, "no one", `round ${round}: ended`);
    }
    for (const session of others!) {
      if (session === undefined) continue;
      assertEquals((await ask(server, "/", session.cookie))?.said, bob, `round ${round}: another user's`);
    }
  }
  figures.ended += mine!.length;
  figures.others += others!.length;
  for (const [index, session] of raced.entries()) {
    if (session === undefined) continue;
    figures.races++;
    const seen = await Promise.all(fleet.servers.map(async (server) => (await ask(server, "/", session.cookie))?.said));
    assertEquals(new Set(seen).size, 1, `round ${round}: the same everywhere`);
    if (seen[0] !== ada) continue;
    assert(answered[index]! > answer!.sent, `round ${round}: a log-in answered before the call that ended all`);
    figures.survived++;
  }
}

/** Servers are replaced one by one: first by servers with a shorter lifetime, then by servers with a longer one. */
export const rolling: Scenario = {
  name: "rolling-restart",
  rounds: 1,
  waits: true,
  async play({ dir }: Stage) {
    // A use is stored once per tenth of the lifetime. A lifetime under a tenth would end sessions that were just used.
    const [LONG, SHORT] = [12, 6];
    const VISITORS = 6;
    const start = (idle: number) =>
      Server.start({
        SESSION_FILE_DIR: dir,
        PERMANENT_SESSION_LIFETIME: String(idle),
        SESSION_ABSOLUTE_LIFETIME: String(idle * 100),
      });
    const servers = [await start(LONG), await start(LONG)];
    const short = new Set<Server>();
    let visits = 0;
    try {
      const visitors = Array.from({ length: VISITORS }, () => new Browser(""));
      const at = (visitor: Browser, server: Server) => {
        const browser = new Browser(server.origin);
        for (const [name, value] of visitor.cookies) browser.cookies.set(name, value);
        return browser;
      };
      for (const [index, visitor] of visitors.entries()) {
        const browser = at(visitor, servers[index % 2]!);
        assertEquals(await browser.post("/add", { username: `Ada ${index}` }), 303);
        visitor.cookies.set("session", browser.cookies.get("session")!);
      }
      const look = async () => {
        for (const server of servers) {
          for (const [index, visitor] of visitors.entries()) {
            assert(
              (await at(visitor, server).get("/")).includes(`Hi, <bdi>Ada ${index}</bdi>!`),
              "no one is logged out",
            );
            visits++;
          }
        }
      };
      await look();
      for (const idle of [SHORT, SHORT, LONG, LONG]) {
        // The old server keeps running while the new one starts.
        const next = await start(idle);
        await look();
        if (idle === SHORT) short.add(next);
        const old = servers.shift()!;
        servers.push(next);
        assertEquals(await old.stop(), 0);
        for (let i = 0; i < 4; i++) {
          await look();
          await wait(300);
        }
        if (idle === SHORT && servers.every((server) => short.has(server))) {
          // Both servers have the shorter lifetime now, and so has every session.
          const left = visitors.pop()!;
          for (let waited = 0; waited <= SHORT * 1000; waited += 500) {
            await wait(500);
            await look();
          }
          assert(
            !(await at(left, servers[0]!).get("/")).includes("Hi, <bdi>Ada"),
            "a shorter lifetime applies immediately",
          );
        }
      }
      // The next use made them longer: they live on, although they were unused for more than the shorter lifetime.
      await wait(SHORT * 1000 + 500);
      await look();
    } finally {
      for (const server of servers) await server.kill();
    }
    return `${visits} visits at servers with lifetimes of ${LONG} and ${SHORT} seconds: no one logged out; each new ` +
      "lifetime applies immediately";
  },
};
