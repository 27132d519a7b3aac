/** A scenario of SQLite on a full disk: the answers must be true, however little space is left. */
import { assert, assertEquals } from "@std/assert";
import { Browser, Server } from "../support/server.ts";
import { onOwnDisk } from "./disk.ts";
import { accepted, type Scenario, type Stage } from "./scenario.ts";

/** Fills a disk, except for some bytes. */
function fill(disk: string, free: number): void {
  using file = Deno.openSync(`${disk}/filler`, { write: true, create: true });
  try {
    while (true) file.writeSync(new Uint8Array(4096));
  } catch {
    // Full.
  }
  file.truncateSync(Math.max(0, file.statSync().size - free));
}

/** Visitors register, register again and log out while the database's disk fills up. */
export const fullDatabase: Scenario = {
  name: "full-database",
  rounds: 20,
  slow: 10,
  async play({ dir, rounds, random }: Stage) {
    const VISITORS = 12;
    const figures = { made: 0, refused: 0, renewed: 0, notRenewed: 0, loggedOut: 0, notLoggedOut: 0 };
    const isMounted = await onOwnDisk(dir, "size=2m", async (disk) => {
      for (let round = 0; round < rounds; round++) {
        const env = {
          SESSION_TYPE: "sqlite",
          SESSION_URL: `sqlite:${disk}/${round}.db`,
          SESSION_FILE_DIR: `${dir}/key`,
          PERMANENT_SESSION_LIFETIME: "3600",
        };
        const server = await Server.start(env);
        try {
          await fullRound(server, disk, VISITORS, Math.floor(16 * random()) * 4096, figures);
        } finally {
          await server.kill();
        }
        for (const name of [`${round}.db`, `${round}.db-wal`, `${round}.db-shm`]) {
          await Deno.remove(`${disk}/${name}`).catch(() => {});
        }
      }
    });
    if (!isMounted) return "not played: no disk can be mounted here";
    assert(figures.refused + figures.notRenewed > 0, "the disk was full");
    return `${figures.renewed} renewals done and ${figures.notRenewed} refused, ${figures.loggedOut} log-outs done and ` +
      `${figures.notLoggedOut} refused, ${figures.refused} of ${figures.made + figures.refused} new ones refused: ` +
      "each as its answer said";
  },
};

type Figures = Record<"made" | "refused" | "renewed" | "notRenewed" | "loggedOut" | "notLoggedOut", number>;

async function fullRound(server: Server, disk: string, count: number, free: number, figures: Figures): Promise<void> {
  const withCookie = (cookie: string) => {
    const browser = new Browser(server.origin);
    browser.cookies.set("session", cookie);
    return browser;
  };
  const knows = async (cookie: string, name: string) => {
    let page = "";
    const status = await accepted(async () => {
      const response = await withCookie(cookie).request("/");
      page = await response.text();
      return response.status;
    });
    assertEquals(status, 200);
    return page.includes(`Hi, <bdi>${name}</bdi>!`);
  };
  const register = (browser: Browser) => accepted(() => browser.post("/add", { username: "Ada" }));
  const cookies: string[] = [];
  for (let i = 0; i < count; i++) {
    const browser = new Browser(server.origin);
    assertEquals(await register(browser), 303);
    cookies.push(browser.cookies.get("session")!);
  }
  fill(disk, free);
  for (let i = 0; i < 3 * count; i++) {
    const status = await new Browser(server.origin).post("/add", { username: "x".repeat(60) });
    assert(status === 303 || status === 503);
    status === 303 ? figures.made++ : figures.refused++;
  }
  for (const [index, cookie] of cookies.entries()) {
    const browser = withCookie(cookie);
    const status = await browser.post("/add", { username: "Eve" });
    const now = browser.cookies.get("session")!;
    if (status === 303) {
      figures.renewed++;
      assert(now !== cookie && await knows(now, "Eve"), "the new id works");
      assert(!await knows(cookie, "Ada") && !await knows(cookie, "Eve"), "the old id is dead");
    } else {
      figures.notRenewed++;
      assertEquals(status, 503);
      assert(now === cookie && await knows(cookie, "Ada"), "nothing was changed");
    }
    cookies[index] = now;
  }
  for (const cookie of cookies) {
    const name = await knows(cookie, "Eve") ? "Eve" : "Ada";
    const status = await withCookie(cookie).post("/remove");
    if (status === 303) {
      figures.loggedOut++;
      assert(!await knows(cookie, name), "a log-out that was acknowledged was done");
    } else {
      figures.notLoggedOut++;
      assertEquals(status, 503);
      assert(await knows(cookie, name), "nothing was changed");
    }
  }
  await Deno.remove(`${disk}/filler`);
  assertEquals(await register(new Browser(server.origin)), 303, "it works again without a restart");
}
