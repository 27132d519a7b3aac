/** Why something failed, in words for an operator. */

/**
 * Why something failed, in one line.
 *
 * @param error What was thrown.
 */
export function reasonOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  // Deno's advice is for its command line, and below /proc and the like it is to allow everything.
  return (error.message.replace(/, run again with the --[\w-]+ flag/g, "") || error.name).replace(/\s+/g, " ");
}
