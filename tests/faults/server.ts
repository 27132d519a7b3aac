/** Scenarios of the server: no handles left, a slow form, a signal during requests, a flood of visitors. */
import { assert, assertEquals } from "@std/assert";
import { Browser, Server, startFlags } from "../support/server.ts";
import { Connection, filesIn, type Scenario, type Stage, until, wait } from "./scenario.ts";

const HOUR = { PERMANENT_SESSION_LIFETIME: "3600" };
const FORM = "username=Ada";

async function isAnswered(origin: string): Promise<boolean> {
  try {
    const response = await fetch(origin, { signal: AbortSignal.timeout(1000) });
    await response.body?.cancel();
    return response.status === 200;
  } catch {
    return false;
  }
}

/** F6. A server with at most 64 handles gets 200 connections that send nothing. */
export const handles: Scenario = {
  name: "F6-handles",
  rounds: 1,
  async play({ dir }: Stage) {
    const program = new URL("../../main.ts", import.meta.url).pathname;
    const command = [
      "sh",
      "-c",
      'ulimit -n 64; exec "$@"',
      "sh",
      Deno.execPath(),
      "run",
      ...startFlags(),
      program,
    ];
    const server = await Server.start({ ...HOUR, SESSION_FILE_DIR: dir }, command);
    let hasEnded = false;
    server.process.status.then(() => hasEnded = true);
    try {
      const known = new Browser(server.origin);
      assertEquals(await known.post("/add", { username: "Ada" }), 303);
      const underWay = await Connection.open(server.origin);
      await underWay.post("/add", FORM.length, { expect: "100-continue" });
      await underWay.receive("100 Continue");

      // The clients keep their connections open. So the server must close some of those on which nothing comes.
      const open = () => Promise.allSettled(Array.from({ length: 200 }, () => Connection.open(server.origin)));
      const idle: Connection[] = [];
      const isOut = () => server.stderr.includes("Connections cannot be accepted");
      for (const result of await open()) if (result.status === "fulfilled") idle.push(result.value);
      await until(isOut, "200 connections use up 64 handles");
      for (const end = Date.now() + 5000; !await isAnswered(server.origin);) {
        assert(Date.now() < end, "it serves again while the connections are open");
      }

      // For two seconds, new connections replace those that it closes.
      for (const end = Date.now() + 2000; Date.now() < end;) {
        for (const result of await open()) if (result.status === "fulfilled") idle.push(result.value);
        for (const connection of idle.splice(0, idle.length - 200)) connection.close();
        await wait(50);
      }
      assert(!hasEnded, "the process is alive");
      await underWay.send(FORM);
      const { status } = await underWay.answer();

      for (const connection of idle) connection.close();
      const start = performance.now();
      while (!await isAnswered(server.origin)) {
        assert(performance.now() - start < 2000, "it serves again within 2 s");
        await wait(20);
      }
      const took = Math.round(performance.now() - start);
      assert((await known.get("/")).includes("Hi, <bdi>Ada</bdi>!"));
      // It is stored, or refused if there was no handle for its file.
      assert(status === 303 || status === 503, `the request under way is answered ${status}`);
      assertEquals(await server.stop(), 0);
      return `same process alive, the request under way answered ${status}; 200 after ${took} ms`;
    } finally {
      await server.kill();
    }
  },
};

/** F7. One form comes at one byte per second, another one does not come at all. */
export const slowForm: Scenario = {
  name: "F7-slow-form",
  rounds: 1,
  waits: true,
  async play({ dir }: Stage) {
    const server = await Server.start({ SESSION_FILE_DIR: dir });
    try {
      const slow = await Connection.open(server.origin);
      const silent = await Connection.open(server.origin);
      const start = performance.now();
      await slow.post("/add", 1000);
      await silent.post("/add", 1000);
      const head = silent.receive("\r\n\r\n");
      let answered: string | undefined;
      let served = 0;
      slow.receive("\r\n\r\n").then((head) => answered = head);
      while (answered === undefined) {
        assert(performance.now() - start < 15_000, "it is answered");
        await slow.send("a").catch(() => {});
        for (let i = 0; i < 4 && answered === undefined; i++) {
          assert(await isAnswered(server.origin), "others are served in between");
          served++;
          await wait(250);
        }
      }
      const took = (performance.now() - start) / 1000;
      assertEquals(answered.slice(0, 12), "HTTP/1.1 408");
      assertEquals((await head).slice(0, 12), "HTTP/1.1 408");
      assert(performance.now() - start < 12_000, "both at about the same time");
      slow.close();
      silent.close();
      assert(took > 9.5 && took < 12, `408 after ${took} s`);
      assertEquals(await server.stop(), 0);
      return `twice 408 after ${took.toFixed(1)} s, ${served} others served in between`;
    } finally {
      await server.kill();
    }
  },
};

/** Waits until the server has got the signal. It then answers 503 to new requests. */
async function untilDraining(origin: string): Promise<void> {
  for (const end = Date.now() + 2000;;) {
    const late = await Connection.open(origin);
    await late.send(`GET / HTTP/1.1\r\nhost: ${new URL(origin).host}\r\nconnection: close\r\n\r\n`);
    const { status } = await late.answer();
    if (status === 503) return;
    assert(Date.now() < end, `a new request is answered ${status}`);
  }
}

