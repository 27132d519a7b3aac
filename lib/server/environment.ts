/** The environment: finds the settings in it, and the variables whose names look like a misspelt setting. */
import { type Environment, type SettingName, SETTINGS } from "./settings.ts";

const NAMES = Object.keys(SETTINGS) as SettingName[];

/** Variables that other programs set: desktops (X Session Management Protocol), and Kubernetes for its services. */
const FOREIGN = /^(SESSION_MANAGER|SESSION_\w+_SERVICE_(HOST|PORT)\w*|SESSION_\w+_PORT(_\d+_(TCP|UDP)\w*)?)$/;

/** A variable that looks like a setting but is not one. */
export interface Unknown {
  readonly name: string;
  /** The setting that was probably meant. */
  readonly meant: SettingName | undefined;
}

/** The variables that the program may read. */
export function readEnvironment(): Record<string, string> {
  try {
    // With --ignore-env this returns the variables that --allow-env names.
    return Deno.env.toObject();
  } catch {
    // Without --ignore-env, `toObject` needs the permission for all variables.
    const allowed = NAMES.filter((variable) =>
      Deno.permissions.querySync({ name: "env", variable }).state === "granted"
    );
    return Object.fromEntries(allowed.map((name) => [name, Deno.env.get(name) ?? ""]));
  }
}

/**
 * Finds the settings in an environment. An empty value counts as unset.
 *
 * @param variables The environment.
 * @returns The settings that have a value, trimmed, and the variables that look like a setting but are not one.
 */
export function settingsOf(
  variables: Readonly<Record<string, string>>,
): { readonly env: Environment; readonly unknown: readonly Unknown[] } {
  const env: Environment = {};
  const unknown: Unknown[] = [];
  for (const [name, value] of Object.entries(variables)) {
    const setting = NAMES.find((setting) => setting === name);
    if (setting !== undefined) {
      if (value.trim() !== "") env[setting] = value.trim();
      continue;
    }
    const meant = nearest(name);
    const isOurs = /^(SESSION_|SECRET_KEY|TLS_CERT|TLS_KEY|PERMANENT_)/.test(name) && !FOREIGN.test(name);
    if (meant !== undefined || isOurs) unknown.push({ name, meant });
  }
  return { env, unknown };
}

/** The setting that was probably meant by a name in which one or two letters are wrong, or the end is missing. */
function nearest(name: string): SettingName | undefined {
  const upper = name.toUpperCase();
  // In a short name only one letter may be wrong, because many words resemble it. The first letter must be right,
  // because OpenSSL's SSL_CERT_FILE resembles TLS_CERT_FILE.
  const isNear = (setting: string) => {
    return upper[0] === setting[0] && distance(upper, setting) <= (setting.length < 8 ? 1 : 2);
  };
  const near = NAMES.filter(isNear).sort((a, b) => distance(upper, a) - distance(upper, b));
  const longer = NAMES.filter((setting) => upper.includes("_") && setting.startsWith(`${upper}_`));
  return near[0] ?? (longer.length === 1 ? longer[0] : undefined);
}

/** The number of letters to insert, remove, replace or swap with a neighbour (optimal string alignment distance). */
function distance(a: string, b: string): number {
  if (Math.abs(a.length - b.length) > 2) return Infinity;
  let before: number[] = [];
  let last = Array.from({ length: b.length + 1 }, (_, j) => j);
  for (let i = 1; i <= a.length; i++) {
    const row = [i];
    for (let j = 1; j <= b.length; j++) {
      const isSame = a[i - 1] === b[j - 1];
      row[j] = Math.min(last[j]! + 1, row[j - 1]! + 1, last[j - 1]! + (isSame ? 0 : 1));
      const isSwap = i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1];
      if (isSwap) row[j] = Math.min(row[j]!, before[j - 2]! + 1);
    }
    [before, last] = [last, row];
  }
  return last[b.length]!;
}
