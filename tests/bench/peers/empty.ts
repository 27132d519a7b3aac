/** An empty server, to measure how long Deno itself takes to start. */
Deno.serve({ hostname: "127.0.0.1", port: Number(Deno.args[0]), onListen() {} }, () => new Response());
