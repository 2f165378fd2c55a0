/** How far a run has come, on the last line of a terminal; elsewhere a line a suite. */
export interface Progress {
  /** Another piece of work is done; `doing` says what comes next or was done. */
  step(expectedMs: number, doing: string): void;
  /** Prints text without tearing the bar. */
  print(text: string): void;
  end(): void;
}

const WIDTH = 30;

/** What of a terminal is needed. */
export type Terminal = Pick<NodeJS.WriteStream, 'isTTY' | 'columns'> & { write(text: string): unknown };

export function startProgress(
  totalMs: number,
  stream: Terminal = process.stderr,
  now: () => number = () => performance.now(),
): Progress {
  const startedMs = now();
  let doneMs = 0;
  let doing = '';
  const draw = (): void => {
    if (!stream.isTTY) return;
    const share = totalMs === 0 ? 1 : Math.min(1, doneMs / totalMs);
    const full = Math.round(share * WIDTH);
    const elapsedMs = now() - startedMs;
    // The estimate learns from how the steps so far went.
    const leftMs = doneMs === 0 ? totalMs : (elapsedMs / doneMs) * (totalMs - doneMs);
    const bar = `${'█'.repeat(full)}${'░'.repeat(WIDTH - full)}`;
    const text = `${bar} ${Math.round(share * 100)} %  ${formatLeft(leftMs)} left  ${doing}`;
    stream.write(`\r\u001b[2K${text.slice(0, (stream.columns ?? 80) - 1)}`);
  };
  const clear = (): void => {
    if (stream.isTTY) stream.write('\r\u001b[2K');
  };
  draw();
  return {
    step(expectedMs, what) {
      doneMs += expectedMs;
      doing = what;
      draw();
    },
    print(text) {
      clear();
      console.log(text);
      draw();
    },
    end: clear,
  };
}

export function formatLeft(ms: number): string {
  const seconds = Math.max(0, Math.round(ms / 1_000));
  if (seconds < 60) return `${seconds} s`;
  const minutes = Math.floor(seconds / 60);
  if (minutes < 60) return `${minutes} min ${String(seconds % 60).padStart(2, '0')} s`;
  return `${Math.floor(minutes / 60)} h ${String(minutes % 60).padStart(2, '0')} min`;
}
