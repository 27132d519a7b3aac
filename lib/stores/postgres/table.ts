/** The table of a PostgreSQL store: its name, its creation, and the check before its first use. */
import { checkQualifiedTable } from "../_names.ts";
import type { Row } from "./pool.ts";

/** Sends a statement to the database. */
type Ask = (statement: string) => Promise<readonly Row[]>;

/** The columns: those of an entry, and those by which entries are found, counted and swept. */
const COLUMNS: Readonly<Record<string, string>> = {
  key: "text primary key",
  content: "text not null",
  version: "text not null",
  user_hash: "text",
  until: "double precision not null",
  // When the session was last used; null if it moved or ended.
  used: "double precision",
};
const PRIVILEGES = ["SELECT", "INSERT", "UPDATE", "DELETE"];

/**
 * Quotes the name of a table for SQL. So upper-case letters and reserved words can be used.
 *
 * @param name The table's name, with a schema or without.
 * @param schema The schema to use if the name has none.
 * @throws {TypeError} if the name is invalid.
 */
export function quoted(name: string, schema?: string): string {
  const parts = name.split(".");
  if (parts.length === 1 && schema !== undefined) parts.unshift(schema);
  checkQualifiedTable(parts.join("."));
  return parts.map((part) => `"${part}"`).join(".");
}

/**
 * Creates the table if it is missing, and checks the database, the table and the user's privileges.
 *
 * @param table The table's name, as {@linkcode quoted} returns it.
 * @throws {Error} if one of them is unsuitable. The message says what to do.
 */
export async function makeTable(ask: Ask, table: string): Promise<void> {
  const [database] = await ask("select current_setting('server_encoding') as encoding");
  if (database!["encoding"] !== "UTF8") {
    const made = "create database … encoding 'UTF8' template template0";
    throw new Error(`the database must be in UTF8: it is in ${database!["encoding"]}: make one with "${made}"`);
  }
  // The table is looked up before it is created: a user may have the right to use it, but not the right to create one.
  let found = await look(ask, table);
  if (found === undefined) {
    await ask(schemaOf(table)).catch(explainMissing(table));
    found = await look(ask, table);
  }
  const wanted = Object.entries(COLUMNS).map(([name, type]) => `${name} ${type.replace("primary key", "not null")}`);
  if (found?.["kind"] !== "table" || found["columns"] !== wanted.sort().join() || found["keyed"] !== true) {
    throw new Error(`the table ${table} is not a table of this store: choose another "table"`);
  }
  if (found["secured"] === true) {
    throw new Error(`row security hides rows of ${table} from the user: make the user its owner, or disable it`);
  }
  const missing = PRIVILEGES.filter((name) => found[name] !== true);
  if (missing.length > 0) {
    throw new Error(`the user lacks a privilege: grant ${missing.join(", ").toLowerCase()} on ${table} to it`);
  }
  // This fails on a read-only server.
  await ask(`delete from ${table} where key = ''`);
}

/** Describes the table, or what else has its name; `undefined` if nothing has it. */
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

/** The query that creates the table, in one transaction. It takes a lock: servers may start at the same time. */
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
    // The database's message alone would not say that the table is missing.
    if ((error as { code?: string }).code === "42501") {
      throw new Error(`the table ${table} is missing, and the user may not make it: ${error.message}`);
    }
    throw error;
  };
}
