/** The pages of the three-page server, compared with bare servers and with every peer. */
import { anyRecord, fill } from "../folders.ts";
import { load } from "../load.ts";
import {
  type Contender,
  contender,
  inTurn,
  printLine,
  printMissing,
  printTable,
  printTitle,
  type Sample,
  say,
  withRange,
} from "../measure.ts";
import { type Peer, peers, type Place } from "../peers.ts";
import { bare, least, Missing, ours, startFlags, type Subject } from "../servers.ts";
import { FILES_BEFORE, folder, FORM, headersOf, pageOf, post, register, settle, stop, subfolder } from "./common.ts";

/** `GET /` of a registered visitor. Returns the bare server's results, which show how quiet the machine was. */
export async function measureUser(): Promise<Sample[]> {
  const subject = await ours({ SESSION_FILE_DIR: await subfolder("user") });
  const cookie = await register(subject);
  const { page, headers } = await pageOf(subject, cookie);
  const limits = [await bare(folder, { page }), await bare(folder, { page, headers })];
  const running = [subject, ...limits];
  const contenders: Contender[] = [
    contender("ours", subject, { cookies: [cookie] }),
    contender("bare Deno.serve", limits[0]!, { cookies: [cookie], target: 0.6 }),
    contender("bare with our headers", limits[1]!, { cookies: [cookie], target: 0.75 }),
  ];
  const missing: [Peer, string][] = [];
  const pages = await writePages(page, (await pageOf(subject)).page);
  for (const peer of peers) {
    try {
      const started = await peer.start({ ...pages, dir: await subfolder(peer.name.replaceAll(/\W+/g, "-")) });
      running.push(started);
      contenders.push(contender(peer.name, started, { cookies: [await register(started)], target: peer.target }));
    } catch (error) {
      if (!(error instanceof Missing)) throw error;
      say(`${peer.name}: ${error.message}`);
      missing.push([peer, error.message]);
    }
  }
  await inTurn(contenders);
  printTable("GET / of a registered visitor", contenders);
  for (const [peer, reason] of missing) printMissing(peer.name, reason);
  await stop(running);
  return contenders[1]!.samples;
}

/** `GET /` of a visitor without a session. */
export async function measureAnonymous(): Promise<void> {
  const subject = await ours({ SESSION_FILE_DIR: await subfolder("anonymous") });
  const { page, headers } = await pageOf(subject);
  const limits = [await bare(folder, { page }), await bare(folder, { page, headers })];
  const contenders = [
    contender("ours", subject),
    contender("bare Deno.serve", limits[0]!, { target: 0.75 }),
    contender("bare with our headers", limits[1]!),
  ];
  await inTurn(contenders);
  printTable("GET / of a stranger", contenders);
  await stop([subject, ...limits]);
}

/** The cost of each header: a bare server with all our headers is compared with one that lacks the header. */
export async function measureHeaders(): Promise<void> {
  const subject = await ours({ SESSION_FILE_DIR: await subfolder("headers") });
  const { page, headers } = await pageOf(subject, await register(subject));
  await stop([subject]);
  const servers = [await bare(folder, { page, headers })];
  const all = contender("all headers", servers[0]!);
  const contenders = [all];
  for (const name of headers.keys()) {
    const others = new Headers(headers);
    others.delete(name);
    const server = await bare(folder, { page, headers: others });
    servers.push(server);
    contenders.push(contender(name, server));
  }
  await inTurn(contenders);
  printTitle("The cost of each header of a page, in µs");
  for (const { name, samples } of contenders.slice(1)) {
    printLine(`${name}: ${withRange(samples.map(({ micros }, round) => all.samples[round]!.micros - micros))}`);
  }
  printLine(`all of the page: ${withRange(all.samples.map(({ micros }) => micros))}`);
  await stop(servers);
}

/** `POST /add` of new visitors. */
export async function measureAdd(): Promise<void> {
  const dir = await subfolder("add");
  const subject = await readyForMore(dir);
  const record = anyRecord(dir);
  // Unless everything is allowed, Deno checks each part of a path that a program opens for a link.
  const flags = await startFlags();
  const limits = [
    await bare(folder, { record }),
    await bare(folder, { record, flags }),
    await least(await subfolder("least"), headersOf(await post(`${subject.origin}/add`)), flags),
  ];
  for (const { origin } of limits) await load({ url: `${origin}/add`, seconds: 3, form: FORM });
  const contenders = [
    contender("ours", subject, { form: FORM, path: "/add" }),
    contender("bare, one file", limits[0]!, { form: FORM, path: "/add" }),
    contender("with our permissions", limits[1]!, { form: FORM, path: "/add" }),
    contender("the least server", limits[2]!, { form: FORM, path: "/add", target: 0.75 }),
  ];
  await inTurn(contenders);
  printTable("POST /add of a new visitor", contenders);
  await stop([subject, ...limits]);
}

/** Our server, on a folder that already has many sessions. */
export async function readyForMore(dir: string, settings: Record<string, string> = {}): Promise<Subject> {
  const first = await ours({ SESSION_FILE_DIR: dir });
  await register(first);
  await first.stop();
  fill(dir, FILES_BEFORE, Date.now() + 3_600_000);
  await settle();
  const subject = await ours({ SESSION_FILE_DIR: dir, ...settings });
  await register(subject);
  return subject;
}

/** Writes our two pages to files, with placeholders for the name and the message. */
async function writePages(user: string, stranger: string): Promise<Omit<Place, "dir">> {
  const paths = { userPage: `${folder}/user.html`, strangerPage: `${folder}/stranger.html` };
  const template = user.replaceAll("Successfully registered username - <bdi>alice</bdi>.", "{{.Greet}}")
    .replaceAll("alice", "{{.User}}");
  await Deno.writeTextFile(paths.userPage, template);
  await Deno.writeTextFile(paths.strangerPage, stranger);
  return paths;
}
