/** The operator's command, as a process beside a running server. */
import { assert, assertEquals, assertMatch } from "@std/assert";
import { keyOf, newId } from "../../lib/id.ts";
import { FileStore } from "../../lib/stores/file/store.ts";
import { SqliteStore } from "../../lib/stores/sqlite/store.ts";
import { Browser, type Outcome, Server, withFolder } from "../support/server.ts";

const HEADER = "HANDLE        USER              MADE   USED   LEFT   SIZE     BOUND  DATA\n";

/** Runs `sessions …` with these settings. */
const sessions = (env: Record<string, string>, ...args: string[]) => Server.run(env, "sessions", ...args);

/** A new key for a session of a user. */
async function keyIn(store: FileStore, user: string | undefined): Promise<string> {
  return newId(user === undefined ? undefined : await store.groupOf(user));
}

/** Stores a session in a folder, with a user, data and a number of remaining seconds. */
async function keep(store: FileStore, user: string | undefined, data = {}, left = 60, id?: string) {
  const now = Date.now();
  const times = { created: now - 9000, idle: 60_000, expires: now + left * 1000, deadline: now + 3_600_000 };
  await store.create(id ?? await keyIn(store, user), { data, ...times, user });
}

for (const type of ["filesystem", "sqlite"]) {
  Deno.test(`sessions on ${type}: lists and ends the sessions of a running server`, async () => {
    await withFolder(async (dir) => {
      const env = { SESSION_TYPE: type, SESSION_FILE_DIR: dir, SESSION_URL: `sqlite:${dir}/sessions.db` };
      const server = await Server.start(env);
      try {
        const [ada, ada2, bob] = [1, 2, 3].map(() => new Browser(server.origin)) as [Browser, Browser, Browser];
        await ada.post("/add", { username: "Ada" });
        await ada2.post("/add", { username: "Ada" });
        await bob.post("/add", { username: "Bob" });

        const all = await sessions(env, "list");
        assertEquals([all.code, all.stderr], [0, "3 live sessions\n"]);
        assert(all.stdout.startsWith(HEADER) && !/[0-9a-f]{13}/.test(all.stdout), "no whole id is shown");
        const own = await sessions(env, "list", "--user", "Bob");
        assertEquals(own.stderr, "1 live session\n");
        const [, name = ""] = /^([0-9a-f]{12}) {2}Bob {2}.* user, greet/m.exec(own.stdout)!;

        assertEquals((await sessions(env, "revoke", name.slice(0, 6).toUpperCase())).stdout, `Ended session ${name}\n`);
        assertMatch(await bob.get("/"), /You Need to Register First!/);
        assertMatch(await ada.get("/"), /Hi, <bdi>Ada<\/bdi>!/);
        assertEquals((await sessions(env, "revoke", "--user", "Ada")).stdout, "Ended 2 sessions\n");
        for (const browser of [ada, ada2]) assertMatch(await browser.get("/"), /You Need to Register First!/);

        const again = await sessions(env, "revoke", name);
        assertEquals([again.code, again.stderr], [
          1,
          "The command failed: there is no such session, or it has ended\n",
        ]);
        assertEquals((await sessions(env, "list", "--json")).stdout, "[]\n");
      } finally {
        await server.stop();
      }
    });
  });
}

Deno.test("sessions: a whole id ends its session, in capitals too", async () => {
  await withFolder(async (dir) => {
    const store = new FileStore({ dir });
    const id = await keyIn(store, "Ada");
    await keep(store, "Ada", {}, 60, keyOf(id));
    const revoke = async () => (await sessions({ SESSION_FILE_DIR: dir }, "revoke", id.toUpperCase())).code;
    assertEquals([await revoke(), await revoke()], [0, 1]);
    assertEquals(await Array.fromAsync(store.list()), []);
  });
});

Deno.test("sessions: digits that name several sessions end none of them", async () => {
  await withFolder(async (dir) => {
    const store = new FileStore({ dir });
    // Among so many, some share their first three digits.
    for (let n = 0; n < 400; n++) await keep(store, undefined);
    const listed = JSON.parse((await sessions({ SESSION_FILE_DIR: dir }, "list", "--json")).stdout) as {
      handle: string;
    }[];
    const names = listed.map(({ handle }) => handle.slice(0, 3));
    const shared = names.find((name, index) => names.indexOf(name) !== index)!;
    const { code, stderr } = await sessions({ SESSION_FILE_DIR: dir }, "revoke", shared);
    assertEquals(code, 1);
    assertMatch(
      stderr,
      /^The command failed: \d+ sessions have a handle that begins with these digits: give more digits\n$/,
    );
    assertEquals((await Array.fromAsync(store.list())).length, 400);
  });
});

