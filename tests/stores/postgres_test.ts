/** The PostgreSQL store, on the database that TEST_POSTGRES_URL names. */
import { postgresMeans } from "./hooked_clients.ts";
import { testSharedStore } from "./shared.ts";

const url = Deno.env.get("TEST_POSTGRES_URL");
testSharedStore("postgres", { url, counts: true, ...postgresMeans(url) });
