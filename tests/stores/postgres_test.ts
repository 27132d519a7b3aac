/** The PostgreSQL store, on the database that TEST_POSTGRES_URL names. */
import { testSharedStore } from "./shared.ts";

testSharedStore("postgres", { url: Deno.env.get("TEST_POSTGRES_URL"), counts: true });
