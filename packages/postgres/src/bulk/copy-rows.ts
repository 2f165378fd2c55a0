import type { ColumnBatch } from './columns.ts';

const CHUNK_CHARACTERS = 65_536;
const special = /[\\\t\n\r]/;

/** The rows of a batch in COPY's text format, in pieces of about 64 KB. */
export function* copyChunks({ values, count }: ColumnBatch): Generator<string> {
  let text = '';
  const width = values.length;
  for (let row = 0; row < count; row++) {
    for (let i = 0; i < width; i++) {
      const value = values[i]![row];
      if (i > 0) text += '\t';
      if (value === null || value === undefined) text += '\\N';
      else text += special.test(value) ? value.replace(/[\\\t\n\r]/g, escapeOne) : value;
    }
    text += '\n';
    if (text.length >= CHUNK_CHARACTERS) {
      yield text;
      text = '';
    }
  }
  if (text !== '') yield text;
}

function escapeOne(character: string): string {
  if (character === '\t') return '\\t';
  if (character === '\n') return '\\n';
  if (character === '\r') return '\\r';
  return '\\\\';
}
