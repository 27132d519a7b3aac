/** Why something failed, in words for an operator. */

/**
 * Why something failed, in one line.
 *
 * @param error What was thrown.
 */
export function reasonOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  // Deno's advice is for its command line, and below /proc and the like it is to allow everything.
  const message = error.message
    .replace(/Requires all access to (.*?), run again with.*$/s, "Deno lets no program use $1")
    .replace(/Requires (\w+) access to (.*?), run again with.*$/s, "the permissions (--allow-$1) do not include $2");
  return (message || error.name).replace(/\s+/g, " ");
}
