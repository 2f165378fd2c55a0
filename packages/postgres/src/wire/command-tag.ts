type SliceBuffer = Buffer & { latin1Slice(start: number, end: number): string };

const ZERO = 0x30;
const NINE = 0x39;

/** What a statement did: its command and, where the server says so, how many rows it touched. */
export class CommandTag {
  command: string | null = null;
  rowCount: number | null = null;

  /** Reads a CommandComplete body such as `INSERT 0 5`, `SELECT 1` or `CREATE INDEX`. */
  read(buffer: Buffer, start: number, end: number): void {
    const last = end - 2;
    let at = last;
    let count = 0;
    let scale = 1;
    for (let digit = buffer[at]!; digit >= ZERO && digit <= NINE; digit = buffer[--at]!) {
      count += (digit - ZERO) * scale;
      scale *= 10;
    }
    this.rowCount = at === last ? null : count;
    // The most frequent one by far, without making a string.
    if (buffer[start] === 0x53 && buffer[start + 5] === 0x54) {
      this.command = 'SELECT';
      return;
    }
    const text = (buffer as SliceBuffer).latin1Slice(start, end - 1);
    this.command = /^[A-Za-z]+/.exec(text)?.[0] ?? null;
  }
}
