/** Loads an engine's client when a store first needs it. If it is not installed, the error says how to install it. */

/**
 * Loads a client.
 *
 * @param store The name of the store, for the message.
 * @param name The package, with the version that the store is tested with.
 * @param load Imports the package.
 * @returns The default export of the package. For a CommonJS package, it has all that the package exports.
 * @throws {TypeError} if the package is not installed. This happens only on Node and Bun: Deno downloads the package.
 */
export async function loadClient<T>(
  store: string,
  name: string,
  load: () => Promise<{ readonly default: T }>,
): Promise<T> {
  try {
    // After bundling, a CommonJS package has no export but `default`.
    return (await load()).default;
  } catch (error) {
    const { code, message } = error as { code?: unknown; message?: unknown };
    const isMissing = code === "ERR_MODULE_NOT_FOUND" && String(message).includes(name.replace(/(?<=.)@.*/, ""));
    if (!isMissing) throw error;
    throw new TypeError(`${store} needs the package ${name}, which is not installed: run "npm install ${name}"`);
  }
}
