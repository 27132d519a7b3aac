/**
 * The types of a session's data: which values the compiler lets a program set, and the types that it reads back.
 *
 * @module
 */
import type { Json } from "./record.ts";

/** The names that a session of this type has values for. */
export type SessionKey<Data> = Extract<keyof Data, string>;

/**
 * The types of values without members. A branded one, such as `string & { brand: "id" }`, is one of these, too.
 *
 * @internal
 */
type Primitive = null | undefined | boolean | number | string;

/**
 * Whether a type accepts any JSON: `Json`, `unknown` or `any`. A key has such a type if the manager was made without a
 * type for its data. The lists around both types (`[Json] extends [T]`) compare `Json` as a whole. Without them the
 * condition would be checked for each member of the union.
 *
 * @internal
 */
type IsAnyJson<T> = [Json] extends [T] ? true : false;

/**
 * Whether objects of a type have methods, as a `Date` and a `Map` do. Lists have methods, too, but JSON keeps them. Of
 * any other type, each member becomes `true` if one of its types is a function, else `false`. If one is `true`, so is
 * the whole.
 *
 * @internal
 */
type HasMethods<T> = T extends readonly unknown[] ? false
  : true extends
    { [K in keyof T]-?: Extract<T[K], (...args: never[]) => unknown> extends never ? never : true }[keyof T] ? true
  : false;

/**
 * Replaces a type that JSON would change. It is a sentence, so that the compiler's error says why a value is refused.
 *
 * @internal
 */
type NotJson =
  "JSON does not keep such a value: store strings, numbers, booleans, null, lists and plain objects of them";

/**
 * The type of a value that is read from a session. It is read-only at every depth; use `set` or `update` to change it.
 *
 * The conditions, in their order: a type that accepts any JSON stays as it is. So does a primitive, branded or not. In
 * an object or a list, each member becomes read-only, and the same rules apply to the member's type.
 */
export type Stored<T> = IsAnyJson<T> extends true ? T
  : T extends Primitive ? T
  : T extends object ? { readonly [K in keyof T]: Stored<T[K]> }
  : T;

/**
 * The type that `set` accepts for a key of type `T`.
 *
 * The conditions, in their order: a type that accepts any JSON stays as it is. So does a primitive, branded or not. A
 * `bigint`, a symbol, a function, and an object with methods become a sentence that no value has as its type, so the
 * compiler refuses the value. In any other object or list, the same rules apply to each member.
 */
export type Settable<T> = IsAnyJson<T> extends true ? T
  : T extends Primitive ? T
  : T extends bigint | symbol | ((...args: never[]) => unknown) ? NotJson
  : HasMethods<T> extends true ? NotJson
  : { readonly [K in keyof T]: Settable<T[K]> };

/**
 * The parameter of `set` for a key of type `T` and a value of type `V`. If the key accepts any JSON, the value's own
 * type is checked. Otherwise the value must have the key's type.
 */
export type SettableAs<T, V> = IsAnyJson<T> extends true ? [Settable<V>] extends [NotJson] ? NotJson : V & Settable<V>
  : Settable<T>;
