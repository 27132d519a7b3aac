/** What the compiler takes and refuses of a session's data: a wrong line here is an error of `deno check`. */
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

Deno.test("types: what JSON keeps can be set, and is read-only when read", () => {
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

Deno.test("types: what JSON would change is refused by the compiler", () => {
  const use = (session: Session<Wrong>) => {
    // @ts-expect-error -- JSON makes a text of it
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
    // @ts-expect-error -- nor is this
    session.set("carts", [] as { when: Date }[]);
    return value;
  };
  void use;
});
