/** The file store's calls: what becomes of their messages. */
import { assertEquals } from "@std/assert";
import { newId } from "../../lib/id.ts";
import { reasonOf } from "../../lib/stores/file/calls.ts";

Deno.test("file calls: no reason of a failure holds an id, whatever the message looks like", () => {
  const id = newId();
  const path = `/data/${id.slice(0, 3)}/${id.slice(3)}.json`;
  for (
    const message of [
      `No space left on device (os error 28): open '${path}'`,
      `Requires read access to "${path}", run again with the --allow-read flag`,
      `something new about ${path}`,
      `${id} is gone`,
    ]
  ) {
    assertEquals(/[0-9a-f]{20}/.test(reasonOf(new Error(message))), false, message.slice(0, 10));
  }
  assertEquals(reasonOf("text"), "text");
});
