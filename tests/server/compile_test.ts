/** The executable that `deno task compile` makes. The tests copy it into an empty folder and run it there. */
import { assert, assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { Browser, Server } from "../support/server.ts";

// The path of the executable. If it is not set, these tests are reported as ignored.
const binary = Deno.env.get("TEST_BINARY");
// Whether it is a shell script with Deno packed into it, because the base runtime of `deno compile` was not available.
const isPacked = binary !== undefined && startsWithShebang(binary);
const isRoot = Deno.build.os !== "windows" && Deno.uid() === 0;
const OTHER_USER = 65534;

/** A folder that contains only the executable, with an empty home and an empty temporary folder beside it. */
class Place {
  readonly folder = Deno.makeTempDirSync({ prefix: "session-server-" });
  readonly home = `${this.folder}/home`;
  readonly tmp = `${this.folder}/tmp`;
  readonly work = `${this.folder}/work`;
  readonly #servers: Server[] = [];

  constructor() {
    Deno.chmodSync(this.folder, 0o755);
    for (const folder of [this.home, this.tmp, this.work]) Deno.mkdirSync(folder);
    Deno.copyFileSync(binary!, `${this.work}/session-server`);
  }

  /** The command that runs the executable. Its environment has only the given variables and the folders. */
  command(env: Record<string, string> = {}, before: string[] = []): string[] {
    const all = Object.entries({ PORT: "0", HOME: this.home, TMPDIR: this.tmp, ...env });
    const set = all.map(([name, value]) => `${name}=${value}`);
    return ["sh", "-c", 'cd "$0" && exec "$@"', this.work, ...before, "env", "-i", ...set, "./session-server"];
  }

  async start(env: Record<string, string> = {}, before: string[] = []): Promise<Server> {
    const server = await Server.start({}, this.command(env, before));
    this.#servers.push(server);
    return server;
  }

  async spawn(env: Record<string, string> = {}): Promise<Server> {
    const server = await Server.spawn({}, this.command(env));
    this.#servers.push(server);
    return server;
  }

  /** The folder that the executable was unpacked into. */
  cache(below = `${this.home}/.cache`): string {
    const names = list(below).filter((name) => name.startsWith("session-server-"));
    assertEquals(names.length, 1, `needed one folder in ${below}, found ${names}`);
    return `${below}/${names[0]}`;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const server of this.#servers) await server.kill();
    Deno.removeSync(this.folder, { recursive: true });
  }
}

function test(name: string, run: (place: Place) => Promise<void>, needed = true): void {
  Deno.test(`compiled: ${name}`, { ignore: binary === undefined || !needed }, async () => {
    await using place = new Place();
    await run(place);
  });
}

function testPacked(name: string, run: (place: Place) => Promise<void>, needed = true): void {
  test(name, run, needed && isPacked);
}

test("does its whole work alone in an empty folder, in an empty environment", async (place) => {
  const server = await place.start({ PERMANENT_SESSION_LIFETIME: "2" });
  const browser = new Browser(server.origin);
  assertStringIncludes(await browser.get("/"), "You Need to Register First!");
  assertEquals(browser.setCookies, []);
  assertStringIncludes(await browser.get("/add"), "Enter your username to continue.");
  assertEquals(await browser.post("/add", { username: " " }), 422);
  assertEquals(await browser.post("/add", { username: "Ada" }), 303);
  const home = await browser.get("/");
  assertStringIncludes(home, "Hi, <bdi>Ada</bdi>!");
  assertStringIncludes(home, "Successfully registered username - <bdi>Ada</bdi>.");
  const [, style = ""] = /<link rel="stylesheet" href="([^"]+)">/.exec(home)!;
  assertStringIncludes(await browser.get(style), "body {");
  assertEquals(await browser.post("/remove"), 303);
  assertStringIncludes(await browser.get("/"), "Username Removed from Session Storage.");
  assertEquals(await browser.post("/add", { username: "Ada" }), 303);
  await new Promise((resolve) => setTimeout(resolve, 2100));
  assertStringIncludes(await browser.get("/"), "You Need to Register First!");
  assertEquals(await browser.get("/healthz"), "ok");
  assertEquals(await server.stop(), 0);
  assertEquals(server.stdout.split("\n").length, 2);
});

