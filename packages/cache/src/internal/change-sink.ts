import type { Mark } from './marks.ts';

/** What other processes' changes do to this one. */
export interface ChangeSink {
  dropKeys(sharedKeys: readonly string[]): void;
  addMarks(marks: readonly Mark[]): void;
  addAll(): void;
}
