/** Addresses of PostgreSQL, as its own programs, providers and other clients write them. */
import { assertEquals, assertStringIncludes, assertThrows } from "@std/assert";
import { parsePostgresAddress, type PostgresAddress } from "../../lib/stores/postgres/address.ts";

/** Asserts how a parsed address differs from that of `postgres://me@db/db`. */
function differences(address: string): Partial<PostgresAddress> {
  const plain = parsePostgresAddress("postgres://me@db/db");
  return Object.fromEntries(
    Object.entries(parsePostgresAddress(address)).filter(([name, value]) =>
      JSON.stringify(value) !== JSON.stringify(plain[name as keyof PostgresAddress])
    ),
  );
}

/** Asserts that an address is refused, and with which message. */
function refused(address: string, part: string): void {
  const { message } = assertThrows(() => parsePostgresAddress(address), TypeError);
  assertStringIncludes(message, part);
  assertEquals(message.includes("s3cret"), false, message);
}

Deno.test("postgres address: the addresses of providers work", () => {
  const neon = "ep-cool-dust-123456-pooler.eu-central-1.aws.neon.tech";
  assertEquals(differences(`postgresql://me:pw@${neon}/db?sslmode=require&channel_binding=require`), {
    hosts: [neon],
    password: "pw",
    tls: "require",
    warnings: [
      '"channel_binding" is not used, and the certificate is not checked: "sslmode=verify-full" in the address checks it',
    ],
  });
  assertEquals(differences(`postgres://me@db/db?sslmode=require&options=endpoint%3Dep-cool-dust-123456`), {
    tls: "require",
    startup: { application_name: "sessions", options: "endpoint=ep-cool-dust-123456" },
  });
  const supabase = "aws-0-eu-central-1.pooler.supabase.com";
  assertEquals(differences(`postgres://postgres.abc:pw@${supabase}:6543/db?pgbouncer=true&connection_limit=1`), {
    hosts: [supabase],
    ports: [6543],
    user: "postgres.abc",
    password: "pw",
    prepares: false,
    max: 1,
  });
  assertEquals(differences("postgres://me:pw@db/db?sslmode=require&supa=base-pooler.x&pgbouncer=true"), {
    password: "pw",
    tls: "require",
    prepares: false,
  });
  assertEquals(differences("postgres://avnadmin:pw@pg-1-x.aivencloud.com:12691/defaultdb?sslmode=require"), {
    hosts: ["pg-1-x.aivencloud.com"],
    ports: [12691],
    user: "avnadmin",
    password: "pw",
    database: "defaultdb",
    tls: "require",
  });
  assertEquals(differences("postgres://me@db/db?sslmode=verify-ca&sslrootcert=/etc/ca.pem"), {
    tls: "verify",
    files: { ca: "/etc/ca.pem" },
  });
  assertEquals(
    differences("postgresql://me@db/db?schema=app&connection_limit=5&pool_timeout=2&sslaccept=strict&sslmode=require"),
    {
      schema: "app",
      max: 5,
      tls: "verify",
    },
  );
  assertEquals(
    differences("postgres://me@db/db?connect_timeout=10&keepalives=1&application_name=shop&client_encoding=UTF8"),
    {
      startup: { application_name: "shop" },
    },
  );
});

Deno.test("postgres address: it takes several hosts, IPv6, or the folder of a socket", () => {
  assertEquals(differences("postgres://me@a:5433,b,[::1]:7/db"), {
    hosts: ["a", "b", "::1"],
    ports: [5433, 5432, 7],
  });
  assertEquals(differences("postgres://me@a,b/db?target_session_attrs=any"), {
    hosts: ["a", "b"],
    ports: [5432, 5432],
  });
  assertEquals(differences("postgres://me@db/db?target_session_attrs=primary"), {});
  assertEquals(differences("postgres://me@[::1]:6543/db"), { hosts: ["::1"], ports: [6543] });
  const socket = { hosts: ["/run/postgresql"], folder: "/run/postgresql", tls: "disable" } as const;
  assertEquals(differences("postgres:///db?host=/run/postgresql&user=me"), socket);
  assertEquals(differences("postgres://me@%2Frun%2Fpostgresql/db"), socket);
  assertEquals(differences("postgres://me@/db?host=/run/postgresql&port=5433"), { ...socket, ports: [5433] });
  assertEquals(differences("postgres://db/db?user=me&password=s%26t&dbname=other"), {
    password: "s&t",
    database: "other",
  });
  assertEquals(differences("postgres://me@db"), { database: "me" });
  assertEquals(differences("postgres://a%40b:p%2F%3A@db/my%20db"), { user: "a@b", password: "p/:", database: "my db" });
});

