/**
 * Server-side sessions for any handler from `Request` to `Response`.
 *
 * @module
 */
export { isCrossSite } from "./cross_site.ts";
export type { ErrorAnswers } from "./error_answers.ts";
export * from "./errors.ts";
export { FollowedSession } from "./followed_session.ts";
export type { EventType, Listener, Refusal, SessionCounters, SessionEvent } from "./events.ts";
export { handleOf, keyOf, newId } from "./id.ts";
export { createLog, type Level, type Log } from "./log.ts";
export type { Binding, Json, LifetimeOverrides, PublicKey, SessionData, SessionRecord, StoredFlash } from "./record.ts";
export { type EndTimes, MAX_LIFETIME } from "./_lifetimes.ts";
export { type Flash, type LogInOptions, Session } from "./session.ts";
export type { SessionKey, Settable, SettableAs, Stored } from "./session_data.ts";
export type { CookieOptions } from "./session_cookie.ts";
export { SessionManager } from "./session_manager.ts";
export type { BoundOptions, RequestLike, SessionOptions } from "./session_options.ts";
export { MIN_KEY_BYTES, Signer, type Unsigned } from "./signer.ts";
export type { Change, SessionStore, StoredSession } from "./store.ts";
export type { StoreOptions } from "./stores/_options.ts";
export * from "./stores/file/store.ts";
export * from "./stores/memory.ts";
export * from "./stores/null.ts";
export type { UserSession } from "./_user_sessions.ts";
export type { Open } from "./_wrap.ts";