Deno.test("sessions: rows fit 80 columns, with any names of users and data", async () => {
  await withFolder(async (dir) => {
    const store = new FileStore({ dir });
    const names = ["x".repeat(300), "線上使用者".repeat(9), "👋".repeat(30), "a\n\tb\x1b[2J\u202Ec", "Ada"];
    for (const name of names) await keep(store, name, { [name]: "x".repeat(5000), other: 1, more: 2 });
    const { stdout } = await sessions({ SESSION_FILE_DIR: dir }, "list");
    const lines = stdout.trimEnd().split("\n");
    assertEquals(lines.length, 1 + names.length);
    for (const line of lines) {
      const columns = [...line].reduce(
        (sum, char) => sum + (/[\u1100-\u115F\u2E80-\uFFDC]|\p{Emoji_Presentation}/u.test(char) ? 2 : 1),
        0,
      );
      assert(columns <= 80 && !/[\p{Cc}\u202E]/u.test(line), `${columns} columns: ${line}`);
    }
  });
});

Deno.test("sessions: --json describes each session, without its id and data", async () => {
  await withFolder(async (dir) => {
    const store = new FileStore({ dir });
    await keep(store, "Ada", { secret: "what no one may see" });
    await keep(store, undefined, {});
    const { stdout, stderr } = await sessions({ SESSION_FILE_DIR: dir }, "list", "--json");
    assertEquals(stderr, "");
    const [ada] = JSON.parse(stdout).filter(({ user }: { user: string }) => user === "Ada");
    const { handle, created, used, expires, deadline, ...rest } = ada;
    assertMatch(handle, /^[0-9a-f]{16}$/);
    for (const time of [created, used, expires, deadline]) assertEquals(new Date(time).toISOString(), time);
    assertEquals(rest, { user: "Ada", bound: false, keys: ["secret"], bytes: 32 });
    const [id] = (await Array.fromAsync(store.sessionsOf("Ada")))[0]!;
    assert(!stdout.includes(id) && !stdout.includes("no one may"), stdout);
  });
});

Deno.test("sessions: sweep removes only expired sessions", async () => {
  await withFolder(async (dir) => {
    const store = new FileStore({ dir });
    for (let n = 0; n < 10; n++) await keep(store, undefined, {}, n < 7 ? -5 : 60);
    const { code, stdout } = await sessions({ SESSION_FILE_DIR: dir }, "sweep");
    assertEquals([code, stdout], [0, "Removed 7 expired sessions\n"]);
    assertEquals((await Array.fromAsync(store.list())).length, 3);
  });
});

Deno.test("sessions: a sweep removes all of many expired sessions from a database", async () => {
  await withFolder(async (dir) => {
    const path = `${dir}/sessions.db`;
    const store = new SqliteStore({ path });
    const gone = Date.now() - 5000;
    const times = { created: gone, idle: 1, expires: gone, deadline: gone };
    for (let n = 0; n < 1500; n++) await store.create(newId(), { data: {}, ...times });
    await store.close();
    const outcome = await sessions({ SESSION_TYPE: "sqlite", SESSION_URL: `sqlite:${path}` }, "sweep");
    assertEquals([outcome.code, outcome.stdout], [0, "Removed 1500 expired sessions\n"]);
  });
});

Deno.test("sessions: a store that does not exist is not created", async () => {
  await withFolder(async (dir) => {
    for (const args of [["list"], ["sweep"], ["revoke", "abc"], ["revoke", "--user", "Ada"]]) {
      const places: [Record<string, string>, RegExp][] = [
        [{ SESSION_FILE_DIR: `${dir}/nowhere` }, /"SESSION_FILE_DIR" must be the folder of a server/],
        [{ SESSION_TYPE: "sqlite", SESSION_URL: `sqlite:${dir}/nowhere.db` }, /"SESSION_URL" must be the database/],
        [{ SESSION_TYPE: "denokv", SESSION_URL: `denokv:${dir}/nowhere.db` }, /"SESSION_URL" must be the database/],
      ];
      for (const [env, message] of places) assertRefused(await sessions(env, ...args), 1, message);
    }
    assertEquals([...Deno.readDirSync(dir)], []);
  });
});

