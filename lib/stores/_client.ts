/** Loads the client of an engine when a store first needs it, and says how to install one that is missing. */

/**
 * Loads a client.
 *
 * @param store The name of the store, for the message.
 * @param name The package, with the version that the store is tested with.
 * @param load Imports it.
 * @returns Its default export: of a CommonJS package, everything.
 * @throws {TypeError} if the package is not installed. That is so on Node and Bun only: Deno downloads it.
 */
export async function loadClient<T>(
  store: string,
  name: string,
  load: () => Promise<{ readonly default: T }>,
): Promise<T> {
  try {
    // A bundler gives a CommonJS package nothing but this export.
    return (await load()).default;
  } catch (error) {
    const { code, message } = error as { code?: unknown; message?: unknown };
    const isMissing = code === "ERR_MODULE_NOT_FOUND" && String(message).includes(name.replace(/(?<=.)@.*/, ""));
    if (!isMissing) throw error;
    throw new TypeError(`${store} needs the package ${name}, which is not installed: run "npm install ${name}"`);
  }
}
