/** Clients of engines: the error of a missing package names it, and any other failure is unchanged. */
import { assertEquals, assertRejects } from "@std/assert";
import { loadClient } from "../../lib/stores/_client.ts";

/** Loads a client whose import fails. */
function failing(error: Error): Promise<unknown> {
  return loadClient("RedisStore", "@redis/client@5", () => Promise.reject(error));
}

Deno.test("client: a missing package is an error that says how to install it", async () => {
  const error = Object.assign(new Error("Cannot find package '@redis/client'"), { code: "ERR_MODULE_NOT_FOUND" });
  await assertRejects(() => failing(error), TypeError, 'run "npm install @redis/client@5"');
});

Deno.test("client: any other failure of an import is thrown unchanged", async () => {
  const other = Object.assign(new Error("Cannot find package 'left-pad'"), { code: "ERR_MODULE_NOT_FOUND" });
  for (const error of [other, new Error("@redis/client is broken")]) {
    assertEquals(await failing(error).catch((reason) => reason), error);
  }
});
