/** Records: their JSON, their end, and strings that are no records. */
import { assertEquals, assertThrows } from "@std/assert";
import { RecordTooLargeError } from "../../lib/errors.ts";
import { CLOCK_SKEW, decode, encode, endOf, isLive, type SessionRecord } from "../../lib/record.ts";

const TIMES = { created: 1000, idle: 60_000, expires: 61_000, deadline: 601_000 };
const RECORD: SessionRecord = {
  data: JSON.parse('{"__proto__": 1, "name": "Zoë 👋"}'),
  ...TIMES,
  user: "ada",
  overrides: { idle: 60_000, permanent: true },
  flashes: [{ id: "1", category: "message", message: "hello" }],
};

Deno.test("record: its JSON is read as the same record, frozen", () => {
  const record = decode(encode(RECORD));
  assertEquals(record, RECORD);
  assertThrows(() => Object.assign((record as SessionRecord).data, { more: 1 }), TypeError);
  assertEquals(decode(encode({ data: {}, ...TIMES })), { data: {}, ...TIMES });
});

Deno.test("record: an idle limit that is stored beside the JSON counts", () => {
  assertEquals(decode(encode(RECORD), 99_000), { ...RECORD, expires: 99_000 });
});

Deno.test("record: a string that is no record is corrupt", () => {
  const right = JSON.parse(encode(RECORD));
  const wrong = [{ data: [] }, { data: null }, { created: "1" }, { idle: null }, { expires: {} }, {
    deadline: undefined,
  }];
  const others = [{ user: 7 }, { overrides: [] }, { flashes: {} }, { flashes: [1] }, { version: 0 }, { version: "1" }];
  const texts = [...wrong, ...others].map((change) => JSON.stringify({ ...right, ...change }));
  for (const text of ["", "{", "null", "[]", "7", '"x"', encode(RECORD).slice(0, -1), ...texts]) {
    assertEquals(decode(text), "corrupt", text);
  }
});

Deno.test("record: JSON that nests too deep to be frozen is corrupt, and does not throw", () => {
  const text = encode({ data: { deep: 0 }, ...TIMES }).replace(
    '"deep":0',
    `"deep":${"[".repeat(2e5)}${"]".repeat(2e5)}`,
  );
  assertEquals(decode(text), "corrupt");
});

Deno.test("record: one of a later version is not corrupt", () => {
  assertEquals(decode('{"version":2,"anything":true}'), "newer");
});

Deno.test("record: JSON above the maximum is refused, and the error has both sizes", () => {
  const record = { ...RECORD, data: { text: "é".repeat(100) } };
  const { length } = new TextEncoder().encode(encode(record));
  assertEquals(encode(record, length), encode(record));
  const error = assertThrows(() => encode(record, length - 1), RecordTooLargeError);
  assertEquals(error.message, `Cannot store a session: it may take ${length - 1} bytes as JSON, received ${length}`);
});

Deno.test("record: a session ends at the earlier of its two limits, to the millisecond", () => {
  assertEquals([endOf(TIMES), endOf({ ...TIMES, deadline: 5000 })], [61_000, 5000]);
  assertEquals([isLive(TIMES, 60_999), isLive(TIMES, 61_000)], [true, false]);
  assertEquals([isLive({ ...TIMES, deadline: 5000 }, 4999), isLive({ ...TIMES, deadline: 5000 }, 5000)], [true, false]);
});

Deno.test("record: one made or used in the future counts as gone", () => {
  const at = (time: number) => ({ ...TIMES, created: time, expires: time + 60_000, deadline: time + 600_000 });
  assertEquals([isLive(at(CLOCK_SKEW), 0), isLive(at(CLOCK_SKEW + 1), 0)], [true, false]);
  const used = (time: number) => ({ ...TIMES, created: 0, expires: time + 60_000, deadline: 1e12 });
  assertEquals([isLive(used(CLOCK_SKEW), 0), isLive(used(CLOCK_SKEW + 1), 0)], [true, false]);
});
