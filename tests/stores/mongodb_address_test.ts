/** Addresses of MongoDB: those of providers, and those with options that the store refuses. */
import { assert, assertEquals, assertThrows } from "@std/assert";
import { checkAddress } from "../../lib/stores/mongodb/address.ts";

Deno.test("mongodb address: the addresses of providers work", () => {
  const hosts = {
    "mongodb://localhost": "localhost",
    "mongodb://127.0.0.1:27017/app": "127.0.0.1:27017",
    "mongodb://[::1]:27017/app": "[::1]:27017",
    "mongodb://app:p%40ss%2F@a.example:27017,b.example:27018,c.example/app?replicaSet=rs0&tls=true":
      "a.example:27017,b.example:27018,c.example",
    "mongodb+srv://app:secret@cluster0.ab12c.mongodb.net/?retryWrites=true&w=majority&appName=Cluster0":
      "cluster0.ab12c.mongodb.net",
    "mongodb+srv://doadmin:secret@db-1.mongo.ondigitalocean.com/admin?tls=true&authSource=admin&replicaSet=db-1":
      "db-1.mongo.ondigitalocean.com",
    "mongodb://acc:k%3D%3D@acc.mongo.cosmos.azure.com:10255/?ssl=true&retrywrites=false&maxIdleTimeMS=120000&appName=@a@":
      "acc.mongo.cosmos.azure.com:10255",
    "mongodb://%2Frun%2Fmongodb-27017.sock/app?readPreference=primary&readConcernLevel=majority&journal=true":
      "%2Frun%2Fmongodb-27017.sock",
  };
  for (const [url, expected] of Object.entries(hosts)) assertEquals(checkAddress(url), expected);
});

Deno.test("mongodb address: options that the store sets itself are refused by name", () => {
  const refused = {
    w: ["0", "1", "2"],
    readPreference: ["secondary", "secondaryPreferred", "nearest"],
    readConcernLevel: ["local", "available", "linearizable"],
    journal: ["false"],
    wtimeoutMS: ["1000"],
    socketTimeoutMS: ["60000"],
    serverSelectionTimeoutMS: ["30000"],
    timeoutMS: ["0"],
    maxStalenessSeconds: ["120"],
    readPreferenceTags: ["dc:ny"],
  };
  for (const [name, values] of Object.entries(refused)) {
    for (const value of values) {
      for (const spelt of [name, name.toLowerCase()]) {
        const url = `mongodb+srv://app:secret@host.example/db?appName=x&${spelt}=${value}`;
        const { message } = assertThrows(() => checkAddress(url), TypeError, `"${spelt}"`);
        assert(!message.includes("secret") && !message.includes("host.example"), message);
      }
    }
  }
  assertThrows(() => checkAddress("mongodb://h/?w=majority&W=majority"), TypeError, "more than once");
});

Deno.test("mongodb address: the error of an invalid address shows no part of it", () => {
  const wrong = [
    ...["", "localhost", "mongodb:", "mongodb://", "mongo://host", "http://host", "mongodb://host/db#x"],
    ...[
      "mongodb://app:se@cret@host/db",
      "mongodb://app:se/cret@host/db",
      "mongodb://app:se?cret@host/db",
      "mongodb://app:12?cret@host/db",
    ],
    ...["mongodb://app:se#cret@host/db", "mongodb://host/a b", "mongodb://host/db/more", " mongodb://host"],
  ];
  for (const url of wrong) {
    const { message } = assertThrows(() => checkAddress(url), TypeError, "percent-encoded");
    assert(!message.includes("cret"), message);
  }
});
