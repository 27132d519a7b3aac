/** The table of sessions in PostgreSQL: how it is named, made and looked at before it is used. */
import { checkQualifiedTable } from "../_names.ts";
import type { Ask } from "./connection.ts";

/** What is stored: the record's text, and beside it what is asked for. */
const COLUMNS: Readonly<Record<string, string>> = {
  id: "text primary key",
  record: "text not null",
  revision: "text not null",
  user_hash: "text",
  created: "double precision not null",
  idle: "double precision not null",
  // Counts instead of the one in the record.
  expires: "double precision not null",
  deadline: "double precision not null",
};
const PRIVILEGES = ["SELECT", "INSERT", "UPDATE", "DELETE"];

/** When a session ends: what `endOf` says, in SQL. */
export const ENDS = "least(expires, deadline)";
/** When it was last used, or made. */
export const USED = "greatest(created, expires - idle)";

/**
 * The name of a table as SQL takes it, whatever its letters and words.
 *
 * @param name The table's name, with a schema or without.
 * @param schema The schema of a name without one.
 * @throws {TypeError} if it is no such name.
 */
export function quoted(name: string, schema?: string): string {
  const parts = name.split(".");
  if (parts.length === 1 && schema !== undefined) parts.unshift(schema);
  checkQualifiedTable(parts.join("."));
  return parts.map((part) => `"${part}"`).join(".");
}

/**
 * Makes the table if it is missing, and looks whether it can be used.
 *
 * @param table Its name as {@linkcode quoted} gives it.
 * @throws {Error} if it is somebody else's, or may not be made or used.
 */
export async function makeTable(ask: Ask, table: string): Promise<void> {
  // Looked for first, because whoever may use a table need not be allowed to make one.
  let columns = await columnsOf(ask, table);
  if (columns === undefined) {
    await ask(schemaOf(table)).catch(explainMissing(table));
    columns = await columnsOf(ask, table);
  }
  if (columns?.join() !== Object.keys(COLUMNS).sort().join()) {
    throw new Error(`the table ${table} is there and no table of this store: choose another "table"`);
  }
  const checks = PRIVILEGES.map((name) => `has_table_privilege('${table}'::regclass, '${name}') as "${name}"`);
  const [may] = await ask(`select ${checks.join(", ")}`);
  const missing = PRIVILEGES.filter((name) => may?.[name] !== true);
  if (missing.length > 0) {
    throw new Error(`the user lacks a privilege: grant ${missing.join(", ").toLowerCase()} on ${table} to it`);
  }
  await ask(`select id, record, revision, expires from ${table} limit 0`);
}

/** The names of a table's columns in the order of the alphabet; none if it is something else, `undefined` if missing. */
async function columnsOf(ask: Ask, table: string): Promise<string[] | undefined> {
  const [found] = await ask(`select c.relkind in ('r', 'p') as ok, array_to_string(array(
      select a.attname::text collate "C" from pg_attribute a
      where a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped order by 1), ',') as names
    from pg_class c where c.oid = to_regclass('${table}')`);
  if (found === undefined) return undefined;
  return found["ok"] === true ? String(found["names"]).split(",") : [];
}

/** One query and thereby one transaction; the lock is for servers that start at once. */
function schemaOf(table: string): string {
  const columns = Object.entries(COLUMNS).map((column) => column.join(" ")).join(", ");
  return `
    select pg_advisory_xact_lock(hashtext('sessions in ${table.slice(table.indexOf(".") + 1)}'));
    do $$ begin
      if to_regclass('${table}') is null then
        create table ${table} (${columns});
        create index on ${table} ((${ENDS}));
        create index on ${table} ((${USED}));
        create index on ${table} (user_hash) where user_hash is not null;
      end if;
    end $$`;
}

function explainMissing(table: string): (error: Error) => never {
  return (error) => {
    // Says that it is about the table that is missing, not about one that is there.
    if ((error as { code?: string }).code === "42501") {
      throw new Error(`the table ${table} is missing, and the user may not make it: ${error.message}`);
    }
    throw error;
  };
}
