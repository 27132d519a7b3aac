/** The suite of stores under the test runners of Node and Bun. */
import { MemoryStore } from "@session-server/sessions";
import { testStore } from "@session-server/sessions/testing";

let store;
testStore({
  name: "memory store",
  open: (options) => store ??= new MemoryStore(options),
  clear: () => void (store = undefined),
  counts: true,
});
