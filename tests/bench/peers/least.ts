/** The least that a registration takes: reads the form, signs an id, writes one file, answers. It checks and keeps nothing. */
import { createHmac } from "node:crypto";

const [port, folder, headers] = Deno.args;
const home = new Headers({ ...JSON.parse(headers!), location: "/" });
const key = new TextEncoder().encode("a secret key of at least 32 bytes");
const hex = (byte: number) => byte.toString(16).padStart(2, "0");

Deno.serve({ hostname: "127.0.0.1", port: Number(port), onListen() {} }, async (request) => {
  if (request.method === "GET") return new Response();
  const user = new URLSearchParams(await request.text()).get("username");
  const id = Array.from(crypto.getRandomValues(new Uint8Array(20)), hex).join("");
  const record = JSON.stringify({ user, greet: `Successfully registered username - ${user}.`, at: Date.now() });
  Deno.writeTextFileSync(`${folder}/${id}`, record, { createNew: true, mode: 0o600 });
  const response = new Response(null, { status: 303, headers: home });
  const signature = createHmac("sha256", key).update(id).digest("base64url");
  response.headers.append("set-cookie", `session=${id}.${signature}; HttpOnly; SameSite=Lax; Path=/; Max-Age=3600`);
  return response;
});
