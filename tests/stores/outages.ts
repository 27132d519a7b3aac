/**
 * Measures what outages cost: kills, stops and fails over each engine under load. Prints how many changes were
 * acknowledged, how many of these were lost or revived, and how long it took until the engine worked again.
 * Arguments: engines, or none for all.
 */
import { newId } from "../../lib/id.ts";
import type { SessionStore } from "../../lib/store.ts";
import { Engine, type EngineType } from "./engines.ts";
import { Pair } from "./postgres_pair.ts";
import { Cluster, say, Sentinel, until } from "./redis_engines.ts";
import { fresh, openShared, set } from "./shared.ts";

const WORKERS = 16;
/** The most milliseconds that a verb may take. */
const HUNG = 6000;

/** A session of one worker, with its acknowledged changes. */
interface Known {
  id: string;
  n: number;
  /** How many changes have an unknown outcome. */
  doubts: number;
}

/** The acknowledged state of all sessions during an outage. */
class Ledger {
  acknowledged = 0;
  refused = 0;
  /** The longest that a verb took, in milliseconds. */
  longest = 0;
  readonly live = new Set<Known>();
  readonly ended: string[] = [];
  /** The two ids of each refused move. Both may exist only if keys are on several servers. No one knows the new one. */
  readonly either: (readonly [string, string])[] = [];

  /** Makes, uses, moves and ends sessions, while `isRunning` returns `true`. */
  async work(store: SessionStore, isRunning: () => boolean): Promise<void> {
    const own: Known[] = [];
    while (isRunning()) {
      const start = performance.now();
      await this.#step(store, own).then(() => this.acknowledged++, () => this.refused++);
      this.longest = Math.max(this.longest, performance.now() - start);
      await new Promise((resolve) => setTimeout(resolve, 1));
    }
  }

  async #step(store: SessionStore, own: Known[]): Promise<void> {
    const dice = Math.random();
    const known = own[Math.floor(Math.random() * own.length)];
    if (known === undefined || dice < 0.2) {
      const made = { id: newId(), n: 0, doubts: 0 };
      await store.create(made.id, fresh({ n: 0 }, 600_000));
      this.live.add(made);
      // Some sessions are not changed again, so that they are older than the outage.
      if (Math.random() < 0.7) own.push(made);
    } else if (dice < 0.6) {
      known.doubts++;
      const updated = await store.update(known.id, set({ n: known.n + 1 }));
      known.doubts--;
      if (updated !== undefined) known.n++;
    } else {
      // This session is not used again, whether the verb succeeds or not.
      own.splice(own.indexOf(known), 1);
      this.live.delete(known);
      if (dice < 0.8) {
        if (await store.delete(known.id)) this.ended.push(known.id);
        return;
      }
      const to = newId();
      const doubt = [known.id, to] as const;
      this.either.push(doubt);
      const moved = await store.move(known.id, to, (record) => record);
      this.either.splice(this.either.indexOf(doubt), 1);
      if (moved === undefined) return;
      this.ended.push(known.id);
      const renewed = { ...known, id: to };
      own.push(renewed);
      this.live.add(renewed);
    }
  }

  /** Compares the stored sessions with the acknowledged state. */
  async check(store: SessionStore): Promise<{ lost: number; revived: number; doubled: number }> {
    let [lost, revived, doubled] = [0, 0, 0];
    for (const { id, n, doubts } of this.live) {
      const found = (await store.read(id))?.data["n"] as number | undefined;
      if (found === undefined || found < n || found > n + doubts) lost++;
    }
    for (const id of this.ended) if (await store.read(id) !== undefined) revived++;
    for (const [from, to] of this.either) {
      if (await store.read(from) !== undefined && await store.read(to) !== undefined) doubled++;
    }
    return { lost, revived, doubled };
  }
}

/** An engine and its outage. */
interface Outage {
  readonly what: string;
  readonly type: string;
  /** Whether changes may be lost, as the documentation says. */
  readonly mayLose?: boolean;
  /** Whether a refused move may leave a second session, whose id no one knows. */
  readonly mayDouble?: boolean;
  start(): Promise<AsyncDisposable & { readonly url: string }>;
  /** Causes the outage. Resolves when the engine could work again. */
  trouble(place: never): Promise<void>;
}

