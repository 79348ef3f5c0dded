// SPDX-License-Identifier: Apache-2.0
// An API server's audit log, asked whether what one replica may write was written by the holder of its lease only.
import { readFileSync } from 'node:fs';

interface AuditEvent {
  readonly user: { readonly username: string };
  readonly objectRef: { readonly resource: string; readonly name: string; readonly namespace: string };
  readonly responseStatus: { readonly code: number };
}

/** A line for each write to the config maps `configMap` by somebody who was not the last to write the lease. */
export function intruders(auditLog: string, lease: string, configMap: string): string[] {
  const found: string[] = [];
  let holder: string | undefined;
  for (const line of readFileSync(auditLog, 'utf8').split('\n').slice(0, -1)) {
    const { objectRef, responseStatus, user } = JSON.parse(line) as AuditEvent;
    const { name, namespace, resource } = objectRef;
    if (resource === 'leases' && name === lease && responseStatus.code < 300) holder = user.username;
    if (resource !== 'configmaps' || name !== configMap) continue;
    // Before the first renewal it is not known who made the lease.
    if (holder === undefined || user.username === holder) continue;
    found.push(`${user.username} wrote to ${namespace} while ${holder} held the lease`);
  }
  return found;
}
