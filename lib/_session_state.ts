/** SessionState: what the manager knows about an opened session, and the changes that its request made. */
import { keyOf } from "./id.ts";
import { put, toJson } from "./_json.ts";
import { kindOf } from "./_options.ts";
import type { Json, LifetimeOverrides, SessionData, SessionRecord, StoredFlash } from "./record.ts";

/** No data. All empty sessions share this object and the two below, to save memory. */
export const NO_DATA: SessionData = Object.freeze({});
/** No messages. */
export const NO_FLASHES: readonly StoredFlash[] = Object.freeze([]);
/** No cookies. */
export const NO_COOKIES: readonly string[] = Object.freeze([]);

/** A copy of the data and messages, to which changes are applied. */
export interface Draft {
  data: Record<string, Json>;
  flashes: StoredFlash[];
}

/** A log-in of this request. */
interface LogIn {
  /** When the user logged in, in milliseconds since 1970. */
  readonly at: number;
  /** The lifetimes that the log-in asked for in place of the manager's; `undefined` if it asked for none. */
  readonly overrides: LifetimeOverrides | undefined;
  /** The most sessions of the user that stay live. */
  readonly most: number | undefined;
}

/** What the manager knows about a session: where it came from, and what its request changed. Programs do not see it. */
export interface SessionState {
  /** The clock of the manager, in milliseconds since 1970. */
  readonly now: () => number;
  /** The id that the browser has; `undefined` while the session is not stored. */
  id: string | undefined;
  /** The key that the store has; `undefined` while the session is not stored. */
  key: string | undefined;
  /** The record that was read when the session was opened, limited to the manager's lifetimes. */
  readonly record: SessionRecord | undefined;
  /** Whether this record was shortened: the stored one has longer lifetimes than the manager. */
  readonly isLifeShortened: boolean;
  /** The stored deadline, in milliseconds since 1970. The browser keeps the cookie until then. */
  readonly storedDeadline: number | undefined;
  /** Whether an older key signed the cookie, so that it is signed and sent again. */
  readonly signedByOlderKey: boolean;
  /** If the request had several session cookies, the `Set-Cookie` values that delete them. */
  readonly cookieDeletions: readonly string[];
  /** Whether the session can still be changed: it was not committed yet. */
  isOpen: boolean;
  /** Whether the commit is storing the session at this moment. */
  isSaving: boolean;
  /** The changes of the request, in order. */
  changes: ((draft: Draft) => void)[];
  /** Whether the changes apply to an empty session, not the stored one: after an end, or a log-in of another user. */
  startsEmpty: boolean;
  /** The user who is logged in; `undefined` for a guest. */
  user: string | undefined;
  /** Whether the commit gives the session a new id. */
  renews: boolean;
  /** The log-in of this request, if there was one. */
  logIn: LogIn | undefined;
  /** The method of the session that ended it. The commit then deletes the stored session. */
  endedBy: "logOut" | "end" | undefined;
  /** Whether the commit stores the session even if it is empty: for tests of programs. */
  keepsEmpty: boolean;
  /** The header that asks the browser to bind the session to its device. The commit of a log-in sets it. */
  registration: string | undefined;
  /** `true` if `wrap` or an adapter will commit the session, `false` if its handler failed, `undefined` if unknown. */
  willCommit: boolean | undefined;
  /** Called after the commit, with the failure if the session could not be stored. */
  onCommit: ((failure?: unknown) => void) | undefined;
}

/** A draft with a copy of data and messages. Its data have no prototype, so `__proto__` is a key like any other. */
export function draftOf(data: SessionData, flashes: readonly StoredFlash[]): Draft {
  return { data: Object.assign(Object.create(null), data), flashes: [...flashes] };
}

/** The value of a key, or `undefined` if there is none. */
export function valueOf(data: SessionData, key: string, verb: string): Json | undefined {
  checkKey(key, verb);
  return Object.hasOwn(data, key) ? data[key] : undefined;
}

/** The change that sets a key to a value, or removes it. */
export function replacing(key: string, value: unknown, verb: string): (draft: Draft) => void {
  checkKey(key, verb);
  if (value === undefined) return ({ data }) => void delete data[key];
  const copy = toJson(value, `Cannot ${verb} "${key}"`);
  return ({ data }) => put(data, key, copy);
}

function checkKey(key: string, verb: string): void {
  if (typeof key === "string") return;
  throw new TypeError(`Cannot ${verb} a value: its key must be a string: received ${kindOf(key)}`);
}

/** The part of the state that comes from the request's cookies and the store. */
type Origin = Partial<
  Pick<
    SessionState,
    "id" | "key" | "record" | "isLifeShortened" | "storedDeadline" | "signedByOlderKey" | "cookieDeletions"
  >
>;

/** The state of a session that was just opened. */
export function newState(now: () => number, origin: Origin = {}): SessionState {
  const { id, key, record, isLifeShortened = false, signedByOlderKey = false, cookieDeletions = NO_COOKIES } = origin;
  return {
    now,
    id,
    key,
    record,
    isLifeShortened,
    storedDeadline: origin.storedDeadline,
    signedByOlderKey,
    cookieDeletions,
    isOpen: true,
    isSaving: false,
    changes: [],
    startsEmpty: false,
    user: record?.user,
    renews: false,
    logIn: undefined,
    endedBy: undefined,
    keepsEmpty: false,
    registration: undefined,
    willCommit: undefined,
    onCommit: undefined,
  };
}

/** Gives a session another id and its key, or removes both. */
export function setId(state: SessionState, id: string | undefined): void {
  state.id = id;
  state.key = id === undefined ? undefined : keyOf(id);
}

/**
 * Applies the changes of a request to the stored record.
 *
 * @param state The request's session.
 * @param stored The record that is stored at that moment. It is not changed. `undefined` for a new session.
 * @returns The new data and messages.
 */
export function applyChanges(
  { changes, startsEmpty }: SessionState,
  stored?: SessionRecord,
): Pick<SessionRecord, "data" | "flashes"> {
  const base = startsEmpty ? undefined : stored;
  if (changes.length === 0 && base !== undefined) return base;
  const draft = draftOf(base?.data ?? NO_DATA, base?.flashes ?? NO_FLASHES);
  for (const change of changes) change(draft);
  return { data: draft.data, flashes: draft.flashes.length > 0 ? draft.flashes : undefined };
}

/** The record with which the session goes on; `undefined` if a new session begins with this request, as at a log-in. */
export function continuedRecord({ record, logIn, endedBy }: SessionState): SessionRecord | undefined {
  return logIn === undefined && endedBy === undefined ? record : undefined;
}
