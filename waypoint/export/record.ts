// SPDX-License-Identifier: Apache-2.0
// What data-plane processes have to tell somebody outside: spans, and log lines that do not go to standard output. One JSON text
// each in the log ring, which main reads.

export type AttributeValue = string | number | boolean;
export type Attribute = readonly [key: string, value: AttributeValue];

export interface SpanRecord {
  readonly kind: 'span';
  /** Name of the provider that it is for. */
  readonly to: string;
  /** Hexadecimal, 32 and 16 digits. */
  readonly traceId: string;
  readonly spanId: string;
  /** '' for the first span of a trace. */
  readonly parentId: string;
  readonly state: string;
  readonly name: string;
  readonly role: 'server' | 'client';
  /** Since the epoch, ms with fractions. */
  readonly start: number;
  readonly end: number;
  readonly error: boolean;
  readonly attributes: readonly Attribute[];
}

export interface LogRecord {
  readonly kind: 'log';
  readonly to: string;
  /** Since the epoch, ms. */
  readonly time: number;
  /** As the provider's format has it; a line for a file ends with its newline. */
  readonly text: string;
  readonly traceId: string;
  readonly spanId: string;
  readonly attributes: readonly Attribute[];
}

export type ExportRecord = SpanRecord | LogRecord;

/** The longest text that fits into a record of the ring, whatever its characters. */
const MOST = 8192;

/** A record as it is written into the ring; attributes from the end are left out until it fits. undefined when it never does. */
export function encodeRecord(record: ExportRecord): string | undefined {
  let { attributes } = record;
  for (;;) {
    const text = JSON.stringify(attributes === record.attributes ? record : { ...record, attributes });
    // Three octets are the most that a unit of UTF-16 becomes.
    if (text.length * 3 <= MOST || Buffer.byteLength(text) <= MOST) return text;
    if (attributes.length === 0) return undefined;
    attributes = attributes.slice(0, attributes.length >> 1);
  }
}

export function decodeRecord(text: string): ExportRecord {
  return JSON.parse(text) as ExportRecord;
}
