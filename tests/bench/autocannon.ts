/** Loads a server with autocannon, if wrk is missing. Prints the result as JSON. */
// deno-lint-ignore no-import-prefix -- it has a lock file of its own
import autocannon from "npm:autocannon@8.0.0";

const { url, seconds, connections, method, body, idReplacement, headers } = JSON.parse(Deno.args[0]!);
const requests = (headers as Record<string, string>[]).map((headers) => ({
  method,
  headers,
  ...(body ? { body } : {}),
}));
const result = await autocannon({ url, duration: seconds, connections, requests, idReplacement });
console.log(JSON.stringify({
  requests: result.requests.total,
  rate: result.requests.average,
  p99: result.latency.p99,
  failed: result.non2xx - (result["3xx"] ?? 0) + result.errors,
}));
