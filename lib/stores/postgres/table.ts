/** The table of sessions in PostgreSQL: how it is named, made and looked at before it is used. */
import { checkQualifiedTable } from "../_names.ts";
import type { Row } from "./connection.ts";

/** What a statement is asked by. */
type Ask = (statement: string) => Promise<readonly Row[]>;

/** The columns: an entry, and what it is found, counted and swept by. */
const COLUMNS: Readonly<Record<string, string>> = {
  key: "text primary key",
  content: "text not null",
  version: "text not null",
  user_hash: "text",
  until: "double precision not null",
  // When the session was last used; null where it moved or ended.
  used: "double precision",
};
const PRIVILEGES = ["SELECT", "INSERT", "UPDATE", "DELETE"];

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
 * Makes the table if it is missing, and checks the database, the table and the user's rights.
 *
 * @param table Its name as {@linkcode quoted} gives it.
 * @throws {Error} if one of them cannot be used, saying what to do.
 */
export async function makeTable(ask: Ask, table: string): Promise<void> {
  const [database] = await ask("select current_setting('server_encoding') as encoding");
  if (database!["encoding"] !== "UTF8") {
    const made = "create database … encoding 'UTF8' template template0";
    throw new Error(`the database must be in UTF8: it is in ${database!["encoding"]}: make one with "${made}"`);
  }
  // Looked for first, because a user who may use a table need not be allowed to make one.
  let found = await look(ask, table);
  if (found === undefined) {
    await ask(schemaOf(table)).catch(explainMissing(table));
    found = await look(ask, table);
  }
  const wanted = Object.entries(COLUMNS).map(([name, type]) => `${name} ${type.replace("primary key", "not null")}`);
  if (found?.["kind"] !== "table" || found["columns"] !== wanted.sort().join() || found["keyed"] !== true) {
    throw new Error(`the table ${table} is there and no table of this store: choose another "table"`);
  }
  if (found["secured"] === true) {
    throw new Error(`row security hides rows of ${table} from the user: make the user its owner, or disable it`);
  }
  const missing = PRIVILEGES.filter((name) => found[name] !== true);
  if (missing.length > 0) {
    throw new Error(`the user lacks a privilege: grant ${missing.join(", ").toLowerCase()} on ${table} to it`);
  }
  // Fails on a server that only reads.
  await ask(`delete from ${table} where key = ''`);
}

/** What there is under a table's name, if anything. */
async function look(ask: Ask, table: string): Promise<Row | undefined> {
  const privileges = PRIVILEGES.map((name) => `has_table_privilege(c.oid, '${name}') as "${name}"`);
  const [found] = await ask(`
    select case when c.relkind in ('r', 'p') then 'table' end as kind, row_security_active(c.oid) as secured,
      array_to_string(array(
        select a.attname || ' ' || format_type(a.atttypid, a.atttypmod) || case when a.attnotnull then ' not null' else '' end
        from pg_attribute a where a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped
        order by a.attname::text collate "C"), ',') as columns,
      exists (
        select from pg_index i join pg_attribute a on a.attrelid = i.indrelid and a.attnum = i.indkey[0]
        where i.indrelid = c.oid and i.indisunique and i.indisvalid and i.indnkeyatts = 1 and i.indpred is null
          and a.attname = 'key') as keyed, ${privileges.join(", ")}
    from pg_class c where c.oid = to_regclass('${table}')`);
  return found;
}

/** One query and thereby one transaction; the lock is for servers that start at the same time. */
function schemaOf(table: string): string {
  const columns = Object.entries(COLUMNS).map((column) => column.join(" ")).join(", ");
  return `
    select pg_advisory_xact_lock(hashtext('sessions in ${table.slice(table.indexOf(".") + 1)}'));
    do $$ begin
      if to_regclass('${table}') is null then
        create table ${table} (${columns});
        create index on ${table} (until);
        create index on ${table} (used);
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
