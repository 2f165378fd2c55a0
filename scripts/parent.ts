const parent = process.ppid;

const LOOK_EVERY_MS = 500;

/**
 * Calls `then` once this process has outlived the one that started it, however that one ended.
 *
 * Keeps no process alive. Returns how to stop looking.
 */
export function onParentGone(then: () => void): () => void {
  const timer = setInterval(() => {
    if (process.ppid === parent) return;
    clearInterval(timer);
    then();
  }, LOOK_EVERY_MS).unref();
  return () => clearInterval(timer);
}
