// SPDX-License-Identifier: Apache-2.0
// Logging as Istio's parts print it: `TIME<tab>LEVEL<tab>SCOPE<tab>MESSAGE<tab>k=v …`, or JSON objects through pino.
// Fields may be a function, which is called only when the line is written: detail costs nothing when it is off.
import { writeSync } from 'node:fs';
import { pino } from 'pino';

export const LEVELS = ['off', 'error', 'warn', 'info', 'debug', 'trace'] as const;
export type Level = (typeof LEVELS)[number];
export type Fields = Record<string, unknown>;

/** A field value that is printed bare in plain format, as addresses and numbers are. */
export class Bare {
  readonly text: string;
  constructor(text: string) {
    this.text = text;
  }
  toJSON(): string {
    return this.text;
  }
}

export interface Logger {
  error(message: string, fields?: Fields | (() => Fields)): void;
  warn(message: string, fields?: Fields | (() => Fields)): void;
  info(message: string, fields?: Fields | (() => Fields)): void;
  debug(message: string, fields?: Fields | (() => Fields)): void;
  trace(message: string, fields?: Fields | (() => Fields)): void;
  /** Whether a line of this level would be written. */
  enabled(level: Level): boolean;
  /** A logger of another scope that shares sink, format and levels. */
  child(scope: string): Logger;
  /** Sets the level for one scope, or for all when none is given; takes effect at once for every child. */
  setLevel(level: Level, scope?: string): void;
  /** The levels in force as a filter string: `info,access=off`. */
  levels(): string;
}

export interface LogOptions {
  readonly scope: string;
  readonly level?: Level;
  readonly format?: 'plain' | 'json';
  /** Takes one whole line with its newline; the default writes to standard output. */
  readonly write?: (line: string) => void;
  /** Wall-clock milliseconds. */
  readonly now?: () => number;
}

interface Sink {
  readonly format: 'plain' | 'json';
  readonly write: (line: string) => void;
  readonly now: () => number;
  level: Level;
  readonly scopes: Map<string, Level>;
}

export function createLogger(options: LogOptions): Logger {
  const { scope, level = 'info', format = 'plain', write = writeStdout, now = Date.now } = options;
  return scoped({ format, write, now, level, scopes: new Map() }, scope);
}

function scoped(sink: Sink, scope: string): Logger {
  const json = pino(
    {
      base: { scope },
      level: 'trace',
      messageKey: 'message',
      timestamp: () => `,"time":"${new Date(sink.now()).toISOString()}"`,
      formatters: { level: (level) => ({ level }) },
    },
    { write: (line: string) => sink.write(line) },
  );
  const enabled = (level: Level): boolean =>
    LEVELS.indexOf(level) <= LEVELS.indexOf(sink.scopes.get(scope) ?? sink.level);
  const emit = (level: Exclude<Level, 'off'>, message: string, given?: Fields | (() => Fields)): void => {
    if (!enabled(level)) return;
    const fields = typeof given === 'function' ? given() : (given ?? {});
    if (sink.format === 'json') json[level](plainErrors(fields), message);
    else sink.write(plainLine(new Date(sink.now()).toISOString(), level, scope, message, fields));
  };
  return {
    error: (message, fields) => emit('error', message, fields),
    warn: (message, fields) => emit('warn', message, fields),
    info: (message, fields) => emit('info', message, fields),
    debug: (message, fields) => emit('debug', message, fields),
    trace: (message, fields) => emit('trace', message, fields),
    enabled,
    child: (name) => scoped(sink, name),
    setLevel: (level, name) => {
      if (name === undefined) {
        sink.level = level;
        sink.scopes.clear();
      } else sink.scopes.set(name, level);
    },
    levels: () => [sink.level, ...[...sink.scopes].map(([name, level]) => `${name}=${level}`)].join(','),
  };
}

function plainLine(time: string, level: string, scope: string, message: string, fields: Fields): string {
  const pairs = Object.entries(fields)
    .filter(([, value]) => value !== undefined)
    .map(([key, value]) => `${key}=${plainValue(value)}`);
  const stamp = time.replace(/(\.\d{3})Z$/, '$1000Z');
  return `${stamp}\t${level}\t${scope}\t${message}${pairs.length === 0 ? '' : `\t${pairs.join(' ')}`}\n`;
}

function plainValue(value: unknown): string {
  if (value instanceof Bare) return value.text;
  if (value instanceof Error) return JSON.stringify(value.message);
  return JSON.stringify(value, (_key, inner: unknown) => (typeof inner === 'bigint' ? Number(inner) : inner)) ?? 'null';
}

function plainErrors(fields: Fields): Fields {
  return Object.fromEntries(
    Object.entries(fields).map(([key, value]) => [
      key,
      value instanceof Error ? value.message : value instanceof Bare ? value.text : value,
    ]),
  );
}

// Synchronous on purpose: a line about a crash must be out before the crash is.
function writeStdout(line: string): void {
  try {
    writeSync(1, line);
  } catch {
    // A closed or full standard output must not take the program down; there is nowhere left to say so.
  }
}
