import type { ColumnInfo } from '../catalog.ts';
import { duplicateKey } from '../errors.ts';
import { encodeValue } from './encode-text.ts';
import { type DuplicateRule, isCanonical, type KeptRow, type WriteRow } from './rows.ts';

/** Asks the server which rows stay, by their keys; returns their places from 0, in order. */
export type ChooseByServer = (rule: KeptRow) => Promise<number[]>;

/**
 * Leaves one row a key, before anything is written.
 *
 * Rows of different shape go in different statements, where the server would not see that they are of one key; and it
 * says nothing of a second row that changes nothing.
 *
 * @throws RejectedError (HOTPATH_PG_DUPLICATE_KEY) by the rule `error`.
 */
export async function oneRowAKey(
  rows: readonly WriteRow[],
  keyColumns: readonly ColumnInfo[],
  rule: DuplicateRule,
  chooseByServer: ChooseByServer,
): Promise<readonly WriteRow[]> {
  const texts = rows.map((row) => keyColumns.map((column) => encodeValue(row[column.name], column)));
  const isExact =
    keyColumns.every(({ hasExactText }) => hasExactText) &&
    texts.every((key) => key.every((text, at) => isCanonical(text, keyColumns[at]!)));
  const from = rule === 'last' ? 'last' : 'first';
  const chosen = isExact ? chooseByText(texts, from) : await chooseByServer(from);
  if (chosen.length === rows.length) return rows;
  if (rule === 'error') {
    const stays = new Set(chosen);
    throw duplicateKey(texts[rows.findIndex((_, place) => !stays.has(place))]!.join(', '));
  }
  return chosen.map((place) => rows[place]!);
}

function chooseByText(texts: readonly (string | null)[][], rule: KeptRow): number[] {
  const chosen = new Map<unknown, number>();
  for (let place = 0; place < texts.length; place++) {
    const key = texts[place]!;
    // A row without a key is none's double.
    const id = key.includes(null) ? key : JSON.stringify(key);
    if (rule === 'last' || !chosen.has(id)) chosen.set(id, place);
  }
  return [...chosen.values()].sort((a, b) => a - b);
}
