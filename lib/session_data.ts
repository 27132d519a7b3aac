/**
 * The types of a session's data: what the compiler lets be set, and what it gives back.
 *
 * @module
 */
import type { Json } from "./record.ts";

/** The names that a session of this type has values for. */
export type SessionKey<Data> = Extract<keyof Data, string>;

/**
 * What has no members that could change.
 *
 * @internal
 */
type Primitive = null | undefined | boolean | number | string;

/**
 * Whether a type is `Json`, `unknown` or `any`: what a key has in a session without a type of its own.
 *
 * @internal
 */
type IsAnyJson<T> = [Json] extends [T] ? true : false;

/**
 * Whether objects of a type have methods, as a `Date` and a `Map` do.
 *
 * @internal
 */
type HasMethods<T> = T extends readonly unknown[] ? false
  : true extends
    { [K in keyof T]-?: Extract<T[K], (...args: never[]) => unknown> extends never ? never : true }[keyof T] ? true
  : false;

/**
 * Stands in the place of a type that JSON would change, so that the compiler's error says why it is refused.
 *
 * @internal
 */
type NotJson =
  "JSON does not keep such a value: store strings, numbers, booleans, null, lists and plain objects of them";

/** A value as it is read from a session: read-only, however deep. Change it with `set` or `update`. */
export type Stored<T> = IsAnyJson<T> extends true ? T
  : T extends Primitive ? T
  : T extends object ? { readonly [K in keyof T]: Stored<T[K]> }
  : T;

/** What a value of this type must be to be set: functions, dates, maps, `bigint` and the like are refused. */
export type Settable<T> = IsAnyJson<T> extends true ? T
  : T extends Primitive ? T
  : T extends bigint | symbol | ((...args: never[]) => unknown) ? NotJson
  : HasMethods<T> extends true ? NotJson
  : { readonly [K in keyof T]: Settable<T[K]> };

/** What `set` takes for a key of type `T`: that type, or for a key that takes any JSON, the value's own type `V`. */
export type SettableAs<T, V> = IsAnyJson<T> extends true ? [Settable<V>] extends [NotJson] ? NotJson : V & Settable<V>
  : Settable<T>;
