const QUOTE = 34;
const BACKSLASH = 92;
const OPEN_BRACKET = 91;
const CLOSE_BRACKET = 93;
const OPEN_BRACE = 123;
const CLOSE_BRACE = 125;
const COLON = 58;

/** A key that stands twice in one object, and where its second string begins. */
export interface DuplicateKey {
  readonly key: string;
  readonly offset: number;
}

/**
 * The first repeated key of a valid JSON text, escapes resolved; `undefined` when there is none.
 *
 * The text must have been parsed before: this only finds strings and the objects that they are keys of.
 */
export function duplicateKey(text: string): DuplicateKey | undefined {
  /** The keys seen in each open object; `undefined` for an open array. */
  const open: (Set<string> | undefined)[] = [];
  for (let index = 0; index < text.length; index++) {
    switch (text.charCodeAt(index)) {
      case OPEN_BRACE:
        open.push(new Set());
        break;
      case OPEN_BRACKET:
        open.push(undefined);
        break;
      case CLOSE_BRACE:
      case CLOSE_BRACKET:
        open.pop();
        break;
      case QUOTE: {
        const end = endOfString(text, index);
        const keys = open.at(-1);
        if (keys !== undefined && isFollowedByColon(text, end)) {
          const key = JSON.parse(text.slice(index, end)) as string;
          if (keys.has(key)) return { key, offset: index };
          keys.add(key);
        }
        index = end - 1;
        break;
      }
    }
  }
  return undefined;
}

/** The offset behind the closing quote of the string that begins at `start`. */
function endOfString(text: string, start: number): number {
  let index = start + 1;
  for (let code = text.charCodeAt(index); code !== QUOTE; code = text.charCodeAt(index)) {
    index += code === BACKSLASH ? 2 : 1;
  }
  return index + 1;
}

function isFollowedByColon(text: string, end: number): boolean {
  let index = end;
  while (text.charCodeAt(index) <= 32) index++;
  return text.charCodeAt(index) === COLON;
}
