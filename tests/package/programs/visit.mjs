/** Visits a program as a browser does: as a stranger, then logs in, gets an error, and logs out. */
import assert from "node:assert/strict";

/** @param {string} origin Where the program listens. */
export async function visit(origin) {
  let cookie = "";
  const send = async (path, method = "GET") => {
    const headers = { connection: "close", ...(cookie === "" ? {} : { cookie }) };
    const response = await fetch(origin + path, { method, headers, redirect: "manual" });
    const cookies = response.headers.getSetCookie();
    for (const line of cookies) cookie = /max-age=0/i.test(line) ? "" : line.split(";")[0];
    return { status: response.status, cookies, text: await response.text() };
  };
  const stranger = await send("/");
  assert.deepEqual([stranger.status, stranger.text, stranger.cookies], [200, "Hello, stranger", []]);
  const loggedIn = await send("/log-in", "POST");
  assert.deepEqual([loggedIn.status, loggedIn.cookies.length], [303, 1]);
  assert.equal((await send("/")).text, "Hello, ada");
  const failed = await send("/fails");
  assert.deepEqual([failed.status, failed.cookies], [500, []]);
  assert.equal((await send("/")).text, "Hello, ada");
  const old = cookie;
  assert.equal((await send("/log-out", "POST")).status, 303);
  cookie = old;
  assert.equal((await send("/")).text, "Hello, stranger");
}
