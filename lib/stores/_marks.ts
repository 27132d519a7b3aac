/** Marks: the last writers of an entry. They show a store whether its write was done, even if others wrote later. */
import { randomBytes } from "node:crypto";

/** How many writers an entry names. */
const WRITERS = 8;
/** The most bytes before a record's text: 8 × (8 + 1 + 11) of marks, 7 commas, a space, a key of 40, and a newline. */
export const HEAD_BYTES = 209;
const HEAD = /^((?:[0-9a-f]{8}\.[0-9a-z]{1,11}(?:,|(?= |$))){0,8})(?: ([0-9a-f]{40}))?$/;

/** The last write of a writer. A writer is a store object. It has a random name, and it numbers its writes. */
export interface Mark {
  readonly writer: string;
  readonly number: number;
}

/** A random name for a new writer. */
export function newWriter(): string {
  return randomBytes(4).toString("hex");
}

/** The decoded content of an entry: the marks of its last writers, the latest first, and the record's text. */
export interface Content {
  readonly marks: readonly Mark[];
  /** The record's text; empty if the session moved or ended. */
  readonly text: string;
  /** The key that the session moved to. */
  readonly movedTo?: string | undefined;
}

/** Encodes the content of an entry. */
export function writeContent({ marks, text, movedTo }: Content): string {
  const head = marks.map(({ writer, number }) => `${writer}.${number.toString(36)}`).join();
  return `${head}${movedTo === undefined ? "" : ` ${movedTo}`}\n${text}`;
}

/** Decodes the content of an entry; `undefined` if no store wrote it. */
export function readContent(content: string): Content | undefined {
  const end = content.indexOf("\n");
  const [, list, movedTo] = HEAD.exec(content.slice(0, Math.max(0, end))) ?? [];
  if (end < 0 || list === undefined) return undefined;
  const marks = list.split(",").filter(Boolean).map((mark) => {
    const [writer = "", number = ""] = mark.split(".");
    return { writer, number: Number.parseInt(number, 36) };
  });
  return { marks, text: content.slice(end + 1), movedTo };
}

/** The version of an entry that a write makes. Of two versions of a writer, the later one is the greater string. */
export function versionOf({ writer, number }: Mark): string {
  return `${writer}.${number.toString(36).padStart(11, "0")}`;
}

/** The marks after a write: the writer's mark comes first, and a ninth mark is dropped. */
export function withMark(marks: readonly Mark[], mark: Mark): Mark[] {
  return [mark, ...marks.filter(({ writer }) => writer !== mark.writer)].slice(0, WRITERS);
}

/**
 * Whether a writer's mark may have been in an entry and been dropped. This needs eight other writers that all wrote in
 * between.
 *
 * @param writer The writer's name.
 * @param before The marks that the writer read before its write.
 * @param now The marks that are in the entry now.
 */
export function isPushedOut(writer: string, before: readonly Mark[], now: readonly Mark[]): boolean {
  const isOld = (mark: Mark) => before.some(({ writer, number }) => writer === mark.writer && number === mark.number);
  return now.length === WRITERS && !now.some((mark) => mark.writer === writer || isOld(mark));
}
