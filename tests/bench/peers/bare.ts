/** A bare Deno.serve: it answers the same page, and writes one new file of the same size for each POST. */
const [port, pageFile, recordFile, headers] = Deno.args;
const page = await Deno.readTextFile(pageFile!);
const record = await Deno.readTextFile(recordFile!);
const folder = await Deno.makeTempDir({ dir: recordFile!.slice(0, recordFile!.lastIndexOf("/")) });
const init = { headers: JSON.parse(headers ?? "null") ?? { "content-type": "text/html; charset=utf-8" } };

Deno.serve({ hostname: "127.0.0.1", port: Number(port), onListen() {} }, async (request) => {
  if (request.method === "GET") return new Response(page, init);
  await request.text();
  await Deno.writeTextFile(`${folder}/${crypto.randomUUID()}`, record, { createNew: true, mode: 0o600 });
  return new Response(null, { status: 303, headers: { location: "/" } });
});