Deno.test("sessions: the files of another program are not changed", async () => {
  await withFolder(async (dir) => {
    const file = `${dir}/notes.txt`;
    Deno.writeTextFileSync(file, "x");
    const places: [Record<string, string>, RegExp][] = [
      [{ SESSION_FILE_DIR: dir }, /"SESSION_FILE_DIR" must be .* which no server has used/],
      [{ SESSION_FILE_DIR: file }, /"SESSION_FILE_DIR" must be .* is not a folder/],
      [{ SESSION_TYPE: "sqlite", SESSION_URL: `sqlite:${file}` }, /"SESSION_URL" must be .* which is not a database/],
      [{ SESSION_TYPE: "denokv", SESSION_URL: `denokv:${file}` }, /"SESSION_URL" must be .* which is not a database/],
    ];
    for (const [env, message] of places) assertRefused(await sessions(env, "list"), 1, message);
    assertEquals([...Deno.readDirSync(dir)].map(({ name }) => name), ["notes.txt"]);
    assertEquals(Deno.readTextFileSync(file), "x");
  });
});

Deno.test("sessions: a user without sessions is an error that names other spellings", async () => {
  await withFolder(async (dir) => {
    const store = new FileStore({ dir });
    for (const name of ["Ada", "ADA", "Bob"]) await keep(store, name);
    const { code, stdout, stderr } = await sessions({ SESSION_FILE_DIR: dir }, "revoke", "--user", "ada");
    assertEquals([code, stdout], [1, ""]);
    assertMatch(
      stderr,
      /^The command failed: there is no session of "ada": there are sessions of "A(da|DA)", "A(da|DA)"\n$/,
    );
    const unknown = await sessions({ SESSION_FILE_DIR: dir }, "revoke", "--user", "Eve\u202E");
    assertEquals(unknown.stderr, 'The command failed: there is no session of "Eve\\u202e"\n');
    assertEquals((await Array.fromAsync(store.list())).length, 3);
  });
});

Deno.test("sessions: a name may have spaces around it, or be decomposed", async () => {
  await withFolder(async (dir) => {
    const store = new FileStore({ dir });
    const env = { SESSION_FILE_DIR: dir };
    for (
      const [typed, stored] of [["  Ame\u0301lie ", "Amélie"], [" Ada ", " Ada "], ["e\u0301", "e\u0301"]] as const
    ) {
      await keep(store, stored);
      assertEquals((await sessions(env, "list", "--user", typed)).stderr, "1 live session\n");
      assertEquals((await sessions(env, "revoke", "--user", typed)).stdout, "Ended 1 session\n");
    }
  });
});

Deno.test("sessions: the value of a cookie ends its session", async () => {
  await withFolder(async (dir) => {
    const store = new FileStore({ dir });
    const ids = [newId(), newId()];
    for (const id of ids) await keep(store, undefined, {}, 60, keyOf(id));
    const signature = "A-b_".repeat(10) + "c5s";
    const env = { SESSION_FILE_DIR: dir };
    assertEquals((await sessions(env, "revoke", `${ids[0]}.${signature}`)).code, 0);
    assertEquals((await sessions(env, "revoke", `__Host-session=${ids[1]}.${signature}`)).code, 0);
    assertEquals(await Array.fromAsync(store.list()), []);
  });
});

Deno.test("sessions: --json escapes characters that a terminal would act on", async () => {
  await withFolder(async (dir) => {
    const name = "a\x1b[2J\x9b\u202Eb\u2066\u{E0041}";
    await keep(new FileStore({ dir }), name, { "\u200F": 1 });
    const { stdout } = await sessions({ SESSION_FILE_DIR: dir }, "list", "--json");
    assert(!/[^\n\x20-\x7E]/.test(stdout), stdout);
    const [{ user, keys }] = JSON.parse(stdout);
    assertEquals([user, keys], [name, ["\u200F"]]);
  });
});

Deno.test(
  "sessions: list ends quietly when its reader goes away",
  { ignore: Deno.build.os === "windows" },
  async () => {
    await withFolder(async (dir) => {
      const store = new FileStore({ dir });
      for (let n = 0; n < 2000; n++) await keep(store, "x".repeat(40));
      // Far more than a pipe holds.
      const command = [
        Deno.execPath(),
        "run",
        "--quiet",
        "--allow-all",
        new URL("../../main.ts", import.meta.url).pathname,
      ];
      for (const more of [[], ["--json"]]) {
        const script = '"$@" | head -n 2 > /dev/null; echo "${PIPESTATUS[0]}"';
        const { stdout, stderr } = await new Deno.Command("bash", {
          args: ["-c", script, "bash", ...command, "sessions", "list", ...more],
          env: { SESSION_FILE_DIR: dir, NO_COLOR: "1" },
        }).output();
        const said = [stdout, stderr].map((bytes) => new TextDecoder().decode(bytes));
        assertEquals(said, ["0\n", ""]);
      }
    });
  },
);

