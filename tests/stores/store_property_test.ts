/** Properties: whatever is done to a store, and in whatever order, it does what a plain map would. */
// deno-lint-ignore no-import-prefix -- only tests use it, so only their lock file names it
import fc from "npm:fast-check@4.10.2";
import { assertEquals } from "@std/assert";
import type { Json, SessionStore } from "../../lib/store.ts";
import { FileStore } from "../../lib/stores/file/store.ts";
import { MemoryStore } from "../../lib/stores/memory.ts";
import { Clock, newId } from "../support/server.ts";

/** How many sessions and processes the commands are about. */
const SESSIONS = 3;
const PROCESSES = 2;
/** How long a session lives at most, in milliseconds. */
const ABSOLUTE = 10_000;

/** Something that is done to one session, through the store of one process. */
interface Command {
  readonly verb: "create" | "read" | "update" | "touch" | "delete" | "sweep";
  readonly session: number;
  readonly process: number;
  readonly key: string;
  readonly value: Json;
  /** How long the session lives from then on unless it is used, in milliseconds. */
  readonly idle: number;
}

/** What happens next: commands at once, or something from outside. */
type Event =
  | { readonly atOnce: readonly Command[] }
  | { readonly passes: number }
  | { readonly waits: number }
  | { readonly corrupts: number; readonly content: string };

/** What a session is to the model: nothing, or its data as JSON and its end. */
interface Known {
  readonly data: Record<string, Json>;
  readonly ends: number;
  readonly expires: number;
}

type Model = ReadonlyMap<number, Known>;

function put(data: object, { key, value }: Command): Record<string, Json> {
  return Object.assign(Object.create(null), data, JSON.parse(`{${JSON.stringify(key)}:${JSON.stringify(value)}}`));
}

/** What a command does to the model, and what it answers. */
function expected(model: Model, command: Command, now: number): [Model, unknown] {
  const { verb, session, idle } = command;
  const known = model.get(session);
  const live = known !== undefined && now < Math.min(known.ends, known.expires) ? known : undefined;
  const set = (known: Known): Model => new Map([...model, [session, known]]);
  switch (verb) {
    case "create": {
      if (live !== undefined) return [model, "refused"];
      return [set({ data: put({}, command), ends: now + ABSOLUTE, expires: now + idle }), "created"];
    }
    case "read":
      return [model, live?.data];
    case "update": {
      if (live === undefined) return [model, undefined];
      const data = put(live.data, command);
      return [set({ ...live, data, expires: now + idle }), data];
    }
    case "touch":
      return live === undefined ? [model, false] : [set({ ...live, expires: now + idle }), true];
    case "delete":
      return [new Map([...model].filter(([other]) => other !== session)), live?.data];
    case "sweep":
      return [model, undefined];
  }
}

/** Does a command to a store, and returns its answer. */
async function actual(store: SessionStore, id: string, command: Command, now: number): Promise<unknown> {
  const expires = now + command.idle;
  switch (command.verb) {
    case "create": {
      const record = { data: put({}, command), created: now, ends: now + ABSOLUTE, expires };
      return await store.create(id, record).then(() => "created", () => "refused");
    }
    case "read":
      return (await store.read(id))?.data;
    case "update":
      return (await store.update(id, (data) => put(data, command), expires))?.data;
    case "touch":
      return await store.touch(id, expires);
    case "delete":
      return (await store.delete(id))?.data;
    case "sweep":
      return store.sweep?.();
  }
}

function* orders<T>(items: readonly T[]): Generator<T[]> {
  if (items.length === 0) yield [];
  for (const [index, item] of items.entries()) {
    for (const rest of orders(items.toSpliced(index, 1))) yield [item, ...rest];
  }
}