test("keeps its sessions over a restart, in files and in SQLite", async (place) => {
  for (const env of [{}, { SESSION_TYPE: "sqlite", SESSION_URL: `sqlite:${place.work}/sessions.db` }]) {
    const first = await place.start(env);
    const browser = new Browser(first.origin);
    assertEquals(await browser.post("/add", { username: "Ada" }), 303);
    assertEquals(await first.stop(), 0);
    const second = await place.start(env);
    const later = new Browser(second.origin);
    for (const [name, value] of browser.cookies) later.cookies.set(name, value);
    assertStringIncludes(await later.get("/"), "Hi, <bdi>Ada</bdi>!");
    assertEquals(await second.stop(), 0);
  }
});

test("has the clients of the shared stores, and names a server it cannot reach", async (place) => {
  const users: Record<string, string> = { redis: "", postgres: "user@", memcached: "", mongodb: "" };
  for (const [type, user] of Object.entries(users)) {
    const server = await place.spawn({ SESSION_TYPE: type, SESSION_URL: `${type}://${user}127.0.0.1:9/` });
    assertEquals(await server.ended(), 1);
    const line = server.stderr.trimEnd().split("\n").at(-1)!;
    assertMatch(
      line,
      /^Cannot start: .*"SESSION_URL" must be the address of a store that can be used: .*127\.0\.0\.1:9/,
    );
    assert(!line.includes("Module not found"), line);
  }
});

test("serves from Deno KV, and lists and ends sessions by its arguments", async (place) => {
  const env = { SESSION_TYPE: "denokv", SESSION_URL: `denokv:${place.work}/kv.db` };
  const server = await place.start(env);
  const browser = new Browser(server.origin);
  assertEquals(await browser.post("/add", { username: "Ada" }), 303);
  const run = async (...args: string[]) => {
    const command = await Server.spawn({}, place.command(env), args);
    return [await command.ended(), command.stdout, command.stderr];
  };
  const [code, table, count] = await run("sessions", "list", "--user", "Ada");
  assertEquals([code, count], [0, "1 live session\n"]);
  const [name = ""] = /^[0-9a-f]{12}/m.exec(String(table))!;
  assertEquals(await run("sessions", "revoke", name), [0, `Ended session ${name}\n`, ""]);
  assertStringIncludes(await browser.get("/"), "You Need to Register First!");
  assertMatch(String(await run("--version")), /^0,session-server \d+\.\d+\.\d+\n,$/);
  assertEquals((await run("--port=9"))[0], 2);
  assertEquals(await server.stop(), 0);
});

test("ends with code 1 for a wrong setting, and says what the value must be", async (place) => {
  const server = await place.spawn({ PORT: "abc" });
  assertEquals(await server.ended(), 1);
  assertEquals(server.stdout, "");
  assertEquals(server.stderr, 'Cannot start: "PORT" must be an integer from 0 to 65535: received "abc"\n');
});

test("stops cleanly on SIGTERM and on SIGINT", async (place) => {
  for (const signal of ["SIGTERM", "SIGINT"] as const) {
    const server = await place.start();
    assertEquals(await server.stop(signal), 0);
  }
});

test("writes nothing but its sessions and its own cache", async (place) => {
  const server = await place.start();
  assertEquals(await new Browser(server.origin).post("/add", { username: "Ada" }), 303);
  assertEquals(await server.stop(), 0);
  assertEquals(list(place.work), ["session-server", "session_data"]);
  assertEquals(list(place.tmp), []);
  if (isPacked) {
    assertEquals(list(place.home), [".cache"]);
    assertEquals(list(`${place.home}/.cache`).length, 1);
    assertEquals(Deno.statSync(place.cache()).mode! & 0o777, 0o700);
  } else {
    assertEquals(list(place.home), []);
  }
});

testPacked("unpacks at the first start only", async (place) => {
  const started = async () => {
    assertEquals(await (await place.start()).stop(), 0);
    return Deno.statSync(`${place.cache()}/deno`).ino;
  };
  assertEquals(await started(), await started());
});

testPacked("unpacks into XDG_CACHE_HOME if that is set", async (place) => {
  const server = await place.start({ XDG_CACHE_HOME: `${place.folder}/xdg` });
  place.cache(`${place.folder}/xdg`);
  assertEquals(list(place.home), []);
  assertEquals(await server.stop(), 0);
});

