import { type EventChannel, eventChannel, sleep } from '@hotpath/core';
import type { BuildContext } from './build.ts';

/** How far the build of an index is. */
export interface IndexProgress {
  readonly name: string;
  /** The server's name for what it does, such as `building index: scanning table`. */
  readonly phase: string;
  /** The share of the current phase that is done, from 0 to 1; absent where that can't be known. */
  readonly ratio: number | undefined;
  /** Sessions whose transactions it waits for. */
  readonly waitingFor: readonly number[];
}

/** `hotpath:postgres:index-progress` */
export const progressChannel: EventChannel<IndexProgress> = eventChannel('postgres', 'index-progress');

const EVERY_MS = 200;
const PROGRESS = `select phase, blocks_total::float8 as "blocksTotal", blocks_done::float8 as "blocksDone", tuples_total::float8 as "tuplesTotal",
tuples_done::float8 as "tuplesDone", pg_blocking_pids(pid) as "waitingFor" from pg_stat_progress_create_index where pid = $1`;

interface ProgressRow {
  readonly phase: string;
  readonly blocksTotal: number;
  readonly blocksDone: number;
  readonly tuplesTotal: number;
  readonly tuplesDone: number;
  readonly waitingFor: number[];
}

/** Reports how the build in `context.session` goes on; returns what ends the reports. */
export function watchBuild(
  { session, watcher, onProgress, clock }: BuildContext,
  name: string,
): () => Promise<void> {
  if (onProgress === undefined && !progressChannel.hasSubscribers) return async () => {};
  const ended = new AbortController();
  const report = (progress: IndexProgress): void => {
    onProgress?.(progress);
    if (progressChannel.hasSubscribers) progressChannel.publish(progress);
  };
  report({ name, phase: 'starting', ratio: undefined, waitingFor: [] });
  const watching = (async () => {
    while (!ended.signal.aborted) {
      const { rows } = await watcher.run(PROGRESS, [session.client.processID], { timeoutMs: 5_000 });
      for (const row of rows as ProgressRow[]) {
        const { phase, waitingFor } = row;
        report({ name, phase, ratio: ratioOf(row), waitingFor });
      }
      await sleep(EVERY_MS, { signal: ended.signal, clock });
    }
  })().catch(() => {
    // A report that can't be had does not stop the build.
  });
  return async () => {
    ended.abort();
    await watching;
    report({ name, phase: 'ended', ratio: 1, waitingFor: [] });
  };
}

function ratioOf({ blocksTotal, blocksDone, tuplesTotal, tuplesDone }: ProgressRow): number | undefined {
  if (blocksTotal > 0 && blocksDone < blocksTotal) return blocksDone / blocksTotal;
  if (tuplesTotal > 0) return Math.min(1, tuplesDone / tuplesTotal);
  return blocksTotal > 0 ? 1 : undefined;
}
