/**
 * The tests that every store passes: they check the contract in store.ts. This module loads `@std/assert`.
 *
 * @module
 */
import { test as nodeTest } from "node:test";
import { type StoreSubject, Suite, type SuiteTest, type WriteHooks } from "./_suite.ts";
import { BOOLEAN, checkOptions, FUNCTION, type Rule, STRING } from "./_options.ts";
import { testFaults } from "./_suite_faults.ts";
import { testEnds, testLists } from "./_suite_lists.ts";
import { testVerbs } from "./_suite_verbs.ts";

export type { StoreSubject, WriteHooks };

const RULES: Readonly<Record<keyof StoreSubject, Rule>> = {
  name: { ...STRING, isRequired: true },
  open: { ...FUNCTION, isRequired: true },
  clear: { ...FUNCTION, isRequired: true },
  ownClock: BOOLEAN,
  counts: BOOLEAN,
  ignore: BOOLEAN,
  rewrite: FUNCTION,
  openHooked: FUNCTION,
};

/**
 * Declares the tests that every store passes, for one store: with `Deno.test`, or with `node:test` outside Deno.
 * The suite tests an optional method, such as `list`, only if the store has it. It tests a maximum of sessions only if
 * the subject has `counts`, corrupt records only with `rewrite`, and lost answers only with `openHooked`.
 *
 * @param subject The store's name, and functions that open stores on the same sessions.
 * @throws {TypeError} naming a member of the subject that is missing or invalid.
 *
 * @example
 * ```ts ignore
 * import { MemoryStore } from "sessions";
 * import { testStore } from "sessions/testing";
 *
 * let store: MemoryStore | undefined;
 * testStore({
 *   name: "memory store",
 *   open: (options) => store ??= new MemoryStore(options),
 *   clear: () => store = undefined,
 *   counts: true,
 * });
 * ```
 */
export function testStore(subject: StoreSubject): void {
  for (const { name, run } of storeTests(subject)) declare(name, subject.ignore ?? false, run);
}

/** The tests of the suite for one store. The caller declares or runs them. */
export function storeTests(subject: StoreSubject): readonly SuiteTest[] {
  checkOptions("Cannot test a store", subject, RULES);
  const suite = new Suite(subject);
  testVerbs(suite);
  testEnds(suite);
  testLists(suite);
  testFaults(suite);
  return suite.tests;
}

/** Declares a test with the runner of the runtime. Deno's own runner also detects leaks. */
function declare(name: string, ignore: boolean, fn: () => Promise<void>): void {
  if ("Deno" in globalThis) Deno.test({ name, ignore, fn });
  else nodeTest(name, { skip: ignore }, fn);
}
