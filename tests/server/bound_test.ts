/** Device-bound sessions of the site: what SESSION_BOUND adds to it. */
import { assertEquals, assertMatch } from "@std/assert";
import { exchange } from "../support/fuzz.ts";
import { Server, withFolder } from "../support/server.ts";

/** Sends one request to a server, as a proxy would. */
async function send(server: Server, path: string, headers: string, body = ""): Promise<string> {
  const head = `POST ${path} HTTP/1.1\r\nHost: example.com\r\nConnection: close\r\n${headers}`;
  const { text } = await exchange(
    Number(new URL(server.origin).port),
    `${head}Content-Length: ${body.length}\r\n\r\n${body}`,
  );
  return text;
}

const FORM = "Content-Type: application/x-www-form-urlencoded\r\n";

for (const path of ["", "/app"]) {
  Deno.test(`bound: the site at "${path}/" asks browsers to register, and answers them`, async () => {
    await withFolder(async (dir) => {
      const env = { SESSION_FILE_DIR: dir, ORIGIN: `https://example.com${path}`, SESSION_BOUND: "true" };
      const server = await Server.start(env);
      try {
        const added = await send(server, `${path}/add`, FORM, "username=Ada");
        assertMatch(added, /^HTTP\/1\.1 303 /);
        const [, asked] = /secure-session-registration: \(ES256 RS256\);path="([^"]*)"/i.exec(added) ?? [];
        assertEquals(asked, `${path}/bound/register`);
        for (const below of new Set([path, ""])) {
          const refused = await send(server, `${below}/bound/refresh`, "");
          assertMatch(refused, /^HTTP\/1\.1 400 /);
          assertMatch(refused, /x-content-type-options: nosniff/i);
          assertMatch(refused, /strict-transport-security:/i);
        }
      } finally {
        await server.stop();
      }
    });
  });
}

Deno.test("bound: without the setting the site has no such addresses", async () => {
  await withFolder(async (dir) => {
    const server = await Server.start({ SESSION_FILE_DIR: dir, ORIGIN: "https://example.com" });
    try {
      assertEquals(/secure-session/i.test(await send(server, "/add", FORM, "username=Ada")), false);
      assertMatch(await send(server, "/bound/register", ""), /^HTTP\/1\.1 404 /);
    } finally {
      await server.stop();
    }
  });
});
