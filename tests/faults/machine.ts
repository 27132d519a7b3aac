/** A user-mode Linux from Debian: a kernel that runs as a process, with disks in files. A test can cut its power. */
import { until } from "./scenario.ts";

/** A disk of the machine. */
export interface Disk {
  /** The name of its file, and of its folder below `/mnt`. */
  readonly name: string;
  readonly system: "ext4" | "vfat";
  /** The options of `mkfs`. */
  readonly options: readonly string[];
}

const MEGABYTES = 96;

/** The first command that a machine needs and this system lacks. */
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

/** A machine that runs a Deno program on its disks. */
export class Machine {
  /** Its output: lines of the program, and lines of the kernel. */
  said = "";
  #process: Deno.ChildProcess;
  #reading: Promise<void>;
  #hasEnded = false;

  /**
   * Starts it.
   *
   * @param dir The folder of the disks' files.
   * @param program The program.
   * @param argument Its argument, which is passed as JSON.
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

  /** Waits until the program has printed a string. */
  async hears(text: string): Promise<void> {
    await until(() => this.#hasEnded || this.said.includes(text), `the machine says "${text}"`, 60).catch(() => {});
    if (!this.said.includes(text)) throw new Error(`The machine did not print "${text}": ${this.said.slice(-3000)}`);
  }

  /** The lines that the program has printed so far, each a JSON value. */
  lines<T>(): T[] {
    return this.said.split("\n").slice(0, -1).filter((line) => line.startsWith("{")).map((line) => JSON.parse(line));
  }

  /** Ends the machine immediately, whatever it is writing. The contents of its memory are lost. */
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
