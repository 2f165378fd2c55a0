import { readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { root } from '../steps.ts';

/** A program from a page: one fenced `ts` or `js` block with what hidden markers add to it. */
export interface Program {
  readonly language: 'ts' | 'js';
  /** Path of the page from the root of the repository. */
  readonly page: string;
  /** Line of the block's fence, from 1. */
  readonly line: number;
  /** Everything that is compiled and run. */
  readonly code: string;
}

interface Fence {
  readonly language: string;
  readonly line: number;
  readonly code: string;
  /** Hidden comments directly before it. */
  readonly markers: readonly string[];
  /** Hidden comments directly after it. */
  readonly trailing: readonly string[];
}

const PIECE = /^<!--\s*([\s\S]*?)\s*-->[ \t]*$|^( *)```(\w*)[^\n]*\n([\s\S]*?)^ *```[ \t]*$/gm;

function fencesOf(text: string): Fence[] {
  const fences: {
    -readonly [Key in keyof Fence]: Fence[Key] extends readonly string[] ? string[] : Fence[Key];
  }[] = [];
  let markers: string[] = [];
  let end = 0;
  for (const match of text.matchAll(PIECE)) {
    const isAdjacent = text.slice(end, match.index).trim() === '';
    end = match.index + match[0].length;
    if (!isAdjacent) markers = [];
    if (match[1] !== undefined) {
      if (match[1].startsWith('after')) fences.at(-1)?.trailing.push(match[1]);
      else markers.push(match[1]);
      continue;
    }
    const indent = (match[2] as string).length;
    const code = (match[4] as string).replaceAll(new RegExp(`^ {1,${indent || 1}}`, 'gm'), (spaces) =>
      spaces.slice(indent),
    );
    const line = text.slice(0, match.index).split('\n').length;
    fences.push({ language: match[3] as string, line, code, markers, trailing: [] });
    markers = [];
  }
  return fences;
}

/**
 * Reads every `ts` and `js` block of a page as a program that can be compiled and run by itself.
 *
 * Hidden comments complete a block that shows only a part: `<!-- before … -->` directly before it holds code that
 * comes first, `<!-- after … -->` directly after it holds code that comes last, and `<!-- continues -->` before it
 * joins it to the block above.
 */
export function programsOf(
  page: string,
  text: string = readFileSync(resolve(root, page), 'utf8'),
): Program[] {
  const programs: (Program & { code: string; end: string })[] = [];
  for (const { language, line, code, markers, trailing } of fencesOf(text)) {
    const kind = { ts: 'ts', typescript: 'ts', js: 'js', javascript: 'js' }[language] as Program['language'];
    if (kind === undefined) continue;
    const body = (marker: string): string => marker.replace(/^\w+[ \t]*\n?/, '');
    const before = markers.filter((marker) => marker.startsWith('before')).map(body);
    const after = trailing.map(body);
    const previous = programs.at(-1);
    if (previous !== undefined && markers.some((marker) => marker === 'continues')) {
      previous.code = [previous.code, ...before, code].join('\n');
      if (after.length > 0) previous.end = after.join('\n');
      continue;
    }
    programs.push({ language: kind, page, line, code: [...before, code].join('\n'), end: after.join('\n') });
  }
  return programs.map(({ end, ...program }) => ({
    ...program,
    code: `${[program.code, end].join('\n').trimEnd()}\n`,
  }));
}

/** Which servers a program wants, going by what it names. */
export function serversOf({ code }: Pick<Program, 'code'>): {
  readonly redis: boolean;
  readonly postgres: boolean;
} {
  return { redis: /REDIS_URL|new Redis\(\)|:6379\b/.test(code), postgres: code.includes('DATABASE_URL') };
}

/** Arguments for Node that every program is run with. */
export const NODE_ARGUMENTS: readonly string[] = [
  '--import',
  new URL('default-redis.mjs', import.meta.url).href,
];

/** Packages that the first `npm install` line of a page names. */
export function installedBy(
  page: string,
  text: string = readFileSync(resolve(root, page), 'utf8'),
): string[] {
  const line = /^ *(?:npm (?:install|i)|pnpm add) (.+)$/m.exec(text)?.[1] ?? '';
  return line.split(/\s+/).filter((word) => /^@?[a-z]/.test(word));
}
