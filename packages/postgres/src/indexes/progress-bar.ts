import type { IndexProgress } from './progress.ts';

const WIDTH = 30;

/** Draws progress: a bar that is drawn over on a terminal, a line for each new phase elsewhere. */
export function drawProgress(stream: { write(text: string): unknown; readonly isTTY?: boolean }): {
  draw(progress: IndexProgress): void;
  end(): void;
} {
  let last = '';
  let isDrawn = false;
  return {
    draw({ name, phase, ratio, waitingFor }) {
      const waiting = waitingFor.length === 0 ? '' : `, waits for ${waitingFor.join(', ')}`;
      if (stream.isTTY) {
        const filled = Math.round((ratio ?? 0) * WIDTH);
        const percent = ratio === undefined ? '' : ` ${Math.round(ratio * 100)} %`;
        stream.write(
          `\r\x1b[2K[${'#'.repeat(filled)}${'.'.repeat(WIDTH - filled)}] ${name}: ${phase}${percent}${waiting}`,
        );
        isDrawn = true;
        return;
      }
      const line = `${name}: ${phase}${waiting}`;
      if (line !== last) stream.write(`${line}\n`);
      last = line;
    },
    end() {
      if (isDrawn) stream.write('\r\x1b[2K');
    },
  };
}
