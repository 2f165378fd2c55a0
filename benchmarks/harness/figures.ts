import type { SuiteResult } from './results.ts';
import type { AnySuite } from './suite.ts';

/** The figure by which the contenders of a suite are compared, and which way is better. */
export function comparedFigure(suite: AnySuite): Pick<SuiteResult, 'figure' | 'better'> {
  switch (suite.kind) {
    case 'micro':
      return { figure: 'timeNs', better: 'lower' };
    case 'throughput':
      return { figure: 'opsPerSecond', better: 'higher' };
    case 'scenario':
      return { figure: suite.figure, better: suite.better };
    case 'fault':
      return { figure: 'longestStallMs', better: 'lower' };
  }
}

/** A figure as text, in the unit that the end of its name says. */
export function formatFigure(name: string, value: number | null | undefined): string {
  if (value === null || value === undefined || Number.isNaN(value)) return '–';
  if (name.endsWith('Ns')) return formatDuration(value);
  if (name.endsWith('Us')) return formatDuration(value * 1e3);
  if (name.endsWith('Ms')) return formatDuration(value * 1e6);
  if (name.endsWith('PerSecond')) return `${formatNumber(value)}/s`;
  if (name.startsWith('bytes') || name.endsWith('Bytes')) return formatBytes(value);
  if (name.endsWith('Ratio')) return value.toFixed(3);
  return formatNumber(value);
}

const UNITS = /(Ns|Us|Ms|Bytes|Ratio)$/;

/** What a figure is called in tables: `p99OutageMs` is `p99 outage`, `opsPerSecond` is `ops/s`. */
export function labelOf(figure: string): string {
  if (figure === 'recoverMs') return 'time to recover';
  return figure
    .replace(/PerSecond$/, '/s')
    .replace(/PerOp$/, '/op')
    .replace(UNITS, '')
    .replace(/(?<=[a-z0-9])(?=[A-Z])/g, ' ')
    .toLowerCase();
}

/** Three digits that count. */
export function formatNumber(value: number): string {
  const size = Math.abs(value);
  if (size >= 1e6) return `${digits(value / 1e6)} M`;
  if (size >= 1e4) return `${digits(value / 1e3)} k`;
  if (Number.isInteger(value)) return String(value);
  return size >= 1_000 ? value.toFixed(0) : digits(value);
}

function digits(value: number): string {
  const size = Math.abs(value);
  if (size >= 100) return value.toFixed(0);
  return size >= 10 ? value.toFixed(1) : value.toFixed(2);
}

function formatDuration(ns: number): string {
  const size = Math.abs(ns);
  if (size === 0) return '0';
  if (size < 1e3) return `${digits(ns)} ns`;
  if (size < 1e6) return `${digits(ns / 1e3)} µs`;
  return size < 1e9 ? `${digits(ns / 1e6)} ms` : `${digits(ns / 1e9)} s`;
}

function formatBytes(bytes: number): string {
  const size = Math.abs(bytes);
  if (size < 10_000) return `${bytes.toFixed(0)} B`;
  if (size < 1e6) return `${digits(bytes / 1024)} KiB`;
  return size < 1e10 ? `${digits(bytes / 1024 ** 2)} MiB` : `${digits(bytes / 1024 ** 3)} GiB`;
}
