// SPDX-License-Identifier: Apache-2.0
// The two formats of a log line: how a field is written, and what stands around the fields.

export type LogFormat = 'plain' | 'json';
export type Level = 'error' | 'warn' | 'info' | 'debug';

/** The connection that a line is about. */
export interface Span {
  readonly name: string;
  readonly id: string;
  /** Address of the other end; '' when it is not told. */
  readonly peer: string;
}

export abstract class LineFormat {
  /** Stands on both sides of a word, such as an address. */
  readonly quote: '' | '"';
  // What stands before the value of a field. Before an address: with its opening quote, and with the closing one of the address before.
  readonly source: string;
  readonly destination: string;
  readonly tunnel: string;
  readonly sent: string;
  readonly received: string;
  /** With its opening quote. */
  readonly duration: string;

  constructor(quote: '' | '"') {
    this.quote = quote;
    // The first field: in plain lines a tab stands before it.
    this.source = `${this.key('src.addr').trimStart()}${quote}`;
    this.destination = `${this.key('dst.addr')}${quote}`;
    this.tunnel = `${quote}${this.key('dst.hbone_addr')}${quote}`;
    this.sent = this.key('bytes_sent');
    this.received = this.key('bytes_recv');
    this.duration = `${this.key('duration')}"`;
  }

  /** What stands before a field's value: its name, and what separates it from the field before. */
  abstract key(name: string): string;

  /** A line. `now`: wall clock in ms, with fractions. `fields` begin with `source`. */
  abstract line(now: number, level: Level, message: string, span: Span | undefined, fields: string): string;

  /** A field whose value needs quotes only where the format asks for them. */
  word(name: string, value: string): string {
    return `${this.key(name)}${this.quote}${value}${this.quote}`;
  }

  /** A text in quotes; nothing for undefined and ''. */
  text(name: string, value: string | undefined): string {
    return value === undefined || value === '' ? '' : `${this.key(name)}${JSON.stringify(value)}`;
  }
}

class PlainFormat extends LineFormat {
  key(name: string): string {
    return ` ${name}=`;
  }

  line(now: number, level: Level, message: string, span: Span | undefined, fields: string): string {
    const time = timestamp(now);
    if (span === undefined) return `${time}\t${level}\taccess\t${message}\t${fields}\n`;
    const { id, name, peer } = span;
    const of = peer === '' ? id : `${id} peer=${peer}`;
    return `${time}\t${level}\taccess:${name}{id=${of}}\t${message}\t${fields}\n`;
  }
}

class JsonFormat extends LineFormat {
  key(name: string): string {
    return `,"${name}":`;
  }

  line(now: number, level: Level, message: string, span: Span | undefined, fields: string): string {
    const begin = `{"level":"${level}","time":"${timestamp(now)}","scope":"access","message":"${message}"${fields}`;
    if (span === undefined) return `${begin}}\n`;
    const { id, name, peer } = span;
    const of = peer === '' ? id : `${id}","peer":"${peer}`;
    return `${begin},"${name}":{"id":"${of}"}}\n`;
  }
}

export const FORMATS: Readonly<Record<LogFormat, LineFormat>> = {
  plain: new PlainFormat(''),
  json: new JsonFormat('"'),
};

/** The level of a line in either format; its first 64 characters are enough. */
export function levelOf(text: string): Level {
  const plain = text.indexOf('\t') + 1;
  const from = text.startsWith('{') ? '{"level":"'.length : plain;
  const end = text.startsWith('{') ? text.indexOf('"', from) : text.indexOf('\t', from);
  const level = text.slice(from, end);
  return level === 'error' || level === 'warn' || level === 'debug' ? level : 'info';
}

// The second is formatted once, microseconds are put behind it; lines of one turn have one time.
let secondShown = Number.NaN;
let secondText = '';
let timeShown = Number.NaN;
let timeText = '';

function timestamp(now: number): string {
  if (now === timeShown) return timeText;
  const second = Math.floor(now / 1000);
  if (second !== secondShown) {
    secondShown = second;
    secondText = new Date(second * 1000).toISOString().slice(0, 19);
  }
  const micros = Math.floor((now - second * 1000) * 1000);
  timeShown = now;
  timeText = `${secondText}.${String(micros).padStart(6, '0')}Z`;
  return timeText;
}
