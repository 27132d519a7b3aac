/** Scenarios of the disk: it is full or read-only, its folder is gone, or its files are corrupt. */
import { assert, assertEquals, assertRejects } from "@std/assert";
import { createApp } from "../../lib/server/app.ts";
import type { Visitor } from "../../lib/server/pages.ts";
import { SessionManager } from "../../lib/session_manager.ts";
import { FileStore } from "../../lib/stores/file/store.ts";
import { CREATE, failing, UPDATE } from "../support/failing.ts";
import { Browser, Server } from "../support/server.ts";
import { fileOf, filesIn, keyIn, life, type Scenario, type Stage } from "./scenario.ts";

const STRANGER = "You Need to Register First!";
const HOUR = { PERMANENT_SESSION_LIFETIME: "3600" };
const NO_SPACE = "No space left on device (os error 28)";
const READ_ONLY = "Read-only file system (os error 30)";

/** A visitor of the app in this process, in which calls can be made to fail. */
function visitorOf(dir: string): { browser: Browser; store: FileStore } {
  const store = new FileStore({ dir });
  const sessions = new SessionManager<Visitor>({ store, keys: ["a secret key of at least 32 bytes"] });
  return { browser: new Browser("http://localhost", createApp({ sessions, store })), store };
}

/** Registers a visitor and changes the session again and again, so that each of the calls fails once. */
async function failEachStep(dir: string, message: string): Promise<number> {
  for (const step of [...CREATE, ...UPDATE]) {
    const { browser, store } = visitorOf(dir);
    assertEquals(await browser.post("/add", { username: "Ada" }), 303);
    const cookie = browser.cookies.get("session")!;
    const files = filesIn(dir).length;
    // A subfolder is made only if it is missing, so the empty ones are removed.
    if (step.name === "make the folder") { for (const path of spareFolders(dir, cookie)) await Deno.remove(path); }
    await failing(step, message, async () => {
      if (CREATE.includes(step)) {
        assertEquals(await browser.post("/add", { username: "Eve" }), 503, step.name);
        assertEquals(browser.setCookies, []);
      } else {
        const update = () => store.update(keyIn(cookie), (record) => ({ ...record, data: { user: "Eve" } }));
        const error = await assertRejects(update, Error, message);
        assert(!error.message.includes(keyIn(cookie).slice(3)), "the message names no file");
      }
      const page = await browser.request("/");
      assertEquals(page.status, 200);
      assert((await page.text()).includes("Hi, <bdi>Ada</bdi>!"), step.name);
    });
    assert((await browser.get("/")).includes("Hi, <bdi>Ada</bdi>!"), "the old value is intact");
    assertEquals(filesIn(dir).length, files, `${step.name}: nothing is left behind`);
    assertEquals(await browser.post("/add", { username: "Eve" }), 303, "it works again without a restart");
  }
  return CREATE.length + UPDATE.length;
}

function spareFolders(dir: string, cookie: string): string[] {
  const names = [...Deno.readDirSync(dir)].filter(({ isDirectory }) => isDirectory).map(({ name }) => name);
  return names.filter((name) =>
    name !== cookie.slice(0, 3) && name !== ".processes" && [...Deno.readDirSync(`${dir}/${name}`)].length === 0
  )
    .map((name) => `${dir}/${name}`);
}

async function run(command: string, ...args: string[]): Promise<boolean> {
  try {
    const { success } = await new Deno.Command(command, { args, stderr: "null" }).output();
    return success;
  } catch {
    return false;
  }
}

/** Runs `test` on a separate small file system. Returns `false` if none can be mounted on this machine. */
export async function onOwnDisk(dir: string, options: string, test: (disk: string) => Promise<void>): Promise<boolean> {
  const disk = `${dir}/disk`;
  await Deno.mkdir(disk);
  if (!await run("mount", "-t", "tmpfs", "-o", options, "tmpfs", disk)) return false;
  try {
    await test(disk);
  } finally {
    if (!await run("umount", disk)) await run("umount", "-l", disk);
    await Deno.remove(disk);
  }
  return true;
}

async function withServer(env: Record<string, string>, test: (server: Server) => Promise<void>): Promise<void> {
  const server = await Server.start({ ...HOUR, ...env });
  try {
    await test(server);
    assertEquals(await server.stop(), 0);
  } finally {
    await server.kill();
  }
}