const seconds = (n: number) => new Promise<void>((resolve) => setTimeout(resolve, n * 1000));

const OUTAGES: Outage[] = [];
for (const type of ["redis", "postgres", "memcached"] satisfies EngineType[]) {
  OUTAGES.push({
    what: `${type}, killed and brought back`,
    type,
    mayDouble: type === "memcached",
    mayLose: type === "memcached",
    start: () => Engine.start(type),
    async trouble(engine: Engine) {
      await engine.kill();
      await seconds(1);
      await engine.up();
    },
  }, {
    what: `${type}, stopped for five seconds`,
    type,
    mayDouble: type === "memcached",
    start: () => Engine.start(type),
    async trouble(engine: Engine) {
      await engine.freeze();
      await seconds(5);
      await engine.thaw();
    },
  });
}
OUTAGES.push({
  what: "postgres, failed over to its hot standby and back",
  type: "postgres",
  start: () => Pair.start(),
  async trouble(pair: Pair) {
    await pair.failover();
    await seconds(2);
    await pair.failover();
  },
}, {
  what: "redis behind a Sentinel, failed over by an operator",
  type: "redis",
  mayLose: true,
  start: () => Sentinel.start(),
  trouble: async (sentinel: Sentinel) => await sentinel.failover(),
}, {
  what: "redis behind a Sentinel, its master killed",
  type: "redis",
  mayLose: true,
  start: () => Sentinel.start(),
  async trouble(sentinel: Sentinel) {
    const master = await sentinel.master();
    await master.kill();
    await until("another one is the master", async () => await sentinel.master() !== master);
  },
}, {
  what: "redis as a Cluster, one of its masters killed",
  type: "redis",
  mayDouble: true,
  mayLose: true,
  start: () => Cluster.start(1),
  async trouble(cluster: Cluster) {
    const [first, other] = cluster.engines;
    await first!.kill();
    await until("a replica took over", async () => {
      const lines = (await say(other!, "CLUSTER", "NODES")).split("\n");
      return lines.some((line) => /master,fail /.test(line)) && lines.filter((line) =>
            /\d+-\d+$/.test(line)
          ).length === 3 &&
        lines.every((line) => !(/master,fail /.test(line) && /\d+-\d+$/.test(line)));
    });
  },
});

const format = (n: number) => Math.round(n).toLocaleString("en-US");
let failed = 0;
const chosen = OUTAGES.filter(({ type }) => Deno.args.length === 0 || Deno.args.includes(type));
for (const outage of chosen) {
  await using place = await outage.start();
  const prefix = ["postgres"].includes(outage.type) ? {} : { prefix: "outage:" };
  const stores = await Promise.all([1, 2].map(() => openShared(outage.type, { url: place.url, ...prefix })));
  const ledger = new Ledger();
  let running = true;
  const work = Promise.all(
    Array.from({ length: WORKERS }, (_, index) => ledger.work(stores[index % 2]!, () => running)),
  );
  await seconds(2);
  await outage.trouble(place as never);
  const start = performance.now();
  const probe = newId();
  await until("it works again", () => stores[0]!.create(probe, fresh()).then(() => true, () => false));
  const recovery = performance.now() - start;
  await seconds(2);
  running = false;
  await work;
  const { lost, revived, doubled } = await ledger.check(stores[1]!);
  const isBad = ledger.longest > HUNG || (!outage.mayLose && lost + revived > 0) || (!outage.mayDouble && doubled > 0);
  if (isBad) failed++;
  const figures = [
    `${format(ledger.acknowledged)} acknowledged, ${format(lost)} lost, ${format(revived)} revived`,
    `${format(doubled)} doubled; ${format(ledger.refused)} refused, after ${format(ledger.longest)} ms at most`,
    `worked again ${format(recovery)} ms after the engine`,
  ];
  console.log(`${isBad ? "FAILED" : "ok    "} ${outage.what}: ${figures.join(", ")}`);
  for (const store of stores) await store.close?.();
}
console.log(`${chosen.length - failed} passed, ${failed} failed`);
Deno.exit(failed > 0 ? 1 : 0);
