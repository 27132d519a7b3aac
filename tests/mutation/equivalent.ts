/** Planted faults that change nothing that anyone could see, each with the reason. They are not planted. */
import type { Kind } from "./mutants.ts";

/** A fault that is none. */
export interface Equivalent {
  readonly file: string;
  /** The line as it is, trimmed. */
  readonly before: string;
  readonly kind: Kind;
  readonly why: string;
}

/** The known ones. */
export const EQUIVALENT: readonly Equivalent[] = [];
