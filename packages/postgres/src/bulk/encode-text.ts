import utils from 'pg/lib/utils.js';
import type { ColumnInfo } from '../catalog.ts';
import type { WriteRow } from './rows.ts';

const { prepareValue } = utils;

/**
 * A value as the server reads it as text. JSON columns take a string as JSON that is written already.
 *
 * @throws TypeError, which names the column, for a value that can't be written.
 */
export function encodeValue(value: unknown, column: ColumnInfo): string | null {
  if (value === null || value === undefined) return null;
  if (typeof value === 'string') return value;
  if (typeof value === 'number') return String(value);
  try {
    if (column.isJson) return jsonOf(value);
    if (value instanceof Date) {
      const year = value.getUTCFullYear();
      if (Number.isNaN(year)) throw new RangeError('the date is invalid');
      // Years of four digits are written the same way by both, and much faster so.
      if (column.type === 'timestamp with time zone' && year >= 1 && year <= 9_999)
        return value.toISOString();
    }
    if (typeof value === 'symbol' || typeof value === 'function')
      throw new TypeError(`a ${typeof value} is no value`);
    const prepared = prepareValue(value);
    return Buffer.isBuffer(prepared) ? `\\x${prepared.toString('hex')}` : prepared;
  } catch (cause) {
    throw new TypeError(`column ${column.name}: ${(cause as Error).message}`, { cause });
  }
}

function jsonOf(value: unknown): string {
  const text = JSON.stringify(value);
  if (text === undefined) throw new TypeError(`a ${typeof value} is no JSON`);
  return text;
}

/** One column of many rows as the text of an array, in the server's notation. */
export function arrayTextOf(rows: readonly WriteRow[], column: ColumnInfo): string {
  return arrayText(rows.map((row) => encodeValue(row[column.name], column)));
}

/** The text of a one-dimensional array, in the server's notation. */
export function arrayText(values: readonly (string | null)[]): string {
  let text = '{';
  for (let i = 0; i < values.length; i++) {
    const value = values[i];
    if (i > 0) text += ',';
    if (value === null || value === undefined) text += 'NULL';
    else if (plain.test(value) && value.length !== 4) text += value;
    else if (special.test(value)) text += `"${value.replace(/[\\"]/g, '\\$&')}"`;
    else text += `"${value}"`;
  }
  return `${text}}`;
}

// Words that need no quotes; four letters might spell NULL.
const plain = /^[\w.:+-]+$/;
const special = /[\\"]/;
