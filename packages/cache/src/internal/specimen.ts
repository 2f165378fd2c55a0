import type { Opened } from './envelope.ts';
import type { SharedReader, SharedValue } from './tier.ts';

/** Larger values are not kept. */
const MOST_BYTES = 4 * 1024;

/**
 * The last hit with a small value, kept until the next, and with it an object of each shape that a read makes.
 *
 * V8 drops the code that it has optimised for a shape when a full collection finds nothing of that shape
 * alive. After one between two bursts, all that reads from Redis would be compiled anew.
 */
export class Specimen {
  gathering: NodeJS.Immediate | undefined = undefined;
  batch: object | undefined = undefined;
  reader: SharedReader | undefined = undefined;
  opened: Opened | undefined = undefined;
  shared: SharedValue | undefined = undefined;

  keep(reader: SharedReader, opened: Opened, shared: SharedValue): void {
    if (shared.bytes > MOST_BYTES) return;
    this.reader = reader;
    this.opened = opened;
    this.shared = shared;
  }
}
