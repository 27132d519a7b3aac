/** Marks: who wrote an entry last. They tell a store whether a write of its own was done, whatever came after it. */
import { randomBytes } from "node:crypto";

/** How many writers an entry names. */
const WRITERS = 8;
/** The most bytes that stand before a record's text: 8 × (8 + 1 + 11) of marks, what separates them, and a key. */
export const HEAD_BYTES = 209;
const HEAD = /^((?:[0-9a-f]{8}\.[0-9a-z]{1,11}(?:,|(?= |$))){0,8})(?: ([0-9a-f]{40}))?$/;

/** The last write of one writer: a store in a process has one name, and a number that grows with every write. */
export interface Mark {
  readonly writer: string;
  readonly number: number;
}

/** The name of a writer. */
export function newWriter(): string {
  return randomBytes(4).toString("hex");
}

/** What stands in an entry: the marks of the last writers, the latest first, and the record's text. */
export interface Content {
  readonly marks: readonly Mark[];
  /** The record's text; empty if the session moved or ended. */
  readonly text: string;
  /** The key that the session moved to. */
  readonly movedTo?: string | undefined;
}

/** The content of an entry. */
export function writeContent({ marks, text, movedTo }: Content): string {
  const head = marks.map(({ writer, number }) => `${writer}.${number.toString(36)}`).join();
  return `${head}${movedTo === undefined ? "" : ` ${movedTo}`}\n${text}`;
}

/** What stands in an entry; `undefined` if it is none of a store. */
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

/** The marks after a write: the writer comes first, and the ninth is dropped. */
export function withMark(marks: readonly Mark[], mark: Mark): Mark[] {
  return [mark, ...marks.filter(({ writer }) => writer !== mark.writer)].slice(0, WRITERS);
}

/**
 * Whether a writer's mark may have been there and be gone: that takes eight others that all wrote in between.
 *
 * @param before The marks that the writer saw before its write.
 * @param now The marks that there are now.
 */
export function isPushedOut(writer: string, before: readonly Mark[], now: readonly Mark[]): boolean {
  const isOld = (mark: Mark) => before.some(({ writer, number }) => writer === mark.writer && number === mark.number);
  return now.length === WRITERS && !now.some((mark) => mark.writer === writer || isOld(mark));
}
