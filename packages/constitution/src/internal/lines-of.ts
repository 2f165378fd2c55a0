import { isUtf8 } from 'node:buffer';

const LINE_FEED = 10;
/** Ends what no UTF-8 text decodes to. */
const BROKEN = '\ud800';

/** The lines of a text, so that two are equal only when their bytes are: a decoder that mends broken bytes would hide a change. */
export function linesOf(content: Buffer): string[] {
  if (isUtf8(content)) return content.toString('utf8').split('\n');
  const lines: string[] = [];
  for (let start = 0; start <= content.length; ) {
    const found = content.indexOf(LINE_FEED, start);
    const end = found === -1 ? content.length : found;
    const line = content.subarray(start, end);
    lines.push(isUtf8(line) ? line.toString('utf8') : line.toString('latin1') + BROKEN);
    start = end + 1;
  }
  return lines;
}
