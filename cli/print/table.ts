// SPDX-License-Identifier: Apache-2.0
// Columns, as kubectl and istioctl print them: upper-case heads, two spaces between, no lines.

const GAP = '  ';

/** Text of a table with a final newline. Cells never break a line. */
export function table(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const clean = rows.map((row) => row.map((cell) => cell.replace(/\s*\n\s*/g, ' ')));
  const widths = head.map((name, i) => Math.max(name.length, ...clean.map((row) => (row[i] ?? '').length)));
  const line = (cells: readonly string[]) =>
    cells
      .map((cell, i) => (i === cells.length - 1 ? cell : cell.padEnd(widths[i] ?? 0)))
      .join(GAP)
      .trimEnd();
  return `${[head, ...clean].map(line).join('\n')}\n`;
}
