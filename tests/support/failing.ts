/** Makes file calls fail, as on a full or read-only disk. */

/** A file call that can be made to fail. */
export interface Call {
  /** What the call does, in words. */
  readonly name: string;
  readonly target: object;
  readonly method: string;
  /** Whether a call with these arguments fails. Unless given, every call fails. */
  readonly fails?: (args: unknown[]) => boolean;
}

const isBeside = ([path]: unknown[]): boolean => String(path).endsWith(".tmp");
const isOwnName = (args: unknown[]): boolean => !isBeside(args);

/** The calls that store a new session, in their order. The first one is made only for a folder's first session. */
export const CREATE: readonly Call[] = [
  { name: "make the folder", target: Deno, method: "mkdirSync" },
  { name: "make the file", target: Deno, method: "writeTextFileSync", fails: isOwnName },
  { name: "set its time", target: Deno, method: "utimeSync", fails: isOwnName },
];

/** The calls that store a changed session, in their order. */
export const UPDATE: readonly Call[] = [
  { name: "make the file", target: Deno, method: "writeTextFileSync", fails: isBeside },
  { name: "set its time", target: Deno, method: "utimeSync", fails: isBeside },
  { name: "rename", target: Deno, method: "renameSync" },
];

/** Runs `test` while a call fails. The error has a path in its message, as a real one does. */
export async function failing(call: Call, message: string, test: () => Promise<void>): Promise<void> {
  await replacing(call.target, call.method, (original) =>
    function (this: unknown, ...args: unknown[]) {
      if (call.fails?.(args) === false) return original.apply(this, args);
      throw new Error(`${message}: ${call.method} '${args[0]}'`);
    }, test);
}

/** Runs `test` while a method is replaced. `replace` gets the original, and returns the replacement. */
export async function replacing(
  target: object,
  method: string,
  // deno-lint-ignore no-explicit-any -- any method at all
  replace: (original: (...args: any[]) => any) => (...args: any[]) => any,
  test: () => Promise<void>,
): Promise<void> {
  // deno-lint-ignore no-explicit-any
  const methods = target as Record<string, (...args: any[]) => any>;
  const original = methods[method]!;
  methods[method] = replace(original);
  try {
    await test();
  } finally {
    methods[method] = original;
  }
}
