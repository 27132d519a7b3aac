/** Freezes a process: stops it, and waits until all of its threads stand still. */
export async function freeze(pid: number): Promise<void> {
  Deno.kill(pid, "SIGSTOP");
  // In /proc, the command's name is in parentheses before the state, and may have any characters.
  const isStill = ({ name }: Deno.DirEntry) =>
    / T /.test(Deno.readTextFileSync(`/proc/${pid}/task/${name}/stat`).replace(/\(.*\)/, ""));
  while (!Array.from(Deno.readDirSync(`/proc/${pid}/task`)).every(isStill)) {
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}