/** Asserts that a visitor can read the page and is still known as Ada, but nothing new can be stored. */
async function assertReadsOnly(browser: Browser, origin: string): Promise<void> {
  assert((await browser.get("/")).includes("Hi, <bdi>Ada</bdi>!"));
  assertEquals(await browser.post("/add", { username: "Eve" }), 503);
  assert((await browser.get("/")).includes("Hi, <bdi>Ada</bdi>!"), "the old value is intact");
  const stranger = new Browser(origin);
  assertEquals(await stranger.post("/add", { username: "Bob" }), 503);
  assert((await stranger.get("/")).includes(STRANGER));
  assertEquals(stranger.cookies.size, 0);
}

/** Asserts that a visitor can log out, though nothing can be stored. */
async function assertLogsOut(browser: Browser, origin: string): Promise<void> {
  const old = new Browser(origin);
  old.cookies.set("session", browser.cookies.get("session")!);
  assertEquals(await browser.post("/remove"), 303);
  assert((await browser.get("/")).includes(STRANGER));
  assert((await old.get("/")).includes(STRANGER), "the old cookie opens nothing");
}

/** F4. No space at each step of a save. */
export const noSpace: Scenario = {
  name: "F4-no-space",
  rounds: 1,
  async play({ dir }: Stage) {
    const failed = await failEachStep(`${dir}/injected`, NO_SPACE);
    const isMounted = await onOwnDisk(dir, "size=400k,nr_inodes=300", async (disk) => {
      const data = `${disk}/data`;
      await withServer({ SESSION_FILE_DIR: data }, async ({ origin }) => {
        const browser = new Browser(origin);
        assertEquals(await browser.post("/add", { username: "Ada" }), 303);
        for (const fill of [fillBytes, fillFiles]) {
          // Empty subfolders would make room when they are swept.
          for (const path of spareFolders(data, browser.cookies.get("session")!)) await Deno.remove(path);
          fill(disk);
          await assertReadsOnly(browser, origin);
          assertEquals(filesIn(data).length, 1, "nothing is left behind");
          await assertLogsOut(browser, origin);
          await Deno.remove(`${disk}/filler`, { recursive: true });
          assertEquals(await browser.post("/add", { username: "Ada" }), 303, "it works again without a restart");
        }
      });
    });
    const real = isMounted
      ? "a disk full of bytes, then of files"
      : "no disk can be mounted here, so only injected failures";
    return `${failed} failing steps, ${real}: 503, old value intact, nothing left behind, pages 200, log-out works`;
  },
};

function fillBytes(disk: string): void {
  using file = Deno.openSync(`${disk}/filler`, { write: true, createNew: true });
  try {
    while (true) file.writeSync(new Uint8Array(4096));
  } catch {
    // Full.
  }
}

function fillFiles(disk: string): void {
  Deno.mkdirSync(`${disk}/filler`);
  try {
    for (let i = 0;; i++) Deno.openSync(`${disk}/filler/${i}`, { write: true, createNew: true }).close();
  } catch {
    // Full.
  }
}

