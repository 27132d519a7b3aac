/** The most expensive request of each kind, compared with an ordinary one: the server's processor time. */
import { type CostlyRequest, costlyRequests } from "../../support/costly_requests.ts";
import { ProcessorClock } from "../../support/processor.ts";
import { http1Request, Http2, type RawAnswer, sendHttp1 } from "../../support/raw_http.ts";
import { median, printLine, printTitle, say, verdict, withRange } from "../measure.ts";
import { options } from "../options.ts";
import { ours } from "../servers.ts";
import { register, subfolder } from "./common.ts";

/** The most processor time that a request may take, in milliseconds. */
const MOST = 8;
/** How often each request is sent in a round, one after the other. */
const TIMES = 20;

type Send = (request: CostlyRequest) => Promise<RawAnswer>;

export async function measureHostile(): Promise<void> {
  const subject = await ours({ SESSION_FILE_DIR: await subfolder("hostile") });
  const cookie = await register(subject);
  const clock = new ProcessorClock(subject.pids[0]!);
  const port = Number(new URL(subject.origin).port);
  const usual = { method: "GET", target: "/", host: "localhost", fields: [["cookie", cookie]] } as const;
  const ordinary: CostlyRequest = { ...usual, kind: "ordinary", name: "" };

  const measured = async (send: Send, request: CostlyRequest): Promise<number> => {
    const before = clock.read();
    for (let time = 0; time < TIMES; time++) await send(request);
    return (clock.read() - before) / TIMES;
  };
  // Deno accepts heads of 64 kB over HTTP/1.1, and of 16 kB over HTTP/2.
  const protocols = [["HTTP/1.1", overHttp1(port), 64_000], ["HTTP/2", overHttp2(port), 15_500]] as const;
  for (const [protocol, send, size] of protocols) {
    const requests = [ordinary, ...costlyRequests(size, cookie)];
    const times = requests.map((): number[] => []);
    for (let round = 0; round <= options.rounds; round++) {
      say(`Round ${round}: hostile, ${protocol}`);
      for (const [index, request] of requests.entries()) {
        const time = await measured(send, request);
        // The first round warms up.
        if (round > 0) times[index]!.push(time);
      }
    }
    printTitle(`The most expensive requests of up to ${size / 1000} kB over ${protocol}: ms of processor time`);
    const worst = new Map<string, { name: string; times: number[] }>();
    for (const [index, { kind, name }] of requests.entries()) {
      const known = worst.get(kind);
      if (known === undefined || median(known.times) < median(times[index]!)) {
        worst.set(kind, { name, times: times[index]! });
      }
    }
    for (const [kind, { name, times }] of worst) printLine(`${kind.padEnd(16)}${withRange(times).padEnd(22)}${name}`);
    const most = Math.max(...[...worst.values()].map(({ times }) => median(times)));
    printLine(`at most ${MOST} for each: ${verdict(most <= MOST)}`);
  }
  await subject.stop();
}

function overHttp1(port: number): Send {
  return (request) => sendHttp1(port, http1Request(request));
}

function overHttp2(port: number): Send {
  let http2: Http2 | undefined;
  return async (request) => {
    if (http2?.isOpen !== true) http2 = await Http2.open(port);
    return await http2.send(request);
  };
}
