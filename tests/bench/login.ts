/** Makes sessions or logs visitors in, with the library alone. Prints the processor time of one, in microseconds. */
import process from "node:process";

const COUNT = 2000;
const CONCURRENT = 16;

const [kind, dir, server] = Deno.args as [string, string, string];
const { FileStore, SessionManager } = await import(`${server}lib/mod.ts`);
const store = new FileStore({ dir });
const sessions = new SessionManager({ store, keys: ["a key of the benchmark of at least 32 bytes"] });

// The first sessions warm up the compiler and the store, and do not count.
await times(COUNT / 4, kind === "guest-logs-in" ? await cookies(COUNT / 4) : []);
const made = kind === "guest-logs-in" ? await cookies(COUNT) : [];
const before = process.cpuUsage();
await times(COUNT, made);
const { user, system } = process.cpuUsage(before);
console.log((user + system) / COUNT);
await sessions.close();

async function times(count: number, cookies: string[]): Promise<void> {
  for (let first = 0; first < count; first += CONCURRENT) {
    await Promise.all(Array.from({ length: CONCURRENT }, (_, index) => visit(first + index, cookies[first + index])));
  }
}

async function visit(number: number, cookie?: string, name = kind): Promise<string> {
  const request = new Request("http://localhost/", { headers: cookie === undefined ? {} : { cookie } });
  const session = await sessions.open(request);
  if (name !== "guest") session.logIn(`user ${number}`);
  session.set("greet", `Successfully registered username - ${number}.`);
  const response = await sessions.commit(session, new Response());
  return response.headers.getSetCookie()[0].split(";")[0];
}

async function cookies(count: number): Promise<string[]> {
  const made: string[] = [];
  for (let number = 0; number < count; number++) made.push(await visit(number, undefined, "guest"));
  return made;
}
