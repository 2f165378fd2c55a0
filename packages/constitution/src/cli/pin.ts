import { existsSync } from 'node:fs';
import { dirname, resolve } from 'node:path';
import { type Milliseconds, systemClock } from '@hotpath/core';
import { readDocument } from '../document.ts';
import { ConstitutionError, DriftError } from '../errors.ts';
import { FINGERPRINT_PROFILES, type FingerprintProfile, fingerprint } from '../fingerprint.ts';
import { differences } from '../internal/differences.ts';
import { momentMs } from '../internal/versions.ts';
import {
  acceptedText,
  boundMs,
  checkPinFile,
  documentLines,
  PIN_FILE_NAME,
  readPinFile,
} from '../pin-file.ts';
import { pinDocument, rotatePin } from '../pin-rotation.ts';
import { type CommandResult, UsageError } from './output.ts';
import type { Flags } from './run.ts';

const MS_OF_UNIT: Readonly<Record<string, Milliseconds>> = {
  s: 1_000,
  m: 60_000,
  h: 3_600_000,
  d: 86_400_000,
};

function durationMs(flag: string, text: string | undefined): Milliseconds | undefined {
  if (text === undefined) return undefined;
  const match = /^(\d{1,9})([smhd])$/.exec(text);
  if (match === null)
    throw new UsageError(`--${flag} must be a time such as 90s, 15m, 24h or 7d, got '${text}'`);
  return Number(match[1]) * (MS_OF_UNIT[match[2] as string] as Milliseconds);
}

function profileFlag(text: string | undefined): FingerprintProfile {
  const profile = FINGERPRINT_PROFILES.find((known) => known === (text ?? 'raw'));
  if (profile === undefined)
    throw new UsageError(`--profile must be one of ${FINGERPRINT_PROFILES.join(', ')}`);
  return profile;
}

function noOperands(command: string, operands: readonly string[]): void {
  if (operands.length > 0) throw new UsageError(`${command} takes no operand, got '${operands[0]}'`);
}

export async function computeCommand(operands: readonly string[], flags: Flags): Promise<CommandResult> {
  const [document, ...rest] = operands;
  if (document === undefined || rest.length > 0) throw new UsageError('compute takes one document');
  const profile = profileFlag(flags.profile);
  if (flags.write !== true) {
    const actual = fingerprint(readDocument(document), { profile });
    const json = { fingerprint: actual.toString(), hash: actual.short, profile };
    return { exitCode: 0, json, text: `${actual}\n${actual.short}` };
  }
  const path = flags.pin ?? PIN_FILE_NAME;
  if (existsSync(path)) throw new UsageError(`${path} exists already; 'rotate' pins the next version`);
  const pin = pinDocument(path, document, profile);
  const json = { fingerprint: pin.fingerprint, hash: pin.hash, profile, pinFile: path, version: pin.version };
  return { exitCode: 0, json, text: `${path}: version 1 is ${pin.fingerprint}` };
}

export async function checkCommand(operands: readonly string[], flags: Flags): Promise<CommandResult> {
  noOperands('check', operands);
  const { pin } = checkPinFile(flags.pin ?? PIN_FILE_NAME);
  if (boundMs(pin.until, Number.POSITIVE_INFINITY) <= systemClock.wallTime()) {
    throw new ConstitutionError('retired');
  }
  const json = { document: pin.document, fingerprint: pin.fingerprint, hash: pin.hash, version: pin.version };
  return { exitCode: 0, json, text: `${pin.document} is version ${pin.version}, ${pin.fingerprint}` };
}

export async function diffCommand(operands: readonly string[], flags: Flags): Promise<CommandResult> {
  noOperands('diff', operands);
  const path = flags.pin ?? PIN_FILE_NAME;
  const pin = readPinFile(path);
  const content = readDocument(resolve(dirname(path), pin.document));
  const isSame = fingerprint(content, { profile: pin.profile }).toString() === pin.fingerprint;
  if (isSame) return { exitCode: 0, json: { document: pin.document, differences: [] }, text: '' };
  const accepted = acceptedText(path, pin);
  if (accepted === undefined) {
    throw new DriftError(
      'HOTPATH_CONSTITUTION_DRIFT',
      `${pin.document} differs from ${pin.fingerprint}, whose text was not kept`,
    );
  }
  const found = differences(accepted, documentLines(content, pin.profile));
  const lines = found.map(
    ({ kind, line, text }) => `${kind === 'removed' ? '-' : '+'}${line}: ${JSON.stringify(text)}`,
  );
  return { exitCode: 1, json: { document: pin.document, differences: found }, text: lines.join('\n') };
}

export async function rotateCommand(operands: readonly string[], flags: Flags): Promise<CommandResult> {
  noOperands('rotate', operands);
  const path = flags.pin ?? PIN_FILE_NAME;
  const leadMs = durationMs('lead', flags.lead);
  const graceMs = durationMs('grace', flags.grace);
  const nowMs = systemClock.wallTime();
  const endMs = flags.until === undefined ? undefined : untilMs(flags.until, nowMs + (leadMs ?? 0));
  const pin = rotatePin(
    path,
    {
      nowMs,
      leadMs,
      graceMs,
      untilMs: endMs,
    },
    flags.force === true,
  );
  const [before] = pin.previous;
  const json = {
    version: pin.version,
    fingerprint: pin.fingerprint,
    hash: pin.hash,
    activeFrom: pin.activeFrom,
  };
  const text = `version ${pin.version} is ${pin.fingerprint}, stamped from ${pin.activeFrom}; version ${before?.version} is accepted until ${before?.until}`;
  return { exitCode: 0, json: { ...json, previous: before }, text };
}

function untilMs(text: string, activeFromMs: Milliseconds): Milliseconds {
  let endMs: Milliseconds;
  try {
    endMs = momentMs(text, '--until');
  } catch (error) {
    throw new UsageError((error as Error).message);
  }
  if (endMs <= activeFromMs) throw new UsageError('--until must be later than the version is stamped');
  return endMs;
}
