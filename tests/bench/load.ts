/** Load: sends a server as many requests as it answers, with wrk, or with autocannon if wrk is missing. */

/** The requests to send. */
export interface Load {
  readonly url: string;
  readonly seconds: number;
  /** Cookies to send, one per request, in turn. Unless given, none is sent. */
  readonly cookies?: readonly string[] | undefined;
  /** A form to send with POST. `[<id>]` in it becomes another string in each request. Unless given, GET is sent. */
  readonly form?: string | undefined;
}

/** The number of connections. */
export const CONNECTIONS = 32;

/** The result. */
export interface Result {
  /** Requests that were answered. */
  readonly requests: number;
  /** Requests per second. */
  readonly rate: number;
  /** The 99th percentile of the time to an answer, in milliseconds. */
  readonly p99: number;
}

const FORM = "application/x-www-form-urlencoded";

/** The load tool and its version. */
export const tool: { readonly name: "wrk" | "autocannon"; readonly version: string } = findTool();

/** The number in the next form. Each load continues where the previous one ended. */
let next = 1;

/** Sends requests for some seconds. Throws if an answer was an error, because its speed would mean nothing. */
export async function load(what: Load): Promise<Result> {
  return tool.name === "wrk" ? await wrk(what) : await autocannon(what);
}

function findTool(): typeof tool {
  try {
    const { stdout } = new Deno.Command("wrk", { args: ["-v"], stdout: "piped", stderr: "null" }).outputSync();
    const version = /wrk (?:debian\/)?([\d.]+)/.exec(new TextDecoder().decode(stdout));
    return { name: "wrk", version: version?.[1] ?? "of unknown version" };
  } catch {
    return { name: "autocannon", version: "8.0.0" };
  }
}

async function wrk({ url, seconds, cookies = [], form }: Load): Promise<Result> {
  const script = await Deno.makeTempFile({ suffix: ".lua" });
  await Deno.writeTextFile(
    script,
    `local cookies = { ${cookies.map((cookie) => JSON.stringify(cookie)).join(", ")} }
local form = ${form === undefined ? "nil" : JSON.stringify(form)}
local requests, turn, number = {}, 0, ${next}
init = function()
  for index = 1, math.max(#cookies, 1) do
    requests[index] = wrk.format("GET", nil, { Cookie = cookies[index] })
  end
end
request = function()
  if form then
    number = number + 1
    local body = form:gsub("%[<id>%]", number)
    return wrk.format("POST", nil, { ["Content-Type"] = "${FORM}" }, body)
  end
  turn = turn % #requests + 1
  return requests[turn]
end
`,
  );
  const args = ["-t1", `-c${CONNECTIONS}`, `-d${seconds}s`, "--latency", "-s", script, url];
  const output = await new Deno.Command("wrk", { args }).output();
  await Deno.remove(script);
  const text = new TextDecoder().decode(output.stdout);
  const failed = /Non-2xx or 3xx responses: (\d+)|Socket errors: (.*)/.exec(text);
  const requests = /(\d+) requests in /.exec(text);
  // Requests that were not answered used numbers, too.
  if (form !== undefined) next += Number(requests?.[1]) + 2 * CONNECTIONS;
  const rate = /Requests\/sec:\s+([\d.]+)/.exec(text);
  if (failed !== null || requests === null || rate === null) throw new Error(`wrk at ${url}: ${failed?.[0] ?? text}`);
  return { requests: Number(requests[1]), rate: Number(rate[1]), p99: latency(text) };
}

function latency(text: string): number {
  const [, number, unit] = /99%\s+([\d.]+)(us|ms|s)/.exec(text)!;
  return Number(number) * { us: 0.001, ms: 1, s: 1000 }[unit as "us" | "ms" | "s"];
}

async function autocannon({ url, seconds, cookies, form }: Load): Promise<Result> {
  const type: Record<string, string> = form === undefined ? {} : { "content-type": FORM };
  const options = {
    url,
    seconds,
    connections: CONNECTIONS,
    method: form === undefined ? "GET" : "POST",
    body: form,
    // autocannon replaces each "[<id>]" with an id.
    idReplacement: form !== undefined,
    headers: cookies?.map((cookie) => ({ ...type, cookie })) ?? [type],
  };
  const here = import.meta.dirname;
  const args = ["run", "--no-config", `--lock=${here}/autocannon.lock`, "-A", `${here}/autocannon.ts`];
  const { stdout, success } = await new Deno.Command(Deno.execPath(), {
    args: [...args, JSON.stringify(options)],
    stderr: "inherit",
  }).output();
  if (!success) throw new Error(`autocannon at ${url} failed`);
  const { failed, ...result } = JSON.parse(new TextDecoder().decode(stdout));
  if (failed > 0) throw new Error(`autocannon at ${url}: ${failed} requests failed`);
  return result;
}
