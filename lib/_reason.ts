/** Reasons: why something failed, in words for an operator. */

/**
 * Why something failed, in one line.
 *
 * @param error What was thrown.
 */
export function reasonOf(error: unknown): string {
  if (error instanceof AggregateError && error.errors.length > 0) return reasonOf(error.errors[0]);
  if (!(error instanceof Error)) return String(error);
  // Deno's advice is for its command line, and below /proc and the like it is to allow everything.
  const message = error.message.replace(/, run again with the --[\w-]+ flag/g, "").replace(/\s+/g, " ");
  return message || (error as { code?: string }).code || error.name;
}

/**
 * Where an error that was not expected came from: its name and a place in the code. Its message is left out, as a string
 * that a visitor sent may be quoted in it.
 *
 * @param error What was thrown.
 */
export function placeOf(error: unknown): string {
  if (!(error instanceof Error)) return typeof error;
  const { name, message, stack = "" } = error;
  // The name and the message come first, over as many lines as the message has.
  const frame = stack.split("\n")[message.split("\n").length]?.trim() ?? "";
  return frame.startsWith("at ") ? `${name} ${frame}` : name;
}
