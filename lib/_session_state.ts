/** SessionState: what the manager knows of an opened session, and the changes that its request made. */
import { keyOf } from "./id.ts";
import type { Json, SessionData, SessionRecord, StoredFlash, Terms } from "./record.ts";

/** No data. It is shared, as are the two below, so that a session without any costs nothing. */
export const NOTHING: SessionData = Object.freeze({});
/** No messages. */
export const NO_FLASHES: readonly StoredFlash[] = Object.freeze([]);
const NO_STRAYS: readonly string[] = Object.freeze([]);

/** What changes work on. */
export interface Draft {
  data: Record<string, Json>;
  flashes: readonly StoredFlash[];
}

/** What the manager knows of a session: where it came from, and what was done to it. For the manager alone. */
export interface SessionState {
  /** The id that the browser has; `undefined` while nothing is stored. */
  id: string | undefined;
  /** The key that the store has; `undefined` while nothing is stored. */
  key: string | undefined;
  /** What was stored when it was opened. */
  readonly record: SessionRecord | undefined;
  /** Whether its cookie was signed with an older key. */
  readonly isStale: boolean;
  /** `Set-Cookie` values that delete cookies which did not count. */
  readonly strays: readonly string[];
  /** Whether it takes changes. */
  isOpen: boolean;
  changes: ((draft: Draft) => void)[];
  user: string | undefined;
  /** Whether it gets a new id. */
  renews: boolean;
  /** Set by a log-in. */
  logIn: { readonly terms: Terms | undefined } | undefined;
  /** Whether what is stored is to be deleted. */
  isOver: false | "starting anew" | "for good";
  /** Told when the session was stored, with the failure if it could not be. */
  onCommit: ((failure?: unknown) => void) | undefined;
}

/** A draft without a prototype, so that "__proto__" is a key like any other. */
export function draftOf(data: SessionData, flashes: readonly StoredFlash[]): Draft {
  return { data: Object.assign(Object.create(null), data), flashes };
}

/**
 * The state of a session that was just opened.
 *
 * @param id The id under which it is stored, if it is.
 * @param record What is stored.
 * @param isStale Whether its cookie was signed with an older key.
 * @param strays `Set-Cookie` values that delete cookies which did not count.
 */
export function newState(
  id?: string,
  record?: SessionRecord,
  isStale: boolean = false,
  strays: readonly string[] = NO_STRAYS,
): SessionState {
  return {
    id,
    key: id === undefined ? undefined : keyOf(id),
    record,
    isStale,
    strays,
    isOpen: true,
    changes: [],
    user: record?.user,
    renews: false,
    logIn: undefined,
    isOver: false,
    onCommit: undefined,
  };
}

/** Gives a session another id, or none. */
export function assign(state: SessionState, id: string | undefined): void {
  state.id = id;
  state.key = id === undefined ? undefined : keyOf(id);
}

/**
 * Makes the changes of a request to what is stored now.
 *
 * @param state The request's session.
 * @param now What is stored now, left as it is; nothing for a new session.
 * @returns The new data and messages.
 */
export function applyChanges(
  { changes }: SessionState,
  now?: SessionRecord,
): Pick<SessionRecord, "data" | "flashes"> {
  if (changes.length === 0 && now !== undefined) return now;
  const draft = draftOf(now?.data ?? NOTHING, now?.flashes ?? NO_FLASHES);
  for (const change of changes) change(draft);
  return { data: draft.data, flashes: draft.flashes.length > 0 ? draft.flashes : undefined };
}

/** What the request's session goes on from; `undefined` if it begins with this request, as at a log-in. */
export function continued({ record, logIn, isOver }: SessionState): SessionRecord | undefined {
  return logIn === undefined && isOver === false ? record : undefined;
}
