import { existsSync } from 'node:fs';
import { open, readFile } from 'node:fs/promises';
import { writeAll } from '../internal/write-all.ts';
import { writeWhole } from '../internal/write-whole.ts';

const LINE_FEED = 10;

/**
 * Keeps checkpoints in one file, a JSON string a line, each on the disk before `add` resolves.
 *
 * After a failed sync the file is written anew beside itself, for the reason that `FileAuditStore` gives.
 */
export class CheckpointFile {
  readonly #path: string;
  /** How much of the file is known to be on the disk. */
  #syncedBytes = 0;
  /** Whether the last write or sync failed. */
  #isDoubtful = false;

  constructor(path: string) {
    this.#path = path;
  }

  /** For writing: one whose write was cut off says nothing, and must not spoil the next one. */
  async open(): Promise<void> {
    if (!existsSync(this.#path)) return;
    const content = await readFile(this.#path);
    this.#syncedBytes = content.lastIndexOf(LINE_FEED) + 1;
    writeWhole(this.#path, content.subarray(0, this.#syncedBytes));
  }

  /** All of them, in the order in which they were added; a damaged one as it stands. */
  async notes(): Promise<readonly string[]> {
    if (!existsSync(this.#path)) return [];
    const lines = (await readFile(this.#path, 'utf8')).split('\n');
    if (lines.at(-1) === '') lines.pop();
    return lines.map((line) => {
      try {
        return String(JSON.parse(line));
      } catch {
        return line;
      }
    });
  }

  async add(note: string): Promise<void> {
    const bytes = Buffer.from(`${JSON.stringify(note)}\n`);
    if (this.#syncedBytes === 0 || this.#isDoubtful) await this.#writeAnew(bytes);
    else await this.#append(bytes);
    this.#isDoubtful = false;
    this.#syncedBytes += bytes.length;
  }

  async #writeAnew(bytes: Buffer): Promise<void> {
    const content = this.#syncedBytes === 0 ? Buffer.alloc(0) : await readFile(this.#path);
    writeWhole(this.#path, Buffer.concat([content.subarray(0, this.#syncedBytes), bytes]));
  }

  async #append(bytes: Buffer): Promise<void> {
    this.#isDoubtful = true;
    const file = await open(this.#path, 'r+');
    try {
      await writeAll(file, bytes, this.#syncedBytes);
      await file.datasync();
    } finally {
      await file.close();
    }
  }
}
