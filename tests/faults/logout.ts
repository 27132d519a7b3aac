/** Scenarios of logging out: while a save is under way, and seen from other processes. */
import { assert, assertEquals } from "@std/assert";
import { Browser, Server } from "../support/server.ts";
import { Connection, filesIn, type Scenario, type Stage, wait } from "./scenario.ts";

/** The heading of the home page for a visitor that it does not know. */
const STRANGER = "You Need to Register First!";

/** F2. A visitor logs out, at the same server or at another one, while a form of the same visitor is still arriving. */
export const logout: Scenario = {
  name: "F2-logout",
  rounds: 1000,
  async play({ dir, rounds, random }: Stage) {
    const env = { SESSION_FILE_DIR: dir, PERMANENT_SESSION_LIFETIME: "3600" };
    const servers = [await Server.start(env)];
    servers.push(await Server.start(env));
    const outcomes = { logoutFirst: 0, saveFirst: 0 };
    try {
      for (let round = 0; round < rounds; round++) {
        const [here, there] = random() < 0.5 ? servers : [servers[0]!, servers[0]!];
        const browser = new Browser(here!.origin);
        assertEquals(await browser.post("/add", { username: "Ada" }), 303);
        const cookie = browser.cookies.get("session")!;

        const slow = await Connection.open(here!.origin);
        const form = "username=Eve";
        await slow.post("/add", form.length, { cookie: `session=${cookie}`, expect: "100-continue" });
        // The server has the request. It opens the session before it answers the next request.
        await slow.receive("100 Continue");
        await new Browser(here!.origin).get("/healthz");
        const other = new Browser(there!.origin);
        other.cookies.set("session", cookie);

        const isRace = random() < 0.5;
        const out = isRace ? wait(2 * random()).then(() => other.post("/remove")) : other.post("/remove");
        if (isRace) await wait(2 * random());
        else assertEquals(await out, 303);
        await slow.send(form);
        const { status, cookie: given } = await slow.answer();
        const said = await out;
        const left = other.cookies.get("session");

        if (status === 409) {
          outcomes.logoutFirst++;
          assertEquals(said, 303);
          assertEquals(given, undefined, "a request that stored nothing sets no cookie");
          assert(left !== undefined && left !== cookie, "the log-out gave the session a new id");
          assert((await other.get("/")).includes("Username Removed"));
        } else {
          // The save was stored before the log-out, which then found no session under this id.
          outcomes.saveFirst++;
          assert(status === 303 && (said === 303 || said === 409));
          assert(isRace && given !== undefined && given !== cookie && left === cookie, "the save came first");
        }
        for (const server of servers) {
          const old = new Browser(server.origin);
          old.cookies.set("session", cookie);
          assert((await old.get("/")).includes(STRANGER), `round ${round}: an ended session was revived`);
        }
        assertEquals(filesIn(dir).length, round + 1, "one session is left per round");
      }
      assert(servers.every(({ stderr }) => !/ error /.test(stderr)), "nothing failed");
    } finally {
      for (const server of servers) await server.kill();
    }
    return `${outcomes.logoutFirst} log-outs came first, and the save was answered 409; ` +
      `${outcomes.saveFirst} saves came first; 0 revived`;
  },
};

/** F13. Five processes know a visitor, who logs out at one. The four others refuse the session immediately. */
export const everywhere: Scenario = {
  name: "F13-everywhere",
  rounds: 100,
  async play({ dir, rounds, random }: Stage) {
    const env = { SESSION_FILE_DIR: dir };
    const servers = [await Server.start(env)];
    servers.push(...await Promise.all(Array.from({ length: 4 }, () => Server.start(env))));
    let answers = 0;
    try {
      for (let round = 0; round < rounds; round++) {
        const any = () => Math.floor(random() * servers.length);
        const browser = new Browser(servers[any()]!.origin);
        await browser.post("/add", { username: "Ada" });
        const visit = (server: Server): Promise<string> => {
          const visitor = new Browser(server.origin);
          visitor.cookies.set("session", browser.cookies.get("session")!);
          return visitor.get("/");
        };
        // After this time and these visits, each process has the session in its cache.
        await wait(60);
        for (let i = 0; i < 2; i++) {
          for (const page of await Promise.all(servers.map(visit))) assert(page.includes("Hi, <bdi>Ada</bdi>!"));
        }
        const at = any();
        const leaving = new Browser(servers[at]!.origin);
        leaving.cookies.set("session", browser.cookies.get("session")!);
        assertEquals(await leaving.post("/remove"), 303);
        const pages = await Promise.all(servers.filter((_, index) => index !== at).map(visit));
        for (const page of pages) assert(page.includes(STRANGER), `round ${round}: still known elsewhere`);
        answers += pages.length;
      }
    } finally {
      for (const server of servers) await server.kill();
    }
    return `${rounds} log-outs, ${answers} of ${4 * rounds} answers of the other four processes were for a stranger`;
  },
};
