/**
 * Telemetry: spans of the store's verbs, and a counter of all events, if the program has OpenTelemetry.
 *
 * @module
 */
import type { SessionEvent } from "./events.ts";
import { checkSessionOptions, type SessionOptions } from "./session_options.ts";
import type { SessionStore } from "./store.ts";

/** The methods of a span that are used (OpenTelemetry API for JavaScript 1). */
interface Span {
  setStatus(status: { code: 2 }): void;
  end(): void;
}

interface Tracer {
  startActiveSpan<T>(name: string, fn: (span: Span) => T): T;
}

interface Meter {
  createCounter(name: string, options: { description: string; unit: string }): {
    add(value: number, attributes: Record<string, string>): void;
  };
}

/** The object that is registered under the symbol that every version 1 of the OpenTelemetry API uses. */
interface Api {
  readonly trace: { getTracer(name: string): Tracer };
  readonly metrics: { getMeter(name: string): Meter };
}

const NAME = "sessions";

/**
 * Adds telemetry to the options of a session manager. Each call that creates, reads, changes, moves or deletes sessions
 * in the store makes a span, such as `session read`. The counter `sessions` counts the events: its attribute `event`
 * has the type, and `reason` has the reason of a refusal. Spans and counter have no id, handle or user. Deno has
 * OpenTelemetry if `OTEL_DENO=true`; other programs register an SDK. Without OpenTelemetry, the options are returned
 * unchanged.
 *
 * @param options The options of the manager.
 * @returns The options for the manager.
 * @throws {TypeError} if an option is unknown or invalid; {@linkcode RangeError} for a lifetime that is out of range.
 *
 * @example
 * ```ts
 * import { MemoryStore, SessionManager } from "sessions";
 * import { withTelemetry } from "sessions/telemetry";
 * import { assertEquals } from "@std/assert";
 *
 * const keys = ["a secret key of at least 32 bytes"];
 * const sessions = new SessionManager(withTelemetry({ store: new MemoryStore(), keys }));
 * assertEquals((await sessions.open(new Request("http://localhost/"))).data, {});
 * ```
 */
export function withTelemetry(options: SessionOptions): SessionOptions {
  // The options are checked here, because the manager sees only the store and the listener that replace the given ones.
  checkSessionOptions(options);
  const api = (globalThis as Record<symbol, unknown>)[Symbol.for("opentelemetry.js.api.1")] as Api | undefined;
  if (api === undefined) return options;
  const description = "What happened to sessions, by event";
  const counter = api.metrics.getMeter(NAME).createCounter("sessions", { description, unit: "{event}" });
  const on = (event: SessionEvent) => {
    const { type, reason } = event;
    counter.add(1, type === "refused" && reason !== undefined ? { event: type, reason } : { event: type });
    // The result is returned, so that the manager reports the failure of an asynchronous listener.
    return options.on?.(event);
  };
  return { ...options, store: traced(options.store, api.trace.getTracer(NAME)), on };
}

/** The methods of a store that a manager calls, with a span around each verb. */
function traced(store: SessionStore, tracer: Tracer): SessionStore {
  const span = <T>(verb: string, work: () => Promise<T>): Promise<T> =>
    tracer.startActiveSpan(`session ${verb}`, async (span) => {
      try {
        return await work();
      } catch (error) {
        span.setStatus({ code: 2 });
        throw error;
      } finally {
        span.end();
      }
    });
  return {
    create: (key, record) => span("create", () => store.create(key, record)),
    read: (key) => span("read", () => store.read(key)),
    update: (key, change) => span("update", () => store.update(key, change)),
    touch: (key, expires) => span("touch", () => store.touch(key, expires)),
    delete: (key) => span("delete", () => store.delete(key)),
    move: (from, to, change) => span("move", () => store.move(from, to, change)),
    ...(store.deleteMany && { deleteMany: (keys) => span("delete", () => store.deleteMany!(keys)) }),
    ...(store.groupOf && { groupOf: (user) => store.groupOf!(user) }),
    ...(store.sessionsOf && { sessionsOf: (user) => store.sessionsOf!(user) }),
    ...(store.sweep && { sweep: () => store.sweep!() }),
    ...(store.close && { close: () => store.close!() }),
  };
}
