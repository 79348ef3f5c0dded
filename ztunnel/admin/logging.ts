// SPDX-License-Identifier: Apache-2.0
// `POST /logging`: shows and changes log levels while the proxy runs.
import { type AdminRequest, type Reply, text } from '#lib/kit/admin.ts';
import type { Logger } from '#lib/kit/log.ts';
import { accessLogOf, type LogSettings, parseLogFilter } from '../log-config.ts';

type Filter = Pick<LogSettings, 'level' | 'scopes'>;

const USAGE = `usage: POST /logging               (show the current log level)
       POST /logging?level=LEVEL   (change it: off, error, warn, info, debug, trace)
       POST /logging?level=SCOPE=LEVEL,SCOPE=LEVEL
       POST /logging?reset         (go back to the filter of the start)
`;

export class LogControl {
  readonly #log: Logger;
  readonly #start: Filter;
  readonly #onAccessLog: (settings: ReturnType<typeof accessLogOf>) => void;
  #filter: Filter;

  constructor(log: Logger, start: Filter, onAccessLog: (settings: ReturnType<typeof accessLogOf>) => void) {
    this.#log = log;
    this.#start = start;
    this.#filter = start;
    this.#onAccessLog = onAccessLog;
  }

  readonly handle = ({ method, query }: AdminRequest): Reply => {
    if (method !== 'POST') return text(`Invalid HTTP method\n${USAGE}`, 405);
    const given = query.get('level');
    const changed = given === null ? undefined : parseLogFilter(given);
    if (given !== null && (changed === undefined || given === '')) return text(`Invalid level ${given}\n${USAGE}`, 400);
    if (query.has('reset')) this.#apply(this.#start);
    if (changed !== undefined && given !== null) {
      const bare = given.split(',').some((item) => !item.includes('='));
      const level = bare ? changed.level : this.#filter.level;
      this.#apply({ level, scopes: { ...this.#filter.scopes, ...changed.scopes } });
    }
    return text(`current log level is ${this.#log.levels()}\n`);
  };

  #apply(filter: Filter): void {
    this.#filter = filter;
    applyFilter(this.#log, filter);
    this.#onAccessLog(accessLogOf(filter));
  }
}

/** Sets the level of everything, then those of single scopes. */
export function applyFilter(log: Logger, { level, scopes }: Filter): void {
  log.setLevel(level);
  for (const [scope, own] of Object.entries(scopes)) log.setLevel(own, scope);
}
