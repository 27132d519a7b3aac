/** The server, and a promise that no one waits for and that is rejected after a while. */
import "../../main.ts";

setTimeout(() => void Promise.reject(new Error("on purpose")), 300);
