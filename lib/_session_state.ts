/** SessionState: what the manager knows of an opened session, and the changes that its request made. */
import { keyOf } from "./id.ts";
import type { Json, SessionData, SessionRecord, StoredFlash, Terms } from "./record.ts";

/** No data. It is shared, as are the two below, so that a session without any costs nothing. */
export const NO_DATA: SessionData = Object.freeze({});
/** No messages. */
export const NO_FLASHES: readonly StoredFlash[] = Object.freeze([]);
const NO_STRAYS: readonly string[] = Object.freeze([]);

/** Data and messages while changes are made to them. */
export interface Draft {
  data: Record<string, Json>;
  flashes: StoredFlash[];
}

/** A log-in of this request. */
export interface LogIn {
  /** When it was, in milliseconds since 1970. */
  readonly at: number;
  /** The lifetimes it asked for, if it did. */
  readonly terms: Terms | undefined;
  /** How many sessions of the user live on at most. */
  readonly most: number | undefined;
}

/** What the manager knows of a session: where it came from, and what its request did. For the manager alone. */
export interface SessionState {
  /** The clock of the manager, in milliseconds since 1970. */
  readonly now: () => number;
  /** The id that the browser has; `undefined` while nothing is stored. */
  id: string | undefined;
  /** The key that the store has; `undefined` while nothing is stored. */
  key: string | undefined;
  /** The record when the session was opened, under the manager's lifetimes. */
  readonly record: SessionRecord | undefined;
  /** Whether the store still has longer lifetimes for it than the manager. */
  readonly isShortened: boolean;
  /** The deadline that the browser was told, in milliseconds since 1970. */
  readonly deadline: number | undefined;
  /** Whether its cookie was signed with an older key. */
  readonly isStale: boolean;
  /** `Set-Cookie` values that delete cookies which did not count. */
  readonly strays: readonly string[];
  /** Whether it takes changes. */
  isOpen: boolean;
  changes: ((draft: Draft) => void)[];
  /** Whether the changes start from no data, whatever is stored: after the log-in of another user. */
  startsEmpty: boolean;
  user: string | undefined;
  /** Whether it gets a new id. */
  renews: boolean;
  logIn: LogIn | undefined;
  /** Whether the stored session is to be deleted. */
  isOver: false | "logged out" | "for good";
  /** Whether it is stored although it holds nothing: for tests of programs. */
  keepsEmpty: boolean;
  /** The header that asks the browser to bind the session to its device, once a log-in was stored. */
  registration: string | undefined;
  /** Who will commit it: the adapter that opened it (`true`), no one (`false`), or perhaps the program. */
  willCommit: boolean | undefined;
  /** Called when the session was stored, with the failure if it could not be. */
  onCommit: ((failure?: unknown) => void) | undefined;
}

/** A draft without a prototype, so that `__proto__` is a key like any other. */
export function draftOf(data: SessionData, flashes: readonly StoredFlash[]): Draft {
  return { data: Object.assign(Object.create(null), data), flashes: [...flashes] };
}

/** Where a session comes from that was just opened. */
export interface Origin {
  /** The id that the browser has, if it is of use, and its key. */
  readonly id?: string;
  readonly key?: string;
  /** What is stored. */
  readonly record?: SessionRecord;
  readonly isShortened?: boolean;
  readonly deadline?: number;
  readonly isStale?: boolean;
  readonly strays?: readonly string[];
}

/** The state of a session that was just opened. */
export function newState(now: () => number, origin: Origin = {}): SessionState {
  const { id, key, record, isShortened = false, isStale = false, strays = NO_STRAYS } = origin;
  return {
    now,
    id,
    key,
    record,
    isShortened,
    deadline: origin.deadline,
    isStale,
    strays,
    isOpen: true,
    changes: [],
    startsEmpty: false,
    user: record?.user,
    renews: false,
    logIn: undefined,
    isOver: false,
    keepsEmpty: false,
    registration: undefined,
    willCommit: undefined,
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
 * @param now What is stored now, left as it is; `undefined` for a new session.
 * @returns The new data and messages.
 */
export function applyChanges(
  { changes, startsEmpty }: SessionState,
  now?: SessionRecord,
): Pick<SessionRecord, "data" | "flashes"> {
  const base = startsEmpty ? undefined : now;
  if (changes.length === 0 && base !== undefined) return base;
  const draft = draftOf(base?.data ?? NO_DATA, base?.flashes ?? NO_FLASHES);
  for (const change of changes) change(draft);
  return { data: draft.data, flashes: draft.flashes.length > 0 ? draft.flashes : undefined };
}

/** The record that the request's session goes on from; `undefined` if it begins with this request, as at a log-in. */
export function continued({ record, logIn, isOver }: SessionState): SessionRecord | undefined {
  return logIn === undefined && isOver === false ? record : undefined;
}
