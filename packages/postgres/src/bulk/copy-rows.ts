import { encodeValue } from './encode-text.ts';
import type { RowGroup } from './rows.ts';

const CHUNK_CHARACTERS = 65_536;
const special = /[\\\t\n\r]/;

/** The rows in COPY's text format, in pieces of about 64 KB. */
export function* copyChunks({ columns, rows }: RowGroup): Generator<Buffer> {
  let text = '';
  const width = columns.length;
  for (const row of rows) {
    for (let i = 0; i < width; i++) {
      const column = columns[i]!;
      const given = row[column.name];
      if (i > 0) text += '\t';
      if (typeof given === 'number') text += given;
      else {
        const value = encodeValue(given, column);
        if (value === null) text += '\\N';
        else text += special.test(value) ? value.replace(/[\\\t\n\r]/g, escapeOne) : value;
      }
    }
    text += '\n';
    if (text.length >= CHUNK_CHARACTERS) {
      yield Buffer.from(text);
      text = '';
    }
  }
  if (text !== '') yield Buffer.from(text);
}

function escapeOne(character: string): string {
  if (character === '\t') return '\\t';
  if (character === '\n') return '\\n';
  if (character === '\r') return '\\r';
  return '\\\\';
}
