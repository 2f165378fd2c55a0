/** Quotes one identifier. */
export function quoteName(name: string): string {
  return `"${name.replaceAll('"', '""')}"`;
}

/** Quotes a table's name, which may carry its schema: `policies`, `audit.log`. */
export function quoteTable(table: string): string {
  return table.split('.').map(quoteName).join('.');
}

/** Quotes a text literal, for statements that take no parameters. */
export function quoteText(text: string): string {
  const quoted = `'${text.replaceAll("'", "''")}'`;
  return text.includes('\\') ? ` E${quoted.replaceAll('\\', '\\\\')}` : quoted;
}
