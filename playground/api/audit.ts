// SPDX-License-Identifier: Apache-2.0
// Who changed what, a JSON line for each request that asked for a change, in the order in which they were answered.
// Source: audit.k8s.io/v1 Event at level Metadata, stage ResponseComplete, as `--audit-log-path` of a real API server.
import { randomUUID } from 'node:crypto';
import { closeSync, openSync, writeSync } from 'node:fs';
import type { User } from './auth/user.ts';
import type { RequestInfo } from './http/request-info.ts';

const READS: ReadonlySet<string> = new Set(['get', 'list', 'watch']);

export interface AuditLog {
  record(info: RequestInfo, user: User, code: number): void;
  close(): void;
}

/** Without a file nothing is written down. */
export const noAudit: AuditLog = { record: () => {}, close: () => {} };

/** Appends to `file`; each line is with the kernel before the next request is served. */
export function auditLog(file: string, now: () => number): AuditLog {
  const fd = openSync(file, 'a', 0o600);
  let closed = false;
  return {
    record: (info, user, code) => {
      if (closed || info.kind !== 'resource' || READS.has(info.verb)) return;
      const { group, name, namespace, path, resource, subresource, verb, version } = info;
      const event = {
        kind: 'Event',
        apiVersion: 'audit.k8s.io/v1',
        level: 'Metadata',
        auditID: randomUUID(),
        stage: 'ResponseComplete',
        requestURI: path,
        verb,
        user: { username: user.name, groups: user.groups },
        objectRef: { apiGroup: group, apiVersion: version, resource, subresource, namespace, name },
        responseStatus: { code },
        stageTimestamp: new Date(now()).toISOString(),
      };
      writeSync(fd, `${JSON.stringify(event)}\n`);
    },
    close: () => {
      closed = true;
      closeSync(fd);
    },
  };
}
