/** The server, with a promise that no code awaits and that is rejected after a while. */
import "../../main.ts";

setTimeout(() => void Promise.reject(new Error("on purpose")), 300);
