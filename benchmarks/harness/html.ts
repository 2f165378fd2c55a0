export function renderPage(_: unknown): string {
  return '';
}
export function writePage(_: string, __: string): void {}
