/** The operator's command, as a process beside a running server. */
import { assert, assertEquals, assertMatch } from "@std/assert";
import { FileStore } from "../../lib/stores/file/store.ts";
import { Browser, newId, Server, startFlags } from "../support/server.ts";

const program = new URL("../../lib/commands/sessions.ts", import.meta.url).pathname;

/** Runs the command with the flags of its task, which are those of the server. */
async function sessions(env: Record<string, string>, ...args: string[]) {
  const command = [Deno.execPath(), "run", ...await startFlags(), program, ...args];
  const process = await Server.spawn(env, command);
  const code = await process.ended();
  return { code, stdout: process.stdout, stderr: process.stderr };
}

for (const type of ["filesystem", "sqlite"]) {
  Deno.test(`sessions on ${type}: it lists and ends the sessions of a running server`, async () => {
    const dir = await Deno.makeTempDir();
    const env = { SESSION_TYPE: type, SESSION_FILE_DIR: dir, SESSION_URL: `sqlite:${dir}/sessions.db` };
    const server = await Server.start(env);
    try {
      const [ada, bob] = [new Browser(server.origin), new Browser(server.origin)];
      await ada.post("/add", { username: "Ada" });
      await bob.post("/add", { username: "Bob" });

      const listed = await sessions(env, "list");
      assertEquals([listed.code, listed.stderr], [0, "2 live sessions\n"]);
      const lines = listed.stdout.trimEnd().split("\n").slice(1);
      assertEquals(lines.length, 2);
      for (const line of lines) {
        assertMatch(line, /^[0-9a-f]{12}( {2}\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ){3} {2}user, greet/);
      }
      assert(!/[0-9a-f]{13}|Ada|Bob/.test(listed.stdout), "neither a whole id nor what is in the session is shown");

      const id = ada.cookies.get("session")!.split(".")[0]!;
      assertEquals((await sessions(env, "revoke", id.slice(0, 12))).stdout, `Ended session ${id.slice(0, 12)}\n`);
      assertMatch(await ada.get("/"), /You Need to Register First!/);
      assertMatch(await bob.get("/"), /Hi, Bob!/);

      const again = await sessions(env, "revoke", id);
      assertEquals([again.code, again.stderr], [1, "Cannot do that: there is no such session, or no more\n"]);
    } finally {
      await server.stop();
      await Deno.remove(dir, { recursive: true });
    }
  });
}

Deno.test("sessions: an id that fits several sessions ends none of them", async () => {
  const dir = await Deno.makeTempDir();
  const store = new FileStore({ dir });
  const life = { created: Date.now(), ends: Date.now() + 60_000, expires: Date.now() + 60_000 };
  for (const end of ["0", "1"]) await store.create(`${"a".repeat(31)}${end}`, { data: {}, ...life });
  const { code, stderr } = await sessions({ SESSION_FILE_DIR: dir }, "revoke", "aaaaaaaaaaaa");
  assertEquals([code, stderr], [1, "Cannot do that: 2 sessions have an id that starts so: give more digits\n"]);
  assertEquals((await Array.fromAsync(store.list())).length, 2);
  await Deno.remove(dir, { recursive: true });
});

Deno.test("sessions: sweep removes what has expired and nothing else", async () => {
  const dir = await Deno.makeTempDir();
  const store = new FileStore({ dir });
  const now = Date.now();
  for (let n = 0; n < 10; n++) {
    await store.create(newId(), {
      data: {},
      created: now - 9000,
      ends: now + 60_000,
      expires: n < 7 ? now - 5000 : now + 60_000,
    });
  }
  const { code, stdout } = await sessions({ SESSION_FILE_DIR: dir }, "sweep");
  assertEquals([code, stdout], [0, "Removed 7 expired sessions\n"]);
  assertEquals((await Array.fromAsync(store.list())).length, 3);
  await Deno.remove(dir, { recursive: true });
});

Deno.test("sessions: what cannot be done is said in one line", async () => {
  for (
    const [type, args, message] of [
      ["memory", ["list"], /^Cannot do that: .*nothing that this command could reach\n$/],
      ["filesystem", [], /^Usage: deno task sessions list \| revoke ID \| sweep\n$/],
      ["filesystem", ["revoke"], /^Usage: /],
      ["filesystem", ["constructor"], /^Usage: /],
      ["filesystem", ["revoke", "../../etc"], /^Cannot do that: an id is 32 digits/],
      ["nonsense", ["list"], /^Cannot do that: "SESSION_TYPE" must be one of /],
    ] as const
  ) {
    const dir = await Deno.makeTempDir();
    const { code, stderr, stdout } = await sessions({ SESSION_TYPE: type, SESSION_FILE_DIR: dir }, ...args);
    assertEquals([code, stdout], [1, ""]);
    assertMatch(stderr, message);
    await Deno.remove(dir, { recursive: true });
  }
});

Deno.test("sessions: its task, and that of development, may do what the server may and use the same lock file", async () => {
  const { tasks } = JSON.parse(await Deno.readTextFile(new URL("../../deno.json", import.meta.url)));
  assertEquals(tasks.sessions, tasks.start.replace("main.ts", "lib/commands/sessions.ts"));
  assertEquals(tasks.dev, tasks.start.replace("deno run", "deno run --watch"));
});