/** F9. The server gets SIGTERM while 50 saves are under way and idle connections are open. */
export const stop: Scenario = {
  name: "F9-stop",
  rounds: 5,
  slow: 10,
  async play({ dir, rounds, random }: Stage) {
    const SAVES = 50;
    const env = { ...HOUR, SESSION_FILE_DIR: dir };
    let longest = 0;
    const cookies: string[] = [];
    for (let round = 0; round < rounds; round++) {
      const server = await Server.start(env);
      try {
        const idle = await Promise.all(Array.from({ length: 20 }, async (_, index) => {
          const connection = await Connection.open(server.origin);
          if (index % 2 === 0) return connection;
          await connection.send(`GET /healthz HTTP/1.1\r\nhost: ${new URL(server.origin).host}\r\n\r\n`);
          await connection.receive("ok");
          return connection;
        }));
        const saves = await Promise.all(Array.from({ length: SAVES }, async () => {
          const save = await Connection.open(server.origin);
          await save.post("/add", FORM.length, { expect: "100-continue" });
          await save.receive("100 Continue");
          return save;
        }));
        const start = performance.now();
        server.process.kill("SIGTERM");
        await untilDraining(server.origin);
        await wait(100 * random());
        const answers = await Promise.all(saves.map(async (save) => {
          await save.send(FORM);
          return await save.answer();
        }));
        assertEquals(answers.map(({ status }) => status), Array(SAVES).fill(303));
        cookies.push(...answers.map(({ cookie }) => cookie!));
        assertEquals(await server.ended(), 0);
        const took = performance.now() - start;
        assert(took < 5000, `it took ${took} ms to stop`);
        longest = Math.max(longest, took);
        for (const connection of idle) connection.close();
        assertEquals(filesIn(dir).length, SAVES * (round + 1), "all are stored, nothing else");
      } finally {
        await server.kill();
      }
    }
    const server = await Server.start(env);
    try {
      for (const cookie of cookies) {
        const browser = new Browser(server.origin);
        browser.cookies.set("session", cookie);
        assert((await browser.get("/")).includes("Hi, <bdi>Ada</bdi>!"));
      }
    } finally {
      await server.kill();
    }
    const all = SAVES * rounds;
    return `${all} of ${all} answered and stored, exit 0 after ${Math.round(longest)} ms at most`;
  },
};

/** F10. Many visitors without a cookie, half of whom register. */
export const flood: Scenario = {
  name: "F10-flood",
  rounds: 100,
  async play({ dir, rounds }: Stage) {
    const PER_ROUND = 1000;
    const MAX = 300;
    const OLD = 20;
    const server = await Server.start({ ...HOUR, SESSION_FILE_DIR: dir, SESSION_MAX: String(MAX) });
    const statuses = new Map<number, number>();
    try {
      const old = Array.from({ length: OLD }, () => new Browser(server.origin));
      for (const browser of old) assertEquals(await browser.post("/add", { username: "Ada" }), 303);

      const inParallel = async (count: number, request: () => Promise<void>) => {
        let left = count;
        await Promise.all(Array.from({ length: 16 }, async () => {
          while (left-- > 0) await request();
        }));
      };
      const half = rounds * PER_ROUND / 2;
      await inParallel(half, async () => {
        const browser = new Browser(server.origin);
        await browser.get("/");
        assertEquals(browser.setCookies, []);
      });
      assertEquals(filesIn(dir).length, OLD, "a GET leaves no file");
      await inParallel(half, async () => {
        const browser = new Browser(server.origin);
        const response = await browser.request("/add", {
          method: "POST",
          body: new URLSearchParams({ username: "Eve" }),
        });
        await response.body?.cancel();
        statuses.set(response.status, (statuses.get(response.status) ?? 0) + 1);
        if (response.status === 503) assert(response.headers.has("retry-after"));
      });
      assertEquals(filesIn(dir).length, MAX);
      assertEquals(statuses.get(303), MAX - OLD);
      assertEquals(statuses.get(503), half - (MAX - OLD));
      for (const browser of old) {
        assert((await browser.get("/")).includes("Hi, <bdi>Ada</bdi>!"));
        assertEquals(await browser.post("/remove"), 303, "a registered visitor can log out");
      }
      await until(() => filesIn(dir).length === MAX, "as many files as are allowed");
      return `${half} GETs left 0 files; ${half} POSTs: ${statuses.get(303)} registered up to the ${MAX} allowed, ` +
        `${statuses.get(503)} times 503; ${OLD} of ${OLD} earlier sessions go on`;
    } finally {
      await server.kill();
    }
  },
};

/** A promise that no code awaits is rejected. */
export const background: Scenario = {
  name: "background-failure",
  rounds: 1,
  async play({ dir }: Stage) {
    const program = new URL("rejecting_server.ts", import.meta.url).pathname;
    const command = [Deno.execPath(), "run", "--allow-all", program];
    const server = await Server.start({ ...HOUR, SESSION_FILE_DIR: dir }, command);
    try {
      const browser = new Browser(server.origin);
      assertEquals(await browser.post("/add", { username: "Ada" }), 303);
      await until(() => server.stderr.includes("Something failed in the background: Error"), "the log says so");
      assert((await browser.get("/")).includes("Hi, <bdi>Ada</bdi>!"));
      assertEquals(await server.stop(), 0);
      return "the log says so, the server keeps running";
    } finally {
      await server.kill();
    }
  },
};
