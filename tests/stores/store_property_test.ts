/** Properties: after any commands in any order, a store has what a plain map would have. */
// deno-lint-ignore no-import-prefix -- only tests use it, so only their lock file names it
import fc from "npm:fast-check@4.10.2";
import { assertEquals } from "@std/assert";
import { newId } from "../../lib/id.ts";
import { silent } from "../../lib/log.ts";
import { endOf, type Json, type SessionRecord } from "../../lib/record.ts";
import type { SessionStore } from "../../lib/store.ts";
import { FileStore } from "../../lib/stores/file/store.ts";
import { MemoryStore } from "../../lib/stores/memory.ts";
import { Clock } from "../../lib/testing.ts";
import { pathOf } from "./file_place.ts";

/** The numbers of sessions and processes. */
const SESSIONS = 3;
const PROCESSES = 2;
/** How long a session lives at most, in milliseconds. */
const ABSOLUTE = 10_000;
/** The user of some of the sessions. */
const USER = "Ada";
/** The factor for the number of rounds: four if `TEST_FULL` is set. */
const TIMES = Deno.env.has("TEST_FULL") ? 4 : 1;

/** A command for one session, at the store of one process. */
interface Command {
  readonly verb: "create" | "read" | "look" | "update" | "touch" | "delete" | "move" | "sweep";
  readonly session: number;
  readonly process: number;
  readonly key: string;
  readonly value: Json;
  /** How long the session then lives unless it is used, in milliseconds. */
  readonly idle: number;
}

/** An event: concurrent commands, or something from outside. */
type Event =
  | { readonly atOnce: readonly Command[] }
  | { readonly passes: number }
  | { readonly waits: number }
  | { readonly corrupts: number; readonly content: string };

/** A session of the model: its data, its user, and its ends. */
interface Known {
  readonly id: string;
  readonly data: Record<string, Json>;
  readonly user: string | undefined;
  readonly deadline: number;
  readonly expires: number;
}

type Model = ReadonlyMap<number, Known>;

function put(data: object, { key, value }: Command): Record<string, Json> {
  return Object.assign(Object.create(null), data, JSON.parse(`{${JSON.stringify(key)}:${JSON.stringify(value)}}`));
}

/** A session's id, and the one that it moves to. */
interface Ids {
  readonly id: string;
  readonly next: string;
}

/** The model after a command, and the expected answer. */
function expected(model: Model, command: Command, ids: readonly Ids[], now: number): [Model, unknown] {
  const { verb, session, idle } = command;
  const { id, next } = ids[session]!;
  const known = model.get(session);
  const live = known !== undefined && now < endOf(known) ? known : undefined;
  const here = live?.id === id ? live : undefined;
  const set = (known: Known): Model => new Map([...model, [session, known]]);
  switch (verb) {
    case "create": {
      if (live !== undefined) return [model, "refused"];
      const made = { id, data: put({}, command), user: undefined, deadline: now + ABSOLUTE, expires: now + idle };
      return [set(made), "created"];
    }
    case "read":
      return [model, here?.data];
    case "look":
      return [model, [here?.data, live?.id === next ? live.data : undefined]];
    case "update": {
      if (here === undefined) return [model, undefined];
      const data = put(here.data, command);
      return [set({ ...here, data, expires: now + idle }), data];
    }
    case "touch":
      return here === undefined ? [model, false] : [set({ ...here, expires: now + idle }), true];
    case "delete":
      if (here === undefined) return [model, false];
      return [new Map([...model].filter(([other]) => other !== session)), true];
    case "move": {
      if (here === undefined) return [model, undefined];
      const data = put(here.data, command);
      return [set({ ...here, id: next, user: USER, data, expires: now + idle }), data];
    }
    case "sweep":
      return [model, undefined];
  }
}

/** Sends a command to a store, and returns its answer. */
async function actual(store: SessionStore, { id, next }: Ids, command: Command, now: number): Promise<unknown> {
  const { idle } = command;
  const expires = now + idle;
  const change = (record: SessionRecord) => ({ ...record, data: put(record.data, command), idle, expires });
  switch (command.verb) {
    case "create": {
      const record = { data: put({}, command), created: now, idle, expires, deadline: now + ABSOLUTE };
      return await store.create(id, record).then(() => "created", () => "refused");
    }
    case "read":
      return (await store.read(id))?.data;
    case "look":
      return [(await store.read(id))?.data, (await store.read(next))?.data];
    case "update":
      return (await store.update(id, change))?.data;
    case "touch":
      return await store.touch(id, expires);
    case "delete":
      return await store.delete(id);
    case "move":
      return (await store.move(id, next, (record) => ({ ...change(record), user: USER })))?.data;
    case "sweep":
      return store.sweep?.();
  }
}

/** The ids of the user's sessions. */
async function ofUser(store: SessionStore, ids: readonly Ids[]): Promise<string[]> {
  const known = new Set(ids.flatMap(({ id, next }) => [id, next]));
  return (await Array.fromAsync(store.sessionsOf!(USER))).map(([id]) => id).filter((id) => known.has(id)).sort();
}

function* orders<T>(items: readonly T[]): Generator<T[]> {
  if (items.length === 0) yield [];
  for (const [index, item] of items.entries()) {
    for (const rest of orders(items.toSpliced(index, 1))) yield [item, ...rest];
  }
}

