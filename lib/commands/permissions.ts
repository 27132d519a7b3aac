/** A permission set of deno.json as flags, for a run of Deno that does not read that file. */

/** The parts of a permission set that this project uses. */
export interface PermissionSet {
  readonly [kind: string]: boolean | readonly string[] | {
    readonly allow: readonly string[];
    /** Whether variables that are not allowed count as unset, instead of being refused. */
    readonly ignore?: boolean;
  };
}

/**
 * Turns a permission set into the flags that mean the same.
 *
 * @param set The set, as deno.json has it.
 * @returns The flags.
 */
export function flagsOf(set: PermissionSet): string[] {
  return Object.entries(set).flatMap(([kind, value]) => {
    if (typeof value === "boolean") return value ? [`--allow-${kind}`] : [];
    const { allow, ignore } = "allow" in value ? value : { allow: value, ignore: false };
    return [`--allow-${kind}=${allow.join(",")}`, ...(ignore ? [`--ignore-${kind}`] : [])];
  });
}