Deno.test("sessions: copy takes every live session to another store, cookies stay valid", async () => {
  await withFolder(async (dir) => {
    const files = { SESSION_FILE_DIR: dir, PERMANENT_SESSION_LIFETIME: "600" };
    const url = `sqlite:${dir}/sessions.db`;
    const server = await Server.start(files);
    const browsers = ["Ada", "Bob"].map((name) => ({ name, browser: new Browser(server.origin) }));
    for (const { name, browser } of browsers) await browser.post("/add", { username: name });
    await server.stop();
    await keep(new FileStore({ dir }), undefined, {}, -5);

    const copied = await sessions(files, "copy", "--to-type", "sqlite", "--to-url", url);
    assertEquals([copied.code, copied.stderr], [0, ""]);
    assertEquals(copied.stdout, "Copied 2, left 0 that were there already, failed 0\n");
    const twice = await sessions(files, "copy", "--to-url", url);
    assertEquals([twice.code, twice.stdout], [0, "Copied 0, left 2 that were there already, failed 0\n"]);

    const env = { ...files, SESSION_URL: url };
    const moved = await Server.start(env);
    try {
      for (const { name, browser } of browsers) {
        const again = new Browser(moved.origin);
        for (const [cookie, value] of browser.cookies) again.cookies.set(cookie, value);
        assertMatch(await again.get("/"), new RegExp(`Hi, <bdi>${name}</bdi>!`));
      }
      assertEquals((await sessions(env, "list", "--user", "Ada")).stderr, "1 live session\n");
    } finally {
      await moved.stop();
    }
  });
});

Deno.test("sessions: copy into a store that cannot keep them is refused with a reason", async () => {
  await withFolder(async (dir) => {
    const store = new FileStore({ dir });
    await keep(store, "Ada");
    const cases: [args: string[], message: RegExp][] = [
      [["--to-type", "filesystem"], /cannot be copied into filesystem: its file names depend on the user/],
      [["--to-type", "memory"], /cannot be copied into memory/],
      [["--to-type", "null"], /cannot be copied into null/],
      [["--to-url", "denokv::memory:"], /cannot be copied into denokv::memory:/],
      [["--to-type", "mysql"], /"--to-type" must be one of /],
      [["--to-type", "redis", "--to-url", "mysql://ada:password@host"], /"--to-url" must be an address (?!.*password)/],
      [["--to-url", "memcached://127.0.0.1:9"], /"--to-url" must be the address of a store that can be used/],
    ];
    for (const [args, message] of cases) {
      assertRefused(await sessions({ SESSION_FILE_DIR: dir }, "copy", ...args), 1, message);
    }
    assertEquals((await Array.fromAsync(store.list())).length, 1);
  });
});

Deno.test("sessions: an empty or repeated --user ends no sessions", async () => {
  for (const names of [["--user", " "], ["--user=Ada", "--user=Bob"]]) {
    const { code, stdout, stderr } = await sessions({}, "revoke", ...names);
    assertEquals([code, stdout], [2, ""]);
    assertMatch(stderr, /^Usage: /);
  }
});

Deno.test("sessions: a command that fails prints one line and has exit code 1", async () => {
  await withFolder(async (dir) => {
    await keep(new FileStore({ dir }), undefined);
    const memcached = { SESSION_TYPE: "memcached", SESSION_URL: "memcached://127.0.0.1:9" };
    const cases: [Record<string, string>, string[], RegExp][] = [
      [{ SESSION_TYPE: "memory" }, ["list"], /a command cannot reach sessions that are only in a server's memory/],
      [
        { SESSION_TYPE: "denokv", SESSION_URL: "denokv::memory:" },
        ["list"],
        /a command cannot reach sessions that are only in a server's memory/,
      ],
      [{}, ["revoke", "../../etc"], /a session must be named by the digits that `list` shows/],
      [{}, ["revoke", "ab"], /at least 3 of them/],
      [{}, ["revoke", "abc"], /there is no such session, or it has ended/],
      [{ SESSION_TYPE: "nonsense" }, ["list"], /"SESSION_TYPE" must be one of /],
      [memcached, ["list"], /"SESSION_URL" must be/],
    ];
    for (const [env, args, message] of cases) {
      assertRefused(await sessions({ SESSION_FILE_DIR: dir, ...env }, ...args), 1, message);
    }
  });
});

function assertRefused({ code, stdout, stderr }: Outcome, expected: number, message: RegExp): void {
  assertEquals([code, stdout], [expected, ""], stderr);
  assertMatch(stderr, /^The command failed: [^\n]+\n$/);
  assertMatch(stderr, message);
}
