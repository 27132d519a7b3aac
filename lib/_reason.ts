/** Reasons: the cause of a failure, in words for an operator. */

/**
 * Why something failed, in one line.
 *
 * @param error What was thrown.
 */
export function reasonOf(error: unknown): string {
  if (error instanceof AggregateError && error.errors.length > 0) return reasonOf(error.errors[0]);
  if (!(error instanceof Error)) return String(error);
  // Deno's advice is removed: it names a flag of the command line. For paths such as /proc this flag allows everything.
  const message = error.message.replace(/, run again with the --[\w-]+ flag/g, "").replace(/\s+/g, " ");
  return message || (error as { code?: string }).code || error.name;
}

/**
 * The origin of an unexpected error: its name and a place in the code. The message is left out, because it may quote a
 * string that a visitor sent.
 *
 * @param error What was thrown.
 */
export function placeOf(error: unknown): string {
  if (!(error instanceof Error)) return typeof error;
  const { name, message, stack = "" } = error;
  // The stack starts with the name and the message. They take as many lines as the message has.
  const frame = stack.split("\n")[message.split("\n").length]?.trim() ?? "";
  return frame.startsWith("at ") ? `${name} ${frame}` : name;
}