testPacked("first starts at the same time do not disturb each other", async (place) => {
  const servers = await Promise.all([1, 2, 3].map((n) => place.start({ SESSION_FILE_DIR: `${place.work}/data${n}` })));
  for (const server of servers) {
    assertEquals(await new Browser(server.origin).get("/healthz"), "ok");
    assertEquals(await server.stop(), 0);
  }
  assertEquals(list(place.cache()).filter((name) => name.startsWith("new.")), []);
});

testPacked("replaces damaged files in its cache", async (place) => {
  assertEquals(await (await place.start()).stop(), 0);
  const cache = place.cache();
  const whole = Deno.readFileSync(`${cache}/deno`);
  const damages: Record<string, () => void> = {
    "the runtime is cut": () => Deno.truncateSync(`${cache}/deno`, 1_000_000),
    "one bit is another": () => {
      const bytes = whole.slice();
      bytes[50_000_000]! ^= 1;
      Deno.writeFileSync(`${cache}/deno`, bytes);
    },
    "the runtime cannot be executed": () => Deno.chmodSync(`${cache}/deno`, 0o600),
    "the program is empty": () => Deno.writeTextFileSync(`${cache}/main.js`, ""),
    "the program is another": () => Deno.writeTextFileSync(`${cache}/main.js`, "console.log('Listening on it')"),
    "the program is a link": () => {
      Deno.renameSync(`${cache}/main.js`, `${cache}/other.js`);
      Deno.symlinkSync("/etc/passwd", `${cache}/main.js`);
    },
    "unpacking was killed half-way": () => {
      Deno.removeSync(`${cache}/main.js`);
      Deno.mkdirSync(`${cache}/new.999999999.abcdef`);
      Deno.writeTextFileSync(`${cache}/new.999999999.abcdef/deno`, "half");
    },
    "the runtime's own cache is garbage": () => {
      for (const name of list(`${cache}/cache`)) {
        if (name.endsWith("_v2")) Deno.writeTextFileSync(`${cache}/cache/${name}`, "garbage");
      }
    },
  };
  for (const [damage, inflict] of Object.entries(damages)) {
    inflict();
    const server = await place.start().catch((error) => {
      throw new Error(`not mended when ${damage}`, { cause: error });
    });
    assertEquals(await new Browser(server.origin).get("/healthz"), "ok", damage);
    assertEquals(await server.stop(), 0, damage);
    assertEquals(Deno.readFileSync(`${cache}/deno`).length, whole.length, damage);
    assertEquals(list(cache).filter((name) => name.startsWith("new.")), [], damage);
  }
});

testPacked("falls back to a temporary folder if the home cannot be written", async (place) => {
  Deno.chmodSync(place.home, 0o500);
  Deno.chmodSync(place.tmp, 0o1777);
  // Root can write to every folder.
  if (isRoot) { for (const folder of [place.home, place.work]) Deno.chownSync(folder, OTHER_USER, OTHER_USER); }
  const before = isRoot ? ["setpriv", `--reuid=${OTHER_USER}`, `--regid=${OTHER_USER}`, "--clear-groups"] : [];
  const server = await place.start({}, before);
  assertEquals(await new Browser(server.origin).get("/healthz"), "ok");
  assertEquals(await server.stop(), 0);
  assertEquals(list(place.home), []);
  assertEquals(Deno.statSync(place.cache(place.tmp)).mode! & 0o777, 0o700);
});

testPacked("runs without a home", async (place) => {
  const server = await place.start({}, []);
  assertEquals(await server.stop(), 0);
  const command = place.command().filter((part) => !part.startsWith("HOME="));
  const homeless = await Server.start({}, command);
  assertEquals(await homeless.stop(), 0);
  place.cache(place.tmp);
});

testPacked("never runs a program behind a link, and does not change it", async (place) => {
  assertEquals(await (await place.start()).stop(), 0);
  const cache = place.cache();
  Deno.renameSync(cache, `${place.folder}/elsewhere`);
  Deno.symlinkSync(`${place.folder}/elsewhere`, cache);
  const before = Deno.statSync(`${place.folder}/elsewhere`).mtime;
  assertEquals(await (await place.start()).stop(), 0);
  place.cache(place.tmp);
  assertEquals(Deno.statSync(`${place.folder}/elsewhere`).mtime, before);
});

