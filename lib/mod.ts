/**
 * Server-side sessions for any handler from `Request` to `Response`.
 *
 * @module
 */
export * from "./session.ts";
export * from "./session_manager.ts";
export * from "./signer.ts";
export * from "./store.ts";
export * from "./stores/file/store.ts";
export * from "./stores/memory.ts";
export * from "./stores/null.ts";
export { createLog, type Level, type Log } from "./log.ts";
