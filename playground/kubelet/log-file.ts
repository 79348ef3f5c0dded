// SPDX-License-Identifier: Apache-2.0
// A container's log on disk, in the CRI format (`TIME STREAM TAG LINE`) that log collectors read from /var/log/pods,
// and the reading side of `kubectl logs`.
import { closeSync, existsSync, mkdirSync, openSync, readFileSync, renameSync, writeSync } from 'node:fs';
import { dirname } from 'node:path';

/** A file is rotated once at this size, so a chatty container keeps between one and two of these. */
const MAX_BYTES = 8 << 20;
/** A line longer than this is written in parts, tagged P (CRI log format). */
const MAX_LINE = 64 << 10;

export interface LogLine {
  readonly time: string;
  readonly stream: 'stdout' | 'stderr';
  /** Ends in a newline, unless it is the part of a line that was too long. */
  readonly text: string;
}

export interface LogQuery {
  readonly tailLines?: number | undefined;
  /** RFC 3339; lines before it are left out. */
  readonly since?: string | undefined;
  readonly timestamps?: boolean;
}

export class LogFile {
  readonly path: string;
  readonly #now: () => number;
  readonly #listeners = new Set<(line: LogLine | undefined) => void>();
  readonly #taps = new Set<(stream: 'stdout' | 'stderr', chunk: Buffer) => void>();
  readonly #partial = { stdout: Buffer.alloc(0), stderr: Buffer.alloc(0) };
  #fd: number;
  #size = 0;
  #closed = false;

  constructor(path: string, now: () => number) {
    mkdirSync(dirname(path), { recursive: true });
    this.path = path;
    this.#now = now;
    this.#fd = openSync(path, 'a', 0o640);
  }

  /** Takes a chunk of a container's output; whole lines are written at once. */
  write(stream: 'stdout' | 'stderr', chunk: Buffer): void {
    if (this.#closed) return;
    for (const tap of this.#taps) tap(stream, chunk);
    const data = this.#partial[stream].length === 0 ? chunk : Buffer.concat([this.#partial[stream], chunk]);
    const time = new Date(this.#now()).toISOString();
    const lines: LogLine[] = [];
    let start = 0;
    for (let end = data.indexOf(10); end !== -1; end = data.indexOf(10, start)) {
      lines.push({ time, stream, text: data.toString('utf8', start, end + 1) });
      start = end + 1;
    }
    for (; data.length - start > MAX_LINE; start += MAX_LINE) {
      lines.push({ time, stream, text: data.toString('utf8', start, start + MAX_LINE) });
    }
    this.#partial[stream] = Buffer.from(data.subarray(start));
    this.#append(lines);
  }

  /** Calls `listener` with each new line, and with undefined when the container has ended. */
  follow(listener: (line: LogLine | undefined) => void): () => void {
    if (this.#closed) listener(undefined);
    else this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** Calls `listener` with the output as it comes, not in lines; for those who attach. */
  tap(listener: (stream: 'stdout' | 'stderr', chunk: Buffer) => void): () => void {
    this.#taps.add(listener);
    return () => this.#taps.delete(listener);
  }

  close(): void {
    if (this.#closed) return;
    const time = new Date(this.#now()).toISOString();
    for (const stream of ['stdout', 'stderr'] as const) {
      const rest = this.#partial[stream];
      if (rest.length > 0) this.#append([{ time, stream, text: rest.toString('utf8') }]);
    }
    this.#closed = true;
    closeSync(this.#fd);
    for (const listener of this.#listeners) listener(undefined);
    this.#listeners.clear();
  }

  #append(lines: readonly LogLine[]): void {
    if (lines.length === 0) return;
    const text = lines.map(formatCri).join('');
    this.#size += writeSync(this.#fd, text);
    for (const line of lines) for (const listener of this.#listeners) listener(line);
    if (this.#size > MAX_BYTES) this.#rotate();
  }

  #rotate(): void {
    closeSync(this.#fd);
    renameSync(this.path, `${this.path}.1`);
    this.#fd = openSync(this.path, 'a', 0o640);
    this.#size = 0;
  }
}

function formatCri(line: LogLine): string {
  const whole = line.text.endsWith('\n');
  return `${line.time} ${line.stream} ${whole ? 'F' : 'P'} ${whole ? line.text : `${line.text}\n`}`;
}

/** Parses one line of a CRI log; undefined for a line that is none. */
export function parseCri(line: string): LogLine | undefined {
  const match = /^(\S+) (stdout|stderr) ([FP]) (.*)$/s.exec(line);
  if (match === null) return undefined;
  return {
    time: match[1]!,
    stream: match[2] as 'stdout' | 'stderr',
    text: match[3] === 'F' ? `${match[4]}\n` : match[4]!,
  };
}

/** The lines of a log file that `query` asks for; none when the file does not exist. */
export function readLog(path: string, query: LogQuery = {}): LogLine[] {
  const text = [`${path}.1`, path].map((file) => (existsSync(file) ? readFileSync(file, 'utf8') : '')).join('');
  const since = query.since === undefined ? undefined : Date.parse(query.since);
  const lines = text
    .split('\n')
    .map(parseCri)
    .filter((line) => line !== undefined)
    .filter((line) => since === undefined || Date.parse(line.time) >= since);
  return query.tailLines === undefined ? lines : query.tailLines === 0 ? [] : lines.slice(-query.tailLines);
}

/** A line as `kubectl logs` shows it. */
export function showLine(line: LogLine, timestamps: boolean): string {
  return timestamps ? `${line.time} ${line.text}` : line.text;
}
