/**
 * The types of a session's data: the types of values that a program may set, and the types that it reads.
 *
 * @module
 */
import type { Json } from "./record.ts";

/** The keys that the data of a session can have, if the data are of this type. */
export type SessionKey<Data> = Extract<keyof Data, string>;

/**
 * The types of values without members. A branded type, such as `string & { brand: "id" }`, is one of them.
 *
 * @internal
 */
type Primitive = null | undefined | boolean | number | string;

/**
 * Whether a type accepts any JSON: `Json`, `unknown` or `any`. A key has such a type if the manager was made without a
 * type for its data. The brackets around both types make the compiler compare `Json` as a whole. Without them it would
 * check the condition for each member of the union.
 *
 * @internal
 */
type IsAnyJson<T> = [Json] extends [T] ? true : false;

/**
 * Whether objects of a type have methods, as a `Date` and a `Map` do. Lists do not count, because JSON keeps them. Any
 * other type has methods if the value of one of its keys can be a function.
 *
 * @internal
 */
type HasMethods<T> = T extends readonly unknown[] ? false
  : true extends
    { [K in keyof T]-?: Extract<T[K], (...args: never[]) => unknown> extends never ? never : true }[keyof T] ? true
  : false;

/**
 * The type that replaces one that JSON would change. It is a sentence, so that the compiler's error has the reason.
 *
 * @internal
 */
type NotJson =
  "JSON does not keep such a value: store strings, numbers, booleans, null, lists and plain objects of them";

/**
 * The type of a value that is read from a session. It is read-only at every depth; use `set` or `update` to change it.
 *
 * The conditions, in their order:
 *
 * - A type that accepts any JSON stays unchanged.
 * - A primitive stays unchanged, branded or not.
 * - In an object or a list, each member becomes read-only, and the same conditions apply to the member's type.
 */
export type Stored<T> = IsAnyJson<T> extends true ? T
  : T extends Primitive ? T
  : T extends object ? { readonly [K in keyof T]: Stored<T[K]> }
  : T;

/**
 * The type that `set` accepts for a key of type `T`.
 *
 * The conditions, in their order:
 *
 * - A type that accepts any JSON stays unchanged.
 * - A primitive stays unchanged, branded or not.
 * - A `bigint`, a symbol, a function or an object with methods becomes a sentence as its type. No such value has this
 *   type, so the compiler refuses the value, and its error shows the sentence.
 * - In any other object or list, the same conditions apply to the type of each member.
 */
export type Settable<T> = IsAnyJson<T> extends true ? T
  : T extends Primitive ? T
  : T extends bigint | symbol | ((...args: never[]) => unknown) ? NotJson
  : HasMethods<T> extends true ? NotJson
  : { readonly [K in keyof T]: Settable<T[K]> };

/**
 * The type of the value that `set` accepts for a key of type `T` and a value of type `V`. If the key accepts any JSON,
 * the compiler checks the value's own type. Otherwise the value must have the key's type.
 */
export type SettableAs<T, V> = IsAnyJson<T> extends true ? [Settable<V>] extends [NotJson] ? NotJson : V & Settable<V>
  : Settable<T>;
