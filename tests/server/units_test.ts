/** The files to copy for systemd and containers: systemd accepts them, and every setting in them exists. */
import { assert, assertEquals } from "@std/assert";
import { parseArguments } from "../../lib/commands/arguments.ts";
import { SETTINGS } from "../../lib/server/settings.ts";
import { withFolder } from "../support/server.ts";

const HERE = new URL(".", import.meta.url).pathname;
const ANALYZE = "/usr/bin/systemd-analyze";
const UNITS = ["session-server.service", "session-server@.service"];

const read = (name: string) => Deno.readTextFile(HERE + name);

async function isThere(path: string): Promise<boolean> {
  return await Deno.stat(path).then(() => true, () => false);
}

Deno.test({
  name: "units: systemd-analyze finds no fault in them",
  ignore: !await isThere(ANALYZE),
  fn: () =>
    withFolder(async (dir) => {
      for (const name of UNITS) {
        const path = `${dir}/${name.replace("@.", "@1.")}`;
        // The program must be there.
        await Deno.writeTextFile(path, (await read(name)).replace("/usr/local/bin/session-server", "/bin/true"));
        const { stdout, stderr } = await new Deno.Command(ANALYZE, { args: ["verify", "--man=no", path] }).output();
        assertEquals(new TextDecoder().decode(stdout) + new TextDecoder().decode(stderr), "");
      }
    }),
});

Deno.test("units: the unit for several processes differs only where it must", async () => {
  const [one, many] = (await Promise.all(UNITS.map(read))).map((text) =>
    text.split("\n").filter((line) => !line.startsWith("#"))
  );
  assertEquals(many!.filter((line) => !one!.includes(line)), [
    "Description=Session server, process %i",
    "Environment=REUSE_PORT=true",
  ]);
  assertEquals(one!.filter((line) => !many!.includes(line)), ["Description=Session server"]);
});

Deno.test("units: every variable that they set is a setting", async () => {
  const files = [...await Promise.all(UNITS.map(read)), await read("Containerfile")].join("\n");
  const names = [...files.matchAll(/(?:Environment=|ENV |(?<=^ENV .*) )([A-Z_]+)=/gm)].map((match) => match[1]!);
  assert(names.includes("HOST") && names.includes("SESSION_FILE_DIR") && names.includes("REUSE_PORT"), `${names}`);
  for (const name of names) assert(name === "XDG_CACHE_HOME" || name in SETTINGS, name);
});

Deno.test("units: the health check of a container runs its own program", async () => {
  const text = await read("Containerfile");
  const [, words] = /^HEALTHCHECK .*CMD (\[.*\])$/m.exec(text)!;
  const [program, ...args] = JSON.parse(words!);
  assert(text.includes(`/usr/local/bin/${program}`));
  assertEquals(parseArguments(args), { name: "health" });
});