testPacked("never runs a program that another user could change", async (place) => {
  const chosen = `${place.folder}/chosen`;
  const cache = `${chosen}/cache`;
  // A change of the folders, and whether XDG_CACHE_HOME is still used after it.
  const cases: Record<string, [inflict: () => void, used: boolean]> = {
    "nothing": [() => {}, true],
    "others can write": [() => Deno.chmodSync(cache, 0o777), false],
    "its group can write": [() => Deno.chmodSync(cache, 0o775), false],
    "others can write above": [() => Deno.chmodSync(chosen, 0o757), false],
    "it is sticky and this user's": [() => Deno.chmodSync(cache, 0o1777), true],
    "it lies in a sticky folder": [() => Deno.chmodSync(chosen, 0o1777), true],
    "it is another user's": [() => Deno.chownSync(cache, OTHER_USER, OTHER_USER), false],
    "it is sticky and another user's": [() => {
      Deno.chmodSync(cache, 0o1777);
      Deno.chownSync(cache, OTHER_USER, OTHER_USER);
    }, false],
    "it lies in a sticky folder of another user's": [() => {
      Deno.chmodSync(chosen, 0o1777);
      Deno.chownSync(chosen, OTHER_USER, OTHER_USER);
    }, false],
    "it is a link to a folder of this user's": [() => {
      Deno.renameSync(cache, `${chosen}/other`);
      Deno.symlinkSync("other", cache);
    }, true],
    "it is a link to where others can write": [() => {
      Deno.renameSync(cache, `${chosen}/other`);
      Deno.chmodSync(`${chosen}/other`, 0o777);
      Deno.symlinkSync("other", cache);
    }, false],
  };
  for (const [name, [inflict, used]] of Object.entries(cases)) {
    Deno.mkdirSync(cache, { recursive: true });
    inflict();
    const version = await Server.spawn({}, place.command({ XDG_CACHE_HOME: cache }), ["--version"]);
    assertEquals([await version.ended(), version.stderr], [0, ""], name);
    assertEquals(list(cache).length, used ? 1 : 0, name);
    Deno.removeSync(chosen, { recursive: true });
  }
}, isRoot);

testPacked("never runs a program from a folder that another user could write to", async (place) => {
  const version = async () => {
    const run = await Server.spawn({}, place.command(), ["--version"]);
    assertEquals([await run.ended(), run.stderr], [0, ""]);
  };
  await version();
  const cache = place.cache();
  Deno.chmodSync(cache, 0o777);
  Deno.writeTextFileSync(`${cache}/main.js`, "not run");
  await version();
  assertEquals(Deno.readTextFileSync(`${cache}/main.js`), "not run");
  Deno.removeSync(place.cache(place.tmp), { recursive: true });
  // A file where the folder should be.
  Deno.removeSync(cache, { recursive: true });
  Deno.writeTextFileSync(cache, "");
  await version();
  place.cache(place.tmp);
}, isRoot);

testPacked("prints one line if there is no folder to unpack into", async (place) => {
  const server = await place.spawn({ HOME: "/proc", TMPDIR: "/proc" });
  assertEquals(await server.ended(), 1);
  assertEquals(server.stdout, "");
  assertMatch(
    server.stderr,
    /^Cannot start: no folder to unpack the program into and run it from: set XDG_CACHE_HOME [^\n]+\n$/,
  );
});

testPacked("leaves nothing half-done if it is ended while it unpacks", async (place) => {
  const server = await place.spawn();
  const cache = `${place.home}/.cache`;
  // The folder in the cache is made a moment after the cache.
  const isUnpacking = () =>
    exists(cache) && list(cache).length > 0 && list(place.cache()).some((name) => name.startsWith("new."));
  while (!isUnpacking()) {
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
  assertEquals(await server.stop(), 143);
  assertEquals(list(place.cache()), []);
});

function startsWithShebang(path: string): boolean {
  using file = Deno.openSync(path);
  const start = new Uint8Array(2);
  file.readSync(start);
  return new TextDecoder().decode(start) === "#!";
}

function list(folder: string): string[] {
  return [...Deno.readDirSync(folder)].map(({ name }) => name).sort();
}

function exists(path: string): boolean {
  try {
    Deno.lstatSync(path);
    return true;
  } catch {
    return false;
  }
}
