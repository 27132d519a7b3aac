/** Telemetry: the data that a collector on this machine gets if `OTEL_DENO=true`. */
import { assert, assertEquals } from "@std/assert";
import { Browser, Server, withFolder } from "../support/server.ts";

interface Attribute {
  readonly key: string;
  readonly value: { readonly stringValue?: string };
}

interface Span {
  readonly name: string;
  readonly traceId: string;
  readonly status?: { readonly code?: number };
}

interface Metric {
  readonly name: string;
  readonly sum?: {
    readonly dataPoints: { readonly attributes: Attribute[]; readonly asInt?: string; readonly asDouble?: number }[];
  };
}

/** A collector. It accepts OTLP as JSON over HTTP, and keeps the data. */
class Collector {
  readonly spans: Span[] = [];
  /** The session counters that were sent last. */
  readonly sessions = new Map<string, number>();
  text = "";
  readonly #server = Deno.serve({ hostname: "127.0.0.1", port: 0, onListen: () => {} }, async (request) => {
    const text = await request.text();
    this.text += text;
    const { resourceSpans = [], resourceMetrics = [] } = JSON.parse(text);
    for (const { scopeSpans } of resourceSpans) for (const { spans } of scopeSpans) this.spans.push(...spans);
    for (const { scopeMetrics } of resourceMetrics) for (const { metrics } of scopeMetrics) this.#count(metrics);
    return Response.json({});
  });

  get env(): Record<string, string> {
    return {
      OTEL_DENO: "true",
      OTEL_EXPORTER_OTLP_PROTOCOL: "http/json",
      OTEL_EXPORTER_OTLP_ENDPOINT: `http://127.0.0.1:${this.#server.addr.port}`,
      OTEL_METRIC_EXPORT_INTERVAL: "200",
      OTEL_BSP_SCHEDULE_DELAY: "200",
    };
  }

  #count(metrics: Metric[]): void {
    for (const { name, sum } of metrics) {
      if (name !== "sessions") continue;
      for (const { attributes, asInt, asDouble } of sum!.dataPoints) {
        const event = attributes.find(({ key }) => key === "event")!.value.stringValue!;
        this.sessions.set(event, Number(asInt ?? asDouble));
      }
    }
  }

  /** Waits until a condition holds. */
  async until(holds: () => boolean, what: string): Promise<void> {
    for (let i = 0; i < 100; i++) {
      if (holds()) return;
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
    throw new Error(`not seen within 10 seconds: ${what}`);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#server.shutdown();
  }
}

Deno.test("telemetry: a collector gets spans of the store, and events as a metric", async () => {
  await using collector = new Collector();
  await withFolder(async (dir) => {
    const server = await Server.start({ SESSION_FILE_DIR: dir, ...collector.env });
    try {
      const browser = new Browser(server.origin);
      await browser.post("/add", { username: "Zaphod" });
      const id = browser.cookie.split(/[=.]/)[1]!;
      await browser.get("/");
      await browser.get("/", { cookie: "session=forged" });

      const named = (name: string) => collector.spans.filter((span) => span.name === name);
      const requests = () => collector.spans.filter(({ name }) => name === "GET" || name === "POST");
      await collector.until(
        () => named("session create").length === 1 && named("session read").length === 1 && requests().length === 3,
        "spans",
      );
      const traces = new Set(requests().map((span) => span.traceId));
      for (const { traceId } of [...named("session create"), ...named("session read")]) assert(traces.has(traceId));

      const events = ["made", "logged in", "refused"];
      await collector.until(() => events.every((event) => collector.sessions.get(event) === 1), "metrics");
      assertEquals([...collector.sessions.keys()].sort(), events.sort());
      assert(!collector.text.includes(id) && !collector.text.includes("Zaphod"), "no id and no name");
    } finally {
      await server.kill();
    }
  });
});

Deno.test("telemetry: the span of a failed call is marked as failed", async () => {
  await using collector = new Collector();
  const env = { SESSION_TYPE: "null", SECRET_KEY: "a key for tests of at least 32 bytes", ...collector.env };
  const server = await Server.start(env);
  try {
    assertEquals(await new Browser(server.origin).post("/add", { username: "Ada" }), 503);
    await collector.until(() => collector.spans.some(({ name }) => name === "session create"), "spans");
    const spans = collector.spans.filter(({ name }) => name.startsWith("session"));
    assertEquals(spans.map(({ name, status }) => [name, status?.code]), [["session create", 2]]);
  } finally {
    await server.kill();
  }
});
