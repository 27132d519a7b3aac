/** `deno task bench:parts`: measures the parts of a request, each alone, in this process. */
import { SessionManager } from "../../lib/session_manager.ts";
import { keyOf, newId } from "../../lib/id.ts";
import { createApp } from "../../lib/server/app.ts";
import type { Visitor } from "../../lib/server/pages.ts";
import { Signer } from "../../lib/signer.ts";
import { FileStore } from "../../lib/stores/file/store.ts";
import { MemoryStore } from "../../lib/stores/memory.ts";
import { Views } from "../../lib/server/views.ts";
import { KEY } from "./folders.ts";

const dir = await Deno.makeTempDir({ prefix: "session-parts-" });
addEventListener("unload", () => Deno.removeSync(dir, { recursive: true }));

const signer = new Signer([KEY], "benchmark");
const id = newId();
const signed = signer.sign(id);
const forged = `${signed.slice(0, -4)}AAAA`;

Deno.bench("sign", { group: "signer" }, () => void signer.sign(id));
Deno.bench("verify a signature seen before", { group: "signer" }, () => void signer.unsign(signed));
Deno.bench("refuse a forged signature", { group: "signer" }, () => void signer.unsign(forged));

for (const [name, store] of [["memory", new MemoryStore()], ["file", new FileStore({ dir })]] as const) {
  const sessions = new SessionManager<Visitor>({ store, keys: [KEY] });
  const register = sessions.wrap(async (_request, open) => {
    const session = await open();
    session.set("user", "alice");
    session.set("greet", "Successfully registered username - alice.");
    return new Response();
  });
  const response = await register(new Request("http://localhost/"));
  const cookie = response.headers.getSetCookie()[0]!.split(";")[0]!;
  const request = new Request("http://localhost/", { headers: { cookie } });
  const key = keyOf(cookie.slice("session=".length).split(".")[0]!);
  const app = createApp({ sessions, store });
  const group = `${name} store`;

  Deno.bench(`${name} store: read`, { group }, async () => void await store.read(key));
  Deno.bench(`${name} store: update`, { group }, async () => {
    await store.update(key, (record) => record);
  });
  Deno.bench(`${name} store: touch`, { group }, async () => void await store.touch(key, Date.now() + 1_800_000));
  Deno.bench(`${name} store: open`, { group }, async () => void await sessions.open(request));
  Deno.bench(`${name} store: open and commit, unchanged`, { group }, async () => {
    await sessions.commit(await sessions.open(request), new Response());
  });
  Deno.bench(`${name} store: the home page`, { group }, async () => void await app(request));
}

const options = { store: new MemoryStore(), keys: [KEY], cookie: { name: "__Host-session", secure: true } };
for (const [name, bound] of [["without", undefined], ["with", { path: "/bound" }]] as const) {
  const sessions = new SessionManager<Visitor>({ ...options, bound });
  const session = await sessions.open(new Request("https://localhost/"));
  session.logIn("alice");
  const [cookie = ""] = await sessions.save(session);
  const request = new Request("https://localhost/", { headers: { cookie: cookie.split(";")[0]! } });
  Deno.bench(`open and save, ${name} the option "bound"`, { group: "bound" }, async () => {
    if (sessions.answerBound(request) === undefined) await sessions.save(await sessions.open(request));
  });
}

const views = new Views("");

Deno.bench("render the home page", { group: "render" }, () => {
  const alert = { tone: "success", text: "Successfully registered username - alice." } as const;
  views.home({ user: "alice", alert, remembered: "If you do nothing, your name is forgotten in 1&nbsp;hour." });
});