/** F5. A visitor's record becomes something that is no record. */
export const corrupt: Scenario = {
  name: "F5-corrupt",
  rounds: 1,
  async play({ dir }: Stage) {
    const target = `${dir}/target`;
    const data = `${dir}/data`;
    const secret = JSON.stringify({
      version: 1,
      ...life(3_600_000),
      data: { user: "Mallory" },
    });
    await Deno.writeTextFile(target, secret);
    const make: Record<string, (path: string) => unknown> = {
      "empty": (path) => Deno.writeTextFile(path, ""),
      "cut": (path) => Deno.writeTextFile(path, secret.slice(0, -3)),
      "garbage": (path) => Deno.writeFile(path, crypto.getRandomValues(new Uint8Array(200))),
      "other JSON": (path) => Deno.writeTextFile(path, "[null]"),
      "no version": (path) => Deno.writeTextFile(path, secret.replace('"version":1', '"version":0')),
      "10 MB": (path) => Deno.writeTextFile(path, secret + " ".repeat(10_000_000)),
      "folder": (path) => Deno.mkdir(path),
      "link to a file": (path) => Deno.symlink(target, path),
      "link to nothing": (path) => Deno.symlink(`${dir}/nothing`, path),
      "pipe": async (path) => assert(await run("mkfifo", path)),
    };
    let log = "";
    const server = await Server.start({ ...HOUR, SESSION_FILE_DIR: data });
    try {
      for (const [kind, makeIt] of Object.entries(make)) {
        const browser = new Browser(server.origin);
        await browser.post("/add", { username: "Ada" });
        const cookie = browser.cookies.get("session")!;
        const path = fileOf(data, cookie);
        await Deno.remove(path);
        // Its time is in the future; otherwise the sweep might remove it first.
        const beside = `${path}.making`;
        await makeIt(beside);
        if ((await Deno.lstat(beside)).isFile) await Deno.utime(beside, Date.now() / 1000, Date.now() / 1000 + 3600);
        await Deno.rename(beside, path);
        const page = await browser.request("/");
        assertEquals(page.status, 200, kind);
        assert((await page.text()).includes(STRANGER), kind);
        assertEquals(await browser.post("/add", { username: "Eve" }), 303, kind);
        assert(browser.cookies.get("session") !== cookie, `${kind}: its id is not used again`);
        assert((await browser.get("/")).includes("Hi, <bdi>Eve</bdi>!"), kind);
        await Deno.lstat(`${path}.corrupt`);
      }
      // A record of a later version is left alone.
      const browser = new Browser(server.origin);
      await browser.post("/add", { username: "Ada" });
      const path = fileOf(data, browser.cookies.get("session")!);
      const later = secret.replace('"version":1', '"version":99');
      await Deno.writeTextFile(path, later);
      assert((await browser.get("/")).includes(STRANGER));
      assertEquals(await browser.post("/add", { username: "Eve" }), 303);
      assertEquals(await Deno.readTextFile(path), later);
    } finally {
      await server.kill();
      log = server.stderr;
    }
    assert(/warn A corrupt session record was put aside/.test(log), "the log says so");
    assert(!/[0-9a-f]{30}/.test(log), "the log holds no id");
    assertEquals(await Deno.readTextFile(target), secret);
    return `${
      Object.keys(make).length
    } kinds: fresh visitor, 200, put aside; the target of a link and a later version's record are untouched`;
  },
};

/** F12. The folder is made read-only, then taken away, then put back. */
export const readOnly: Scenario = {
  name: "F12-read-only",
  rounds: 1,
  async play({ dir }: Stage) {
    await failEachStep(`${dir}/injected`, READ_ONLY);
    const isMounted = await onOwnDisk(dir, "size=1m", async (disk) => {
      const data = `${disk}/data`;
      await withServer({ SESSION_FILE_DIR: data }, async ({ origin }) => {
        const browser = new Browser(origin);
        assertEquals(await browser.post("/add", { username: "Ada" }), 303);
        assert(await run("mount", "-o", "remount,ro", disk));
        await assertReadsOnly(browser, origin);
        assertEquals(await browser.post("/remove"), 503);
        assert((await browser.get("/")).includes("Hi, <bdi>Ada</bdi>!"), "the log-out was refused");
        assert(await run("mount", "-o", "remount,rw", disk));
        assertEquals(await browser.post("/add", { username: "Ada" }), 303, "it works again without a restart");
      });
    });
    const data = `${dir}/data`;
    await withServer({ SESSION_FILE_DIR: data }, async ({ origin }) => {
      const browser = new Browser(origin);
      assertEquals(await browser.post("/add", { username: "Ada" }), 303);
      const cookie = browser.cookies.get("session")!;
      await Deno.rename(data, `${dir}/away`);
      // For a quarter of a second, the session is still answered from the cache.
      await new Promise((resolve) => setTimeout(resolve, 300));
      const response = await browser.request("/");
      await response.body?.cancel();
      assertEquals(response.status, 503);
      assert((await new Browser(origin).get("/")).includes(STRANGER));
      assertEquals(await browser.post("/add", { username: "Eve" }), 503);
      await Deno.rename(`${dir}/away`, data);
      browser.cookies.set("session", cookie);
      assert((await browser.get("/")).includes("Hi, <bdi>Ada</bdi>!"));
      assertEquals(await browser.post("/add", { username: "Ada" }), 303, "it works again without a restart");
    });
    const real = isMounted ? "a disk mounted read-only" : "no disk can be mounted here, so only injected failures";
    return `${real}, then the folder taken away: strangers 200, sessions 503; put back: as before`;
  },
};
