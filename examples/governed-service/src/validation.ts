import { describe } from '@hotpath/core';

/** A request that is not what it must be; becomes a 400 that names the field. */
export class InvalidField extends Error {
  readonly field: string;

  constructor(field: string, expected: string, got: unknown) {
    super(`${field} must be ${expected}, got ${got === undefined ? 'nothing' : describe(got)}`);
    this.field = field;
  }
}

export type Fields = Readonly<Record<string, unknown>>;

export function objectField(value: unknown, field: string): Fields {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    throw new InvalidField(field, 'an object', value);
  }
  return value as Fields;
}

export function textField(value: unknown, field: string, maxLength: number): string {
  if (typeof value !== 'string' || value.length === 0 || value.length > maxLength || !isStorable(value)) {
    throw new InvalidField(field, `a text of 1 to ${maxLength} characters, none NUL or half a pair`, value);
  }
  return value;
}

/** PostgreSQL can't hold NUL; a lone half of a surrogate pair has no UTF-8. */
function isStorable(text: string): boolean {
  return !text.includes('\0') && !/\p{Surrogate}/u.test(text);
}

/** An object that PostgreSQL's jsonb holds and gives back as it is, with at most `levels` of nesting. */
export function jsonField(value: unknown, field: string, levels: number): Fields {
  const given = objectField(value, field);
  checkJson(given, field, levels);
  return given;
}

function checkJson(value: unknown, field: string, levels: number): void {
  if (typeof value === 'string') {
    if (!isStorable(value)) throw new InvalidField(field, 'free of NUL and of half pairs', value);
  } else if (typeof value === 'number') {
    if (!Number.isFinite(value)) throw new InvalidField(field, 'of numbers up to 1.8e308', value);
  } else if (typeof value === 'object' && value !== null) {
    if (levels === 0) throw new InvalidField(field, 'nested less deeply', value);
    for (const [key, inner] of Object.entries(value)) {
      checkJson(key, field, levels);
      checkJson(inner, field, levels - 1);
    }
  }
}

export function wholeNumberField(value: unknown, field: string, min: number, max: number): number {
  if (typeof value !== 'number' || !Number.isInteger(value) || value < min || value > max) {
    throw new InvalidField(field, `a whole number from ${min} to ${max}`, value);
  }
  return value;
}

/** As `wholeNumberField`, of a text: plain decimal digits only. */
export function wholeNumberText(value: unknown, field: string, min: number, max: number): number {
  const number = typeof value === 'string' && /^\d{1,15}$/.test(value) ? Number(value) : Number.NaN;
  if (!(number >= min && number <= max))
    throw new InvalidField(field, `a whole number from ${min} to ${max}`, value);
  return number;
}

export function choiceField<const Choice extends string>(
  value: unknown,
  field: string,
  choices: readonly Choice[],
): Choice {
  if (!choices.includes(value as Choice))
    throw new InvalidField(field, `one of ${choices.join(', ')}`, value);
  return value as Choice;
}

/** An answer does not repeat more of an unknown name. */
const LONGEST_NAME = 100;

/** Refuses fields that nobody reads: a misspelt filter must not match everything. */
export function onlyFields(given: Fields, known: readonly string[], where: string): void {
  for (const name of Object.keys(given)) {
    if (!known.includes(name))
      throw new InvalidField(
        `${where}${name.slice(0, LONGEST_NAME)}`,
        `left out: known are ${known.join(', ')}`,
        given[name],
      );
  }
}
