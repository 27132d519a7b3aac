/** Selects the tests that should find the faults of a file: tests that take seconds, and need no other server. */

const TESTS: readonly [path: RegExp, tests: readonly string[]][] = [
  // These files are tests.
  [/^lib\/(?:_suite\w*|store_suite)\.ts$/, []],
  [/^lib\/adapters\//, ["tests/adapters"]],
  [/^lib\/server\/(?:app|pages|views|answers|form|protection|http_error)\.ts$/, [
    "tests/server/app_test.ts",
    "tests/server/app_trouble_test.ts",
    "tests/server/form_test.ts",
    "tests/server/hostile_input_test.ts",
    "tests/server/pages_test.ts",
    "tests/server/protection_test.ts",
  ]],
  [/^lib\/server\//, ["tests/server"]],
  [/^lib\/commands\/arguments\.ts$/, ["tests/server/arguments_test.ts"]],
  [/^lib\/commands\/(?:copy|output)\.ts$/, ["tests/server/copy_test.ts", "tests/server/sessions_command_test.ts"]],
  [/^lib\/commands\/health\.ts$/, ["tests/server/listen_test.ts"]],
  [/^lib\/commands\/(?:sessions|session_table|columns)\.ts$/, [
    "tests/server/columns_test.ts",
    "tests/server/sessions_command_test.ts",
  ]],
  [/^lib\/commands\//, []],
  [/^lib\/stores\/file\//, ["tests/stores/file_*_test.ts"]],
  [/^lib\/stores\/sqlite\//, ["tests/stores/sqlite_test.ts", "tests/stores/sqlite_faults_test.ts"]],
  [/^lib\/stores\/deno_kv\//, ["tests/stores/deno_kv_test.ts"]],
  [/^lib\/stores\/_pause\.ts$/, ["tests/stores/file_turns_test.ts", "tests/unit/memory_test.ts"]],
  [/^lib\/stores\/_sqlite_file\.ts$/, ["tests/server/sessions_command_test.ts"]],
  // The tests of these stores need a server.
  [/^lib\/stores\/(?:redis|postgres|memcached|mongodb)\//, []],
  [/^lib\/stores\//, ["tests/unit", "tests/stores/deno_kv_test.ts"]],
  [/^lib\//, ["tests/unit"]],
];

/** Words that are in many paths. */
const OFTEN = new Set(["", "lib", "stores", "file", "server", "session"]);

/**
 * The tests for the faults of a file.
 *
 * @param file The file's path in the project.
 * @returns The paths of tests; none if the file gets no faults.
 */
export function testsOf(file: string): readonly string[] {
  return TESTS.find(([path]) => path.test(file))?.[1] ?? [];
}

/**
 * The tests that most likely find the faults of a file. They run first.
 *
 * @param file The file's path in the project.
 * @param files All files of the project.
 */
export function nearTestsOf(file: string, files: readonly string[]): readonly string[] {
  const words = file.replace(/\.ts$/, "").split(/[/_]/).filter((word) => !OFTEN.has(word));
  const folders = testsOf(file).map((path) => path.replace(/\*.*/, ""));
  return files.filter((test) => {
    const name = test.split("/").at(-1)!;
    return name.endsWith("_test.ts") && folders.some((folder) => test.startsWith(folder)) &&
      (words.some((word) => name.includes(word)) || name === "session_manager_test.ts");
  });
}
