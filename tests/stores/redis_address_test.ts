/** Addresses of Redis: those of providers, and those with parts that have no effect. */
import { assert, assertMatch, assertRejects, assertThrows } from "@std/assert";
import { newId } from "../../lib/id.ts";
import { Engine, PASSWORD } from "./engines.ts";
import { fresh, storeClass } from "./shared.ts";

const ignore = !(Deno.env.get("TEST_ENGINES") ?? "").split(",").includes("redis");

const GOOD = [
  "redis://localhost",
  "redis://localhost:6379/",
  "redis://localhost/15",
  "redis://localhost?db=15",
  "redis://[::1]:6379/0",
  "redis://:p%40ss%2Fword@10.0.0.1",
  "valkey://default:secret@host",
  // Upstash, Redis Cloud, Aiven, Heroku.
  "rediss://default:AbCd@eu1-fine-cat-12345.upstash.io:6379",
  "redis://default:secret@redis-12345.c1.us-east-1-2.ec2.redns.redis-cloud.com:12345",
  "rediss://default:AVNS_secret@valkey-1a2b-project.a.aivencloud.com:23456",
  "rediss://:p0secret@ec2-1-2-3-4.compute-1.amazonaws.com:23456",
  "redis+unix:///run/redis/redis.sock",
  "redis+unix://user:secret@localhost/run/redis/redis.sock?db=2",
  "redis://sentinel-1:26379/0?sentinel=mymaster&node=sentinel-2&node=[::1]:26379",
  "rediss://user:secret@node-1:6379?cluster&node=node-2:6380",
  "redis://node-1?cluster=true",
];

const BAD: readonly [address: string, message: RegExp][] = [
  ["localhost:6379", /must be like redis:\/\/user:password@host:6379\/0/],
  ["http://:secret@localhost", /scheme "http:"/],
  ["redis://:se/cret@localhost", /percent-encoded/],
  ["redis://:secret%@localhost", /percent-encoded/],
  ["redis://:secret@localhost/0#1", /%23/],
  ["redis://:secret@localhost/zero", /the database .* must be a number/],
  ["redis://:secret@localhost/-1", /the database .* must be a number/],
  ["redis://:secret@localhost/1/2", /the database .* must be a number/],
  ["redis://:secret@localhost?db=", /the database .* must be a number/],
  ["redis://:secret@localhost/1?db=1", /names the database twice/],
  ["redis://:secret@localhost?timeout=5", /"timeout"/],
  ["redis://:secret@localhost?password=secret", /"password"/],
  ["redis://:secret@localhost?db=1&db=2", /"db" more than once/],
  ["redis:///0", /must name a host/],
  ["redis://:secret@localhost?node=other", /only with "sentinel" or "cluster"/],
  ["redis://:secret@localhost?sentinel=", /must name the master/],
  ["redis://:secret@localhost?sentinel=a&cluster", /both/],
  ["redis://:secret@localhost/1?cluster", /prefix/],
  ["redis://:secret@localhost?cluster=no", /true or false: received "no"/],
  ["redis://:secret@localhost?cluster&node=redis://a", /"node" in the address/],
  ["redis+unix://host/run/redis.sock", /socket must be like/],
  ["redis+unix:///run/redis.sock?cluster", /no socket/],
  ["redis://limited@localhost", /a user without a password/],
  ["rediss://limited:@localhost:6379/1", /a user without a password/],
  ["redis+unix://limited@localhost/run/redis.sock", /a user without a password/],
  ["redis://:secret@127.0.0.1:99999", /the port must be a whole number from 1 to 65535/],
  ["redis://:secret@[::1]:0", /the port must be a whole number from 1 to 65535/],
  ["redis://:secret@localhost:6379x", /the port must be a whole number from 1 to 65535/],
  ["redis://:65537secret/6@localhost", /percent-encoded/],
];

Deno.test({
  name: "redis: the addresses of providers work",
  ignore,
  async fn() {
    const Store = await storeClass("redis");
    for (const url of GOOD) await new Store({ url }).close!();
  },
});

Deno.test({
  name: "redis: parts of an address that have no effect are refused",
  ignore,
  async fn() {
    const Store = await storeClass("redis");
    for (const [url, message] of BAD) {
      const error = assertThrows(() => new Store({ url }), TypeError);
      assertMatch(error.message, message);
      assert(!/se.?cret/.test(error.message), error.message);
    }
    assertThrows(() => new Store({}), TypeError, '"url" and "client"');
    // Clients of the packages ioredis and node-redis 3.
    const other = { status: "ready", get() {}, eval() {}, pttl() {}, zrange() {}, on() {} };
    for (const client of [other, {}, "redis://localhost", null]) {
      assertThrows(() => new Store({ client }), TypeError, '"@redis/client" or "redis"');
    }
    assertThrows(() => new Store({ url: GOOD[0], ...{ prefx: "a" } }), TypeError, 'no option "prefx"');
    for (const prefix of ["", "a b", "{a}", "a*", "x".repeat(101)]) {
      assertThrows(() => new Store({ url: GOOD[0], prefix }), TypeError, "prefix");
    }
    for (const max of [-1, NaN, Infinity]) assertThrows(() => new Store({ url: GOOD[0], max }), RangeError, "max");
  },
});

Deno.test({
  name: "redis: an IPv6 address works, and a wrong password is not shown",
  ignore,
  async fn() {
    await using engine = await Engine.start("redis", ["--bind", "127.0.0.1", "-::1"]);
    const Store = await storeClass("redis");
    const store = new Store({ url: `redis://:${PASSWORD}@[::1]:${engine.port}` });
    await store.create(newId(), fresh());
    await store.close!();
    const stranger = new Store({ url: `redis://:wrong-secret@[::1]:${engine.port}` });
    const { message } = await assertRejects(() => stranger.read(newId()), Error, "WRONGPASS");
    assert(!message.includes("wrong-secret"));
    await stranger.close!();
  },
});
