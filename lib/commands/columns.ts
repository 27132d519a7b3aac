/** Columns: cuts or fills strings to a width in a terminal. */

/** Splits a string into characters as a reader sees them. Each can have several code points (UAX 29). */
const graphemes = new Intl.Segmenter(undefined, { granularity: "grapheme" });

/** Emoji, flags and keycaps. Each takes two columns, even if it has several parts. */
const EMOJI = /^(\p{Emoji_Presentation}|\p{Extended_Pictographic}\uFE0F|\p{RI}{2}|[\d#*]\uFE0F?\u20E3)/u;
/** East Asian wide and fullwidth characters (UAX 11). */
const WIDE =
  /^[\u1100-\u115F\u2E80-\u303E\u3041-\u3247\u3250-\u4DBF\u4E00-\uA4C6\uA960-\uA97C\uAC00-\uD7A3\uF900-\uFAFF\uFE10-\uFE19\uFE30-\uFE6F\uFF01-\uFF60\uFFE0-\uFFE6\u{16FE0}-\u{1B2FB}\u{1F200}-\u{1F265}\u{20000}-\u{3FFFD}]/u;
/** Characters that a terminal acts on, or that change the direction of the line. */
const UNSAFE = /[\p{C}\p{Zl}\p{Zp}]/gu;
/** The most code points of one character that are shown. More marks would cover the lines above. */
const MAX_CODE_POINTS = 12;

/**
 * Cuts a string, or fills it with spaces, to a width. Characters that a terminal would act on become "?".
 *
 * @param text The string.
 * @param width The width in columns.
 */
export function fit(text: string, width: number): string {
  const cells = Array.from(graphemes.segment(text), ({ segment }) => cellOf(segment));
  let fitted = "";
  let used = 0;
  for (const [index, cell] of cells.entries()) {
    const isLast = index === cells.length - 1;
    if (used + cell.columns > width - (isLast ? 0 : 1)) {
      fitted += "…";
      used++;
      break;
    }
    fitted += cell.text;
    used += cell.columns;
  }
  return fitted + " ".repeat(Math.max(0, width - used));
}

/** The text that is shown for one character, and its number of columns. */
function cellOf(grapheme: string): { text: string; columns: number } {
  if (EMOJI.test(grapheme)) return { text: shorten(grapheme), columns: 2 };
  const safe = shorten(grapheme).replace(UNSAFE, "?");
  // A mark without a letter would be drawn over the previous character.
  if (/^\p{M}/u.test(safe)) return { text: `\u25CC${safe}`, columns: 1 };
  const marks = safe.replace(/[\p{M}\u1160-\u11FF]/gu, "");
  return { text: safe, columns: WIDE.test(safe) ? 2 : Math.max(1, [...marks].length) };
}

function shorten(grapheme: string): string {
  return [...grapheme].slice(0, MAX_CODE_POINTS).join("");
}
