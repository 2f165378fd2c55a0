import type { Figures } from './suite.ts';

/** How long and how often a child measures. */
export interface Timing {
  readonly warmupMs: number;
  readonly durationMs: number;
  /** Micro suites: how often allocation is counted. */
  readonly series: number;
  /** Fault suites: how long the server is away. */
  readonly outageMs: number;
  /** Fault suites: how long calls go on after it is back. */
  readonly afterMs: number;
}

/** What a child is to do; its only argument, as JSON. */
export interface ChildOrder {
  readonly file: string;
  readonly suite: string;
  readonly contender: string;
  readonly servers: Readonly<Record<string, unknown>>;
  readonly timing: Timing;
  readonly quick: boolean;
  /** The core to run on; absent where that can not be chosen. */
  readonly core?: number | undefined;
}

/** What a child tells its parent. */
export type ChildMessage =
  /** Fault suites: calls are under way, the script may begin. */
  | { readonly kind: 'running' }
  | { readonly kind: 'figures'; readonly figures: Figures }
  | { readonly kind: 'failed'; readonly error: string };

/** What the parent tells a child of a fault suite. */
export type ParentMessage = { readonly kind: 'outage' } | { readonly kind: 'restored' };
