/** Which data of a session the compiler accepts and refuses. A wrong line here is an error of `deno check`. */
import { assertEquals, assertMatch } from "@std/assert";
import type { Json } from "../../lib/record.ts";
import type { Session } from "../../lib/session.ts";
import { SessionManager } from "../../lib/session_manager.ts";
import { MemoryStore } from "../../lib/stores/memory.ts";

interface Shop {
  user: string;
  cart: { id: number; tags: string[] }[];
  note?: string;
  kind: "a" | "b" | null;
  pair: [string, number];
  any: Json;
}
interface Wrong {
  when: Date;
  map: Map<string, string>;
  fn: () => void;
  big: bigint;
  nested: { list: { when: Date }[] };
}

/** An interface, which has no index signature. */
interface CartItem {
  id: number;
  tags?: string[];
}

Deno.test("types: values that JSON keeps can be set, and are read-only when read", () => {
  const use = (session: Session<Shop>) => {
    session.set("user", "Ada");
    session.set("cart", [{ id: 1, tags: ["a"] }]);
    session.set("note", undefined);
    session.set("kind", null);
    session.set("pair", ["a", 1]);
    session.set("any", { deep: [1, { x: null }] });
    session.update("cart", (cart = []) => [...cart, { id: 2, tags: [] }]);
    session.update("note", () => undefined);
    const user: string | undefined = session.get("user");
    const id: number | undefined = session.get("cart")?.[0]?.id;
    // @ts-expect-error -- a list that was read takes no more
    session.get("cart")?.push({ id: 3, tags: [] });
    // @ts-expect-error -- nor does one within it
    session.get("cart")?.[0]?.tags.push("b");
    // @ts-expect-error -- there is no such key
    session.set("nothing", 1);
    // @ts-expect-error -- a value of another type
    session.set("user", 7);
    // @ts-expect-error -- only an optional key can be removed so
    session.set("user", undefined);
    return [user, id];
  };
  void use;
});

Deno.test("types: the compiler refuses values that JSON would change", () => {
  const use = (session: Session<Wrong>) => {
    // @ts-expect-error -- JSON makes a string of it
    session.set("when", new Date());
    // @ts-expect-error -- JSON makes {} of it
    session.set("map", new Map());
    // @ts-expect-error -- JSON drops it
    session.set("fn", () => {});
    // @ts-expect-error -- JSON throws
    session.set("big", 1n);
    // @ts-expect-error -- however deep
    session.set("nested", { list: [{ when: new Date() }] });
  };
  void use;
});

/** A string that no other string is assignable to. */
type Id = string & { readonly brand: unique symbol };

interface Mixed {
  id: Id;
  theme: "dark" | "light";
  more: unknown;
  modes: { mode: "a" | "b" }[];
}

Deno.test("types: a branded string stays branded, and a union a union beside unknown", () => {
  const use = (session: Session<Mixed>, item: CartItem) => {
    session.set("id", "x" as Id);
    session.set("theme", "dark");
    session.set("more", item);
    session.set("modes", [{ mode: "a" }]);
    const id: Id | undefined = session.get("id");
    const length: number | undefined = id?.length;
    const theme: "dark" | "light" | undefined = session.get("theme");
    // @ts-expect-error -- not branded
    session.set("id", "x");
    // @ts-expect-error -- not in the union
    session.set("theme", "blue");
    // @ts-expect-error -- nor here
    session.set("modes", [{ mode: "c" }]);
    // @ts-expect-error -- an object may have no other members
    session.set("modes", [{ mode: "a", size: 1 }]);
    // @ts-expect-error -- JSON makes {} of it
    session.set("more", new Map());
    return [length, theme];
  };
  void use;
});

// The compiler takes some seconds for this test.
const ignore = !Deno.env.has("TEST_FULL");

Deno.test("types: the error of a value that JSON changes is one sentence", { ignore }, async () => {
  const source = `
    import type { Session } from ${JSON.stringify(new URL("../../lib/session.ts", import.meta.url).href)};
    declare const session: Session<{ when: Date; big: bigint }>;
    declare const any: Session;
    session.set("when", new Date());
    session.set("big", 1n);
    any.set("when", new Date());
    any.set("big", 1n);
  `;
  const file = await Deno.makeTempFile({ suffix: ".ts" });
  try {
    await Deno.writeTextFile(file, source);
    const args = ["check", "--quiet", `--config=${new URL("../../deno.json", import.meta.url).pathname}`, file];
    const { stderr } = await new Deno.Command(Deno.execPath(), { args, env: { NO_COLOR: "1" } }).output();
    const errors = new TextDecoder().decode(stderr).split("\n").filter((line) => line.includes("[ERROR]"));
    assertEquals(errors.length, 4, new TextDecoder().decode(stderr));
    for (const error of errors) assertMatch(error, /to parameter of type '"JSON does not keep such a value: .*"'\.$/);
  } finally {
    await Deno.remove(file);
  }
});

Deno.test("types: a manager without a type argument takes any JSON", () => {
  const use = async () => {
    const sessions = new SessionManager({ store: new MemoryStore(), keys: ["x".repeat(32)] });
    const session = await sessions.open(new Request("http://localhost/"));
    session.set("anything", [{ deep: true }]);
    session.update("n", (n) => typeof n === "number" ? n + 1 : 1);
    const value: Json | undefined = session.get("anything");
    session.set("cart", [] as CartItem[]);
    // @ts-expect-error -- no JSON
    session.set("when", new Date());
    // @ts-expect-error -- nor is a function
    session.set("when", () => 1);
    // @ts-expect-error -- nor is this
    session.set("carts", [] as { when: Date }[]);
    return value;
  };
  void use;
});