Deno.test("postgres address: TLS parameters are used, or refused", () => {
  const modes = {
    disable: "disable",
    allow: "prefer",
    prefer: "prefer",
    require: "require",
    "verify-ca": "verify",
    "verify-full": "verify",
  };
  for (const [mode, tls] of Object.entries(modes)) {
    assertEquals(parsePostgresAddress(`postgres://me@db/db?sslmode=${mode}`).tls, tls);
    assertEquals(parsePostgresAddress(`postgres://me@db/db?ssl=${mode}`).tls, tls);
  }
  assertEquals(parsePostgresAddress("postgres://me@db/db?ssl=true").tls, "verify");
  assertEquals(parsePostgresAddress("postgres://me@db/db?ssl=false").tls, "disable");
  assertEquals(parsePostgresAddress("postgres://me@db/db?sslmode=require&sslrootcert=system").tls, "verify");
  assertEquals(parsePostgresAddress("postgres://me@db/db?sslrootcert=system").tls, "verify");
  assertEquals(parsePostgresAddress("postgres://me@db/db?sslrootcert=ca.pem").tls, "prefer");
  assertEquals(differences("postgres://me@db/db?sslmode=verify-full&channel_binding=require"), { tls: "verify" });
  assertEquals(differences("postgres://me@db/db?sslnegotiation=direct&sslmode=require"), {
    isDirect: true,
    tls: "require",
  });
  assertEquals(differences("postgres://me@db/db?sslcert=c&sslkey=k").files, { cert: "c", key: "k" });
  refused("postgres://me:s3cret@db/db?channel_binding=require", '"channel_binding=require"');
  refused("postgres://me:s3cret@db/db?sslmode=disable&channel_binding=require", '"channel_binding=require"');
  refused("postgres://me:s3cret@db/db?sslmode=verify", '"sslmode"');
  refused("postgres://me:s3cret@db/db?ssl=maybe", '"ssl"');
  refused("postgres://me:s3cret@db/db?sslcert=c", '"sslkey"');
  refused("postgres://me:s3cret@db/db?gssencmode=require", '"gssencmode"');
  refused("postgres://me:s3cret@db/db?require_auth=scram-sha-256", '"require_auth"');
  refused("postgres://me:s3cret@db/db?sslpassword=s3cret", '"sslpassword"');
  refused("postgres://me:s3cret@db/db?sslcrl=x", '"sslcrl"');
});

Deno.test("postgres address: errors name the unusable part, and show no password", () => {
  refused("postgres://db/db", "must name a user");
  refused("postgres://:s3cret@db/db", "must name a user");
  refused("redis://me:s3cret@db", '"redis:"');
  refused("postgres://me:s3cret@db/db?foo=s3cret", '"foo"');
  refused("postgres://me:s3cret@db/db?service=x", '"service"');
  refused("postgres://me:s3cret@db/db?replication=database", '"replication"');
  refused("postgres://me:s3cret@db/db?hostaddr=127.0.0.1", '"hostaddr"');
  refused("postgres://me:s3cret@db/db?sslmode=require&sslmode=disable", '"sslmode" more than once');
  refused("postgres://me:s3cret@db/db?max=4&connection_limit=5", '"max" more than once');
  refused("postgres://me:s3cret@db/db?max=0", '"max"');
  refused("postgres://me:s3cret@db/db?max=many", '"max"');
  refused("postgres://me:s3cret@db/db?port=70000", '"port"');
  refused("postgres://me:s3cret@db/db?prepare=maybe", '"prepare"');
  refused("postgres://me:s3cret@db/db?target_session_attrs=standby", '"target_session_attrs"');
  refused("postgres://me:s3cret@db/db?client_encoding=LATIN1", '"client_encoding"');
  refused("postgres://me:s3cret@db/db#x", "%23");
  refused("postgres://me:s3cret%@db/db", "percent-encoded");
  refused("postgres://me:s3cret@db:99999/db", "must be like");
  refused("me:s3cret@db", "must be like");
  refused("", "must be like");
});

Deno.test("postgres address: some parameters turn prepared statements off", () => {
  const names = [
    "prepare=false",
    "prepare=0",
    "pgbouncer=true",
    "prepared_statements=false",
    "statement_cache_size=0",
    "prepareThreshold=0",
  ];
  for (const name of names) assertEquals(differences(`postgres://me@db/db?${name}`), { prepares: false });
  for (const name of ["prepare=true", "pgbouncer=false"]) assertEquals(differences(`postgres://me@db/db?${name}`), {});
});
