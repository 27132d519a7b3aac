/** What all rows use: folders, and visitors that register. */
import type { Subject } from "../servers.ts";

/** The folder of all files that a run writes. */
export const folder: string = await Deno.makeTempDir({ prefix: "session-bench-" });

/** The form that registers visitors, each with another name. */
export const FORM = "username=visitor[<id>]";

/** How many session files a folder has before new ones are measured. A new folder is slow at first. */
export const FILES_BEFORE = 30_000;

export async function subfolder(name: string): Promise<string> {
  const path = `${folder}/${name}`;
  await Deno.mkdir(path, { mode: 0o700 });
  return path;
}

/** Registers a visitor and returns the cookie. */
export async function register({ origin }: Pick<Subject, "origin">): Promise<string> {
  const response = await post(`${origin}/add`);
  const [cookie] = response.headers.getSetCookie();
  if (cookie === undefined) throw new Error(`${origin} registered no one: it answered ${response.status}`);
  return cookie.split(";")[0]!;
}

/** Registers many visitors, sixteen at the same time. */
export async function registerMany(subject: Subject, count: number): Promise<string[]> {
  const cookies: string[] = [];
  const registerSome = async () => {
    while (cookies.length < count) cookies[cookies.push("") - 1] = await register(subject);
  };
  await Promise.all(Array.from({ length: 16 }, registerSome));
  return cookies;
}

/** Sends the form, with a cookie if there is one. */
export async function post(url: string, cookie = ""): Promise<Response> {
  const body = new URLSearchParams({ username: "alice" });
  const response = await fetch(url, { method: "POST", body, headers: { cookie }, redirect: "manual" });
  await response.body?.cancel();
  return response;
}

/** A page and its headers. */
export async function pageOf(
  { origin }: Subject,
  cookie = "",
): Promise<{ readonly page: string; readonly headers: Headers }> {
  const response = await fetch(origin, { headers: { cookie } });
  return { page: await response.text(), headers: headersOf(response) };
}

/** The headers that our server gave an answer, without the cookie and those that Deno adds. */
export function headersOf(response: Response): Headers {
  const headers = new Headers(response.headers);
  for (const name of ["date", "content-length", "content-encoding", "transfer-encoding", "set-cookie"]) {
    headers.delete(name);
  }
  headers.set("vary", "Cookie");
  return headers;
}

/** Lets the system write its buffers to the disk, so that it does not do so during a measurement. */
export async function settle(): Promise<void> {
  await new Deno.Command("sync").output();
}

export async function stop(subjects: readonly Subject[]): Promise<void> {
  await Promise.all(subjects.map((subject) => subject.stop()));
}
