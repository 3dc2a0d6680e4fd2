// Tables that begin with a line of the processor's cache: a row that fits into one then lies in one.

/** Words of a line. */
export const LINE = 16;
/** Bytes by which glibc's malloc begins a large block behind a line, filled up to the next. */
const TO_LINE = 48;

export function lineAligned(words: number): Int32Array<ArrayBuffer> {
  return new Int32Array(new ArrayBuffer(TO_LINE + words * Int32Array.BYTES_PER_ELEMENT), TO_LINE, words);
}