/** Plays events on a store and the model alike. */
async function play(stores: readonly SessionStore[], clock: Clock, dir: string | undefined, events: readonly Event[]) {
  let model: Model = new Map();
  const ids = Array.from({ length: SESSIONS }, newId);
  const path = (session: number) => `${dir}/${ids[session]!.slice(0, 2)}/${ids[session]!.slice(2)}.json`;
  const everything = (): Command[] =>
    ids.flatMap((_, session) =>
      stores.map((_, process) => ({ verb: "read" as const, session, process, key: "", value: null, idle: 0 }))
    );

  for (const event of [...events, { passes: 0 }]) {
    if ("passes" in event) clock.time += event.passes;
    else if ("waits" in event) await new Promise((resolve) => setTimeout(resolve, event.waits));
    else if ("corrupts" in event) {
      if (dir === undefined || !model.has(event.corrupts)) continue;
      await Deno.writeTextFile(path(event.corrupts), event.content, { create: false }).catch(() => {});
      model = new Map([...model].filter(([session]) => session !== event.corrupts));
    } else {
      const { time } = clock;
      const answers = await Promise.all(
        event.atOnce.map((command) => actual(stores[command.process]!, ids[command.session]!, command, time)),
      );
      const tasks = event.atOnce.map((command, index) => ({ command, answer: JSON.stringify(answers[index]) }));
      // What was done at once must have been as if in some order, seen from all sides.
      const seen = await Promise.all(
        everything().map((read) => actual(stores[read.process]!, ids[read.session]!, read, time)),
      );
      const after = [...orders(tasks)].map((order) => {
        let next = model;
        const fits = order.every(({ command, answer }) => {
          const [changed, expects] = expected(next, command, time);
          next = changed;
          return JSON.stringify(expects) === answer;
        });
        const reads = everything().map((read) => expected(next, read, time)[1]);
        return fits && JSON.stringify(reads) === JSON.stringify(seen) ? next : undefined;
      }).find((next) => next !== undefined);
      if (after === undefined) {
        throw new Error(`In no order: ${JSON.stringify({ answers, seen, before: [...model] })}`);
      }
      model = after;
    }
    for (const [session, id] of ids.entries()) {
      const known = model.get(session);
      const isLive = known !== undefined && clock.time < Math.min(known.ends, known.expires);
      for (const store of stores) {
        assertEquals(JSON.stringify((await store.read(id))?.data), isLive ? JSON.stringify(known.data) : undefined);
      }
      // A session that is over never comes back, and its id is not used again.
      if (!isLive) ids[session] = newId();
    }
    model = new Map([...model].filter(([, { ends, expires }]) => clock.time < Math.min(ends, expires)));
  }
}

const command: fc.Arbitrary<Command> = fc.record({
  verb: fc.constantFrom("create", "create", "read", "update", "update", "touch", "delete", "sweep"),
  session: fc.nat(SESSIONS - 1),
  process: fc.nat(PROCESSES - 1),
  key: fc.constantFrom("a", "b", "__proto__", "constructor"),
  value: fc.jsonValue({ maxDepth: 2 }) as fc.Arbitrary<Json>,
  idle: fc.integer({ min: 1, max: 5000 }),
});

// Nobody knows a session's id before it is made.
const atOnce = fc.array(command, { minLength: 1, maxLength: 3 }).map((commands) => {
  const made = commands.filter(({ verb }) => verb === "create").map(({ session }) => session);
  return commands.filter(({ verb, session }) => verb === "create" || verb === "sweep" || !made.includes(session));
});

const event: fc.Arbitrary<Event> = fc.oneof(
  { weight: 20, arbitrary: fc.record({ atOnce }) },
  { weight: 5, arbitrary: fc.record({ passes: fc.integer({ min: 0, max: 3000 }) }) },
  // Long enough for records to be kept in memory.
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

Deno.test("file store: whatever two processes do to it, in whatever order, is what a plain map would do", async () => {
  await fc.assert(
    fc.asyncProperty(events, async (events) => {
      const dir = await Deno.makeTempDir();
      const clock = new Clock(Date.now());
      const stores = Array.from({ length: PROCESSES }, () => new FileStore({ dir, now: clock.now }));
      try {
        await play(stores, clock, dir, events);
      } finally {
        for (const store of stores) await store.close();
        await Deno.remove(dir, { recursive: true });
      }
    }),
    { numRuns: 150 },
  );
});

Deno.test("memory store: whatever is done to it, in whatever order, is what a plain map would do", async () => {
  await fc.assert(
    fc.asyncProperty(events, async (events) => {
      const clock = new Clock();
      const store = new MemoryStore({ now: clock.now });
      await play([store, store], clock, undefined, events.filter((event) => !("waits" in event)));
    }),
    { numRuns: 500 },
  );
});
