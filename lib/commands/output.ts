/** Output: lines on standard output, and progress for a terminal. */

const encoder = new TextEncoder();

/** Thrown if the reader of standard output has closed it, as `head` does. */
export class ReaderGone extends Error {
  override name = "ReaderGone";
}

/**
 * Writes a line to standard output.
 *
 * @throws {ReaderGone} if the reader has closed standard output.
 */
export function print(line: string): void {
  const bytes = encoder.encode(`${line}\n`);
  try {
    for (let written = 0; written < bytes.length;) written += Deno.stdout.writeSync(bytes.subarray(written));
  } catch (error) {
    throw error instanceof Deno.errors.BrokenPipe ? new ReaderGone() : error;
  }
}

/** The parts of a terminal that `Progress` needs. */
export interface Terminal {
  isTerminal(): boolean;
  writeSync(bytes: Uint8Array): number;
}

/** Milliseconds between two updates. */
const INTERVAL = 200;

/** Shows the progress of some work on standard error, if that is a terminal. */
export class Progress {
  readonly #what: string;
  readonly #terminal: Terminal;
  readonly #started = performance.now();
  readonly #timer: ReturnType<typeof setInterval> | undefined;
  #count = 0;

  /**
   * @param what The word before the count, as in `Copied`.
   * @param terminal The terminal that shows the progress. The default is standard error.
   */
  constructor(what: string, terminal: Terminal = Deno.stderr) {
    this.#what = what;
    this.#terminal = terminal;
    if (terminal.isTerminal()) this.#timer = setInterval(() => this.#show(), INTERVAL);
  }

  /** Adds to the count. */
  add(count: number): void {
    this.#count += count;
  }

  /** Stops showing the progress, and clears its line. */
  end(): void {
    if (this.#timer === undefined) return;
    clearInterval(this.#timer);
    this.#write("\r\x1b[K");
  }

  #show(): void {
    const seconds = Math.floor((performance.now() - this.#started) / 1000);
    const progress = this.#count === 0 ? "Working" : `${this.#what} ${this.#count}`;
    this.#write(`\r${progress}, ${seconds} s\x1b[K`);
  }

  #write(text: string): void {
    try {
      this.#terminal.writeSync(encoder.encode(text));
    } catch {
      // The terminal was closed. The work continues without it.
    }
  }
}