/** Plays events on the stores and on the model, and compares them. */
async function play(stores: readonly SessionStore[], clock: Clock, dir: string | undefined, events: readonly Event[]) {
  let model: Model = new Map();
  const group = await stores[0]!.groupOf?.(USER);
  const made = (): Ids => ({ id: newId(), next: newId(group) });
  const ids = Array.from({ length: SESSIONS }, made);
  const everything = (): Command[] =>
    ids.flatMap((_, session) =>
      stores.map((_, process) => ({ verb: "look" as const, session, process, key: "", value: null, idle: 0 }))
    );

  for (const event of [...events, { passes: 0 }]) {
    if ("passes" in event) clock.time += event.passes;
    else if ("waits" in event) await new Promise((resolve) => setTimeout(resolve, event.waits));
    else if ("corrupts" in event) {
      const known = model.get(event.corrupts);
      if (dir === undefined || known === undefined) continue;
      await Deno.writeTextFile(pathOf(dir, known.id), event.content, { create: false }).catch(() => {});
      // A running store notices a change by hand only a quarter of a second later, so the stores are closed.
      for (const store of stores) await store.close?.();
      model = new Map([...model].filter(([session]) => session !== event.corrupts));
    } else {
      const { time } = clock;
      const answers = await Promise.all(
        event.atOnce.map((command) => actual(stores[command.process]!, ids[command.session]!, command, time)),
      );
      const tasks = event.atOnce.map((command, index) => ({ command, answer: JSON.stringify(answers[index]) }));
      // The concurrent commands must have the effect of some order, and every process must see the same.
      const seen = await Promise.all(
        everything().map((read) => actual(stores[read.process]!, ids[read.session]!, read, time)),
      );
      const after = [...orders(tasks)].map((order) => {
        let next = model;
        const fits = order.every(({ command, answer }) => {
          const [changed, expects] = expected(next, command, ids, time);
          next = changed;
          return JSON.stringify(expects) === answer;
        });
        const reads = everything().map((read) => expected(next, read, ids, time)[1]);
        return fits && JSON.stringify(reads) === JSON.stringify(seen) ? next : undefined;
      }).find((next) => next !== undefined);
      if (after === undefined) {
        throw new Error(`In no order: ${JSON.stringify({ answers, seen, before: [...model] })}`);
      }
      model = after;
    }
    model = new Map([...model].filter(([, known]) => clock.time < endOf(known)));
    for (const [session, { id, next }] of ids.entries()) {
      const known = model.get(session);
      for (const store of stores) {
        const data = [id, next].map((one) => one === known?.id ? JSON.stringify(known.data) : undefined);
        assertEquals(
          [await store.read(id), await store.read(next)].map((one) => one && JSON.stringify(one.data)),
          data,
        );
      }
      // A session that is over never comes back. Its id is not used again.
      if (known === undefined) ids[session] = made();
      else if (known.id === next) ids[session] = { id: next, next: newId(group) };
    }
    const theirs = [...model.values()].filter(({ user }) => user === USER).map(({ id }) => id).sort();
    for (const store of stores) assertEquals(await ofUser(store, ids), theirs);
  }
}

const command: fc.Arbitrary<Command> = fc.record({
  verb: fc.constantFrom("create", "create", "read", "update", "update", "touch", "delete", "move", "sweep"),
  session: fc.nat(SESSIONS - 1),
  process: fc.nat(PROCESSES - 1),
  key: fc.constantFrom("a", "b", "__proto__", "constructor"),
  value: fc.jsonValue({ maxDepth: 2 }) as fc.Arbitrary<Json>,
  idle: fc.integer({ min: 1, max: 5000 }),
});

// No other command uses a session's id before the session is made.
const atOnce = fc.array(command, { minLength: 1, maxLength: 3 }).map((commands) => {
  const made = commands.filter(({ verb }) => verb === "create").map(({ session }) => session);
  return commands.filter(({ verb, session }) => verb === "create" || verb === "sweep" || !made.includes(session));
});

const event: fc.Arbitrary<Event> = fc.oneof(
  { weight: 20, arbitrary: fc.record({ atOnce }) },
  { weight: 5, arbitrary: fc.record({ passes: fc.integer({ min: 0, max: 3000 }) }) },
  // This is long enough for the file store to cache records.
  { weight: 1, arbitrary: fc.record({ waits: fc.constant(60) }) },
  {
    weight: 2,
    arbitrary: fc.record({
      corrupts: fc.nat(SESSIONS - 1),
      content: fc.constantFrom("", "{", "null", '{"version":1}', "\0".repeat(100)),
    }),
  },
);

const events = fc.array(event, { maxLength: 40 });

Deno.test("file store: with two processes it does what a plain map would do", async () => {
  const dir = await Deno.makeTempDir();
  const clock = new Clock(Date.now());
  const stores = Array.from({ length: PROCESSES }, () => new FileStore({ dir, now: clock.now, log: silent }));
  try {
    await fc.assert(fc.asyncProperty(events, (events) => play(stores, clock, dir, events)), { numRuns: 40 * TIMES });
  } finally {
    for (const store of stores) await store.close();
    await Deno.remove(dir, { recursive: true });
  }
});

Deno.test("file store: with one process it does what a plain map would do", async () => {
  await fc.assert(
    fc.asyncProperty(events, async (events) => {
      const dir = await Deno.makeTempDir();
      const clock = new Clock(Date.now());
      const store = new FileStore({ dir, now: clock.now, log: silent });
      try {
        await play([store, store], clock, dir, events);
      } finally {
        await store.close();
        await Deno.remove(dir, { recursive: true });
      }
    }),
    { numRuns: 30 * TIMES },
  );
});

Deno.test("memory store: it does what a plain map would do", async () => {
  await fc.assert(
    fc.asyncProperty(events, async (events) => {
      const clock = new Clock();
      const store = new MemoryStore({ now: clock.now });
      await play([store, store], clock, undefined, events.filter((event) => !("waits" in event)));
    }),
    { numRuns: 150 * TIMES },
  );
});
