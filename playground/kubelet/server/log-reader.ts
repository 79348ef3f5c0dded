// SPDX-License-Identifier: Apache-2.0
// The query of `kubectl logs` applied to a log file.
import { type LogFile, type LogLine, readLog } from '../log-file.ts';

/** The lines that `tailLines`, `sinceSeconds`, `sinceTime` and `limitBytes` leave. */
export function readPodLog(path: string, query: URLSearchParams, now: number): LogLine[] {
  const tail = query.get('tailLines');
  const seconds = query.get('sinceSeconds');
  const since = seconds === null ? query.get('sinceTime') : new Date(now - Number(seconds) * 1000).toISOString();
  const lines = readLog(path, {
    ...(tail === null ? {} : { tailLines: Number(tail) }),
    ...(since === null ? {} : { since }),
  });
  const limit = query.get('limitBytes');
  if (limit === null) return lines;
  let left = Number(limit);
  return lines.filter((line) => {
    left -= Buffer.byteLength(line.text);
    return left >= 0;
  });
}

/** Passes on new lines; undefined is the end. The returned function stops it. */
export function followLog(log: LogFile, listener: (line: LogLine | undefined) => void): () => void {
  return log.follow(listener);
}
