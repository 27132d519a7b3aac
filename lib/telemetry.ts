/** Telemetry: spans and metrics of sessions, through Deno's own OpenTelemetry, where `OTEL_DENO=true` switches it on. */
import type { SessionCounters } from "./_guarded_store.ts";
import type { Session } from "./session.ts";
import { SessionManager } from "./session_manager.ts";
import type { SessionOptions } from "./session_options.ts";

/** The part of a span that is used (OpenTelemetry API for JavaScript 1). */
interface Span {
  setStatus(status: { code: 2 }): void;
  end(): void;
}

interface Tracer {
  startActiveSpan<T>(name: string, fn: (span: Span) => T): T;
}

interface Meter {
  createObservableCounter(name: string, options: { description: string; unit: string }): {
    addCallback(callback: (result: { observe(value: number, attributes: Record<string, string>): void }) => void): void;
  };
}

/** What Deno registers under the name that every version 1 of the OpenTelemetry API looks for. */
interface Api {
  readonly trace: { getTracer(name: string): Tracer };
  readonly metrics: { getMeter(name: string): Meter };
}

const NAME = "session-server";

/**
 * Makes a session manager: one that is watched, if telemetry is on.
 *
 * @param options The options of the manager.
 */
export function createSessions<Data extends object>(options: SessionOptions): SessionManager<Data> {
  const api = (globalThis as Record<symbol, unknown>)[Symbol.for("opentelemetry.js.api.1")] as Api | undefined;
  if (api === undefined) return new SessionManager(options);
  const sessions = new TracedSessionManager<Data>(options, api.trace.getTracer(NAME));
  countWith(api.metrics.getMeter(NAME), sessions.counters);
  return sessions;
}

/** A session manager with a span around everything that may wait for the store. */
class TracedSessionManager<Data extends object> extends SessionManager<Data> {
  readonly #tracer: Tracer;

  constructor(options: SessionOptions, tracer: Tracer) {
    super(options);
    this.#tracer = tracer;
  }

  override open(request: Parameters<SessionManager<Data>["open"]>[0]): Promise<Session<Data>> {
    return this.#trace("session open", () => super.open(request));
  }

  override save(session: Session<Data>): Promise<readonly string[]> {
    return this.#trace("session commit", () => super.save(session));
  }

  #trace<T>(name: string, work: () => Promise<T>): Promise<T> {
    return this.#tracer.startActiveSpan(name, async (span) => {
      try {
        return await work();
      } catch (error) {
        span.setStatus({ code: 2 });
        throw error;
      } finally {
        span.end();
      }
    });
  }
}

/** The manager's counters as one metric, `sessions`, with the event for an attribute. */
function countWith(meter: Meter, counters: SessionCounters): void {
  const description = "What became of sessions, by event";
  meter.createObservableCounter("sessions", { description, unit: "{session}" }).addCallback((result) => {
    for (const [event, count] of Object.entries(counters)) result.observe(count, { event });
  });
}
