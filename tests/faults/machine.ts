/** A user-mode Linux: a kernel as a process of its own, with disks in files, whose power can be cut. Debian has it. */
import { until } from "./scenario.ts";

/** A disk of the machine. */
export interface Disk {
  /** The file that it is, and below `/mnt` the folder. */
  readonly name: string;
  readonly system: "ext4" | "vfat";
  /** What its file system is made with. */
  readonly options: readonly string[];
}

const MEGABYTES = 96;

/** What is needed for it and missing here, in words. */
export async function missingForMachine(disks: readonly Disk[]): Promise<string | undefined> {
  const own = disks.flatMap(({ system }) => system === "vfat" ? ["mkfs.vfat", "insmod"] : [`mkfs.${system}`]);
  for (const command of ["linux.uml", "setsid", ...own]) {
    try {
      await new Deno.Command(command, { args: ["--version"], stdin: "null", stdout: "null", stderr: "null" }).output();
    } catch {
      return command;
    }
  }
  return undefined;
}

/** Makes the files of the disks. */
export async function makeDisks(dir: string, disks: readonly Disk[]): Promise<void> {
  for (const { name, system, options } of disks) {
    const path = `${dir}/${name}.img`;
    await Deno.writeFile(path, new Uint8Array());
    await Deno.truncate(path, MEGABYTES * 1024 * 1024);
    const made = await new Deno.Command(`mkfs.${system}`, { args: [...options, path] }).output();
    if (!made.success) throw new Error(new TextDecoder().decode(made.stderr));
  }
}

/** A machine that runs a program of Deno's on its disks. */
export class Machine {
  /** What it said: the program's output among the kernel's. */
  said = "";
  #process: Deno.ChildProcess;
  #reading: Promise<void>;
  #hasEnded = false;

  /**
   * Starts it.
   *
   * @param dir Where the disks' files are.
   * @param program The program, and its argument as JSON.
   */
  constructor(dir: string, disks: readonly Disk[], program: string, argument: unknown) {
    const at = (path: string) => new URL(path, import.meta.url).pathname;
    this.#process = new Deno.Command("setsid", {
      args: [
        "linux.uml",
        "mem=512M",
        "quiet",
        "root=/dev/root",
        "rootfstype=hostfs",
        "rootflags=/",
        "ro",
        `uml_dir=${dir}`,
        "con=null",
        "con0=null,fd:1",
        ...disks.map(({ name }, index) => `ubd${index}=${dir}/${name}.img`),
        "init=/bin/sh",
        "--",
        at("machine.sh"),
        Deno.execPath(),
        at(program),
        JSON.stringify(argument),
        ...disks.map(({ name, system }) => `${system}:${name}`),
      ],
      env: { TMPDIR: dir },
      stdin: "null",
      stdout: "piped",
      stderr: "null",
    }).spawn();
    this.#process.status.then(() => this.#hasEnded = true);
    this.#reading = this.#read();
  }

  async #read(): Promise<void> {
    for await (const text of this.#process.stdout.pipeThrough(new TextDecoderStream())) this.said += text;
  }

  /** Waits until the program has said something. */
  async hears(text: string): Promise<void> {
    await until(() => this.#hasEnded || this.said.includes(text), `the machine says "${text}"`, 60).catch(() => {});
    if (!this.said.includes(text)) throw new Error(`The machine did not say "${text}": ${this.said.slice(-3000)}`);
  }

  /** What the program said so far, one JSON value a line. */
  lines<T>(): T[] {
    return this.said.split("\n").slice(0, -1).filter((line) => line.startsWith("{")).map((line) => JSON.parse(line));
  }

  /** Ends all of it at once, whatever it is writing: what is in its memory is lost. */
  async cut(): Promise<void> {
    try {
      // Its kernel is several processes of one group.
      Deno.kill(-this.#process.pid, "SIGKILL");
    } catch {
      // It has ended already.
    }
    await this.#process.status;
    await this.#reading;
  }
}
