// SPDX-License-Identifier: Apache-2.0
// What data-plane processes write to their log rings: access lines are whole already, and what a process says of itself becomes a
// line of this program's log.
import type { Logger } from '#lib/kit/log.ts';
import { LINE_KINDS, type LineKind } from '#lib/loop/shared/log-ring.ts';
import { LogSink } from './log-sink.ts';

/** What a data-plane process says of itself. */
interface WorkerMessage {
  readonly level: 'debug' | 'info' | 'warn' | 'error';
  readonly message: string;
  /** Part of the program that it is about. */
  readonly scope?: string;
  readonly fields: Record<string, unknown>;
}

export interface WorkerLinesOptions {
  readonly log: Logger;
  /** Whether an access line that begins so is to be written; all are when it is not given. */
  readonly wanted?: (beginning: string) => boolean;
  /** Takes what is to be exported; nothing is when it is not given. */
  readonly onExport?: (line: string) => void;
}

/** Bytes of a line that tell its level, in either format. */
const BEGINNING = 64;

export class WorkerLines {
  readonly #options: WorkerLinesOptions;
  readonly #sink = new LogSink();
  readonly #logs = new Map<string, Logger>();

  constructor(options: WorkerLinesOptions) {
    this.#options = options;
  }

  /** Access lines that standard output did not take in time. */
  get dropped(): number {
    return this.#sink.dropped;
  }

  /** `line` is copied where it is kept. */
  readonly onLine = (kind: LineKind, line: Buffer): void => {
    if (kind === LINE_KINDS.export) {
      this.#options.onExport?.(line.toString());
      return;
    }
    if (kind !== LINE_KINDS.message) {
      if (this.#options.wanted?.(line.toString('latin1', 0, BEGINNING)) !== false) this.#sink.line(line);
      return;
    }
    const { level, scope = 'proxy', message, fields } = JSON.parse(line.toString()) as WorkerMessage;
    this.#logOf(scope)[level](message, fields);
  };

  flush(): void {
    this.#sink.flush();
  }

  #logOf(scope: string): Logger {
    let log = this.#logs.get(scope);
    if (log === undefined) {
      log = this.#options.log.child(scope);
      this.#logs.set(scope, log);
    }
    return log;
  }
}
