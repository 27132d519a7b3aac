/** Helpers of the scenarios and of the programs that they start. They import nothing but a type. */
import type { SessionRecord } from "../../lib/record.ts";

/** Numbers that look random and are the same for the same seed (mulberry32). */
export function seeded(seed: number): () => number {
  return () => {
    seed = (seed + 0x6d2b79f5) | 0;
    let t = Math.imul(seed ^ (seed >>> 15), 1 | seed);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** A session id that is the same for the same seed. */
export function seededId(random: () => number): string {
  return Array.from({ length: 40 }, () => Math.floor(random() * 16).toString(16)).join("");
}

export function wait(milliseconds: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, milliseconds));
}

/** The times of a session that is made now. The limits are in milliseconds. */
export function life(idle: number, absolute = 900_000): Omit<SessionRecord, "data"> {
  const created = Date.now();
  return { created, idle, expires: created + idle, deadline: created + absolute };
}
