// SPDX-License-Identifier: Apache-2.0
// A route table as it lies in the shared store: lines of JSON that can be read one after another, since nobody can be served while
// thousands of routes are read in one go. The first line has what is not for requests; each further one has some rows, in the
// order in which they build the rest.
import type { HttpEntry, HttpRoutes, HttpRule, RouteTable, VirtualHost } from '#lib/mesh/http/route-table.ts';
import { decodeValue, encodeValue } from './l7-record.ts';

/** A group of routes, one of its rules, one of its virtual hosts, an entry of the host before. */
type Row =
  | { readonly group: Pick<HttpRoutes, 'clientNamespace' | 'exclusiveHosts'> }
  | { readonly rule: HttpRule }
  | { readonly hosts: readonly string[] }
  | { readonly entry: HttpEntry };

/** A line of so many takes about 50 µs to read. */
const ROWS_A_LINE = 32;
const LINE_FEED = Buffer.from('\n');

export function encodeTable(table: RouteTable): Buffer {
  const lines: Buffer[] = [encodeValue({ ...table, http: [] })];
  let rows: Row[] = [];
  const end = (): void => {
    // JSON has no line feed of its own.
    lines.push(LINE_FEED, encodeValue(rows));
    rows = [];
  };
  for (const row of rowsOf(table)) if (rows.push(row) === ROWS_A_LINE) end();
  if (rows.length > 0) end();
  return Buffer.concat(lines);
}

function* rowsOf({ http }: RouteTable): Generator<Row> {
  for (const { clientNamespace, exclusiveHosts, hosts, rules } of http) {
    yield { group: { clientNamespace, exclusiveHosts } };
    for (const rule of rules) yield { rule };
    for (const host of hosts) {
      yield { hosts: host.hosts };
      for (const entry of host.entries) yield { entry };
    }
  }
}

/** Reads a record, a line with each `next`; the last one gives the table. */
export function* readingTable(text: string): Generator<void, RouteTable> {
  const first = endOfLine(text, 0);
  const http: HttpRoutes[] = [];
  const table = { ...decodeValue<RouteTable>(text.slice(0, first)), http };
  let rules: HttpRule[] = [];
  let hosts: VirtualHost[] = [];
  let entries: HttpEntry[] = [];
  for (let at = first + 1; at < text.length; ) {
    yield;
    const end = endOfLine(text, at);
    for (const row of decodeValue<readonly Row[]>(text.slice(at, end))) {
      if ('entry' in row) entries.push(row.entry);
      else if ('rule' in row) rules.push(row.rule);
      else if ('hosts' in row) {
        entries = [];
        hosts.push({ hosts: row.hosts, entries });
      } else {
        rules = [];
        hosts = [];
        http.push({ ...row.group, rules, hosts });
      }
    }
    at = end + 1;
  }
  return table;
}

function endOfLine(text: string, from: number): number {
  const at = text.indexOf('\n', from);
  return at < 0 ? text.length : at;
}
