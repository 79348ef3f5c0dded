// SPDX-License-Identifier: Apache-2.0
// Log levels as Istio's node proxy takes them: RUST_LOG at the start, the same texts at `POST /logging`.
import type { ConfigReader } from '#lib/kit/config.ts';
import { LEVELS, type Level } from '#lib/kit/log.ts';

export interface LogSettings {
  readonly format: 'plain' | 'json';
  readonly level: Level;
  readonly scopes: Readonly<Record<string, Level>>;
}

/** `info,access=off,ztunnel::proxy=debug`; items of other programs are taken and mean nothing. */
export function parseLogFilter(text: string): Pick<LogSettings, 'level' | 'scopes'> | undefined {
  let level: Level = 'info';
  const scopes: Record<string, Level> = {};
  for (const item of text
    .split(',')
    .map((part) => part.trim())
    .filter(Boolean)) {
    const [scope, value] = item.includes('=') ? item.split('=', 2) : [undefined, item];
    const known = LEVELS.find((name) => name === value?.toLowerCase());
    if (known === undefined) return undefined;
    if (scope === undefined) level = known;
    else scopes[scope.replace(/^ztunnel::/, '')] = known;
  }
  return { level, scopes };
}

export function logSettings(read: ConfigReader): LogSettings {
  const text = read.string('RUST_LOG', 'info');
  const parsed = parseLogFilter(text);
  if (parsed === undefined)
    read.problem('RUST_LOG', `${JSON.stringify(text)} is no log filter`, 'write info or info,access=off');
  return { format: read.oneOf('LOG_FORMAT', ['plain', 'json'], 'plain'), ...(parsed ?? { level: 'info', scopes: {} }) };
}

/**
 * What the data-plane processes write of the access log under a filter, and whether they tell of DNS questions. Lines that the filter leaves out by their level are
 * dropped by the main process; only switching the scope off spares their making.
 */
export function accessLogOf({ level, scopes }: Pick<LogSettings, 'level' | 'scopes'>): {
  enabled: boolean;
  opened: boolean;
  dns: boolean;
} {
  const rank = LEVELS.indexOf(scopes['access'] ?? level);
  const debug = LEVELS.indexOf('debug');
  return {
    enabled: rank >= LEVELS.indexOf('error'),
    opened: rank >= debug,
    dns: LEVELS.indexOf(scopes['dns'] ?? level) >= debug,
  };
}
