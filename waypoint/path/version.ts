// SPDX-License-Identifier: Apache-2.0
// Which version of HTTP a request is sent on by.
import type { MessageHead } from '#lib/wire/http/message.ts';
import type { Cluster } from '../upstream/cluster.ts';

/** `cluster` is null for a workload that was addressed itself. */
export function versionFor({ h1, h2 }: MessageHead, cluster: Cluster | null): 'h1' | 'h2' {
  if (cluster === null) return h2 === null ? 'h1' : 'h2';
  const { pool } = cluster.settings;
  // An upgrade is a matter of HTTP/1 (RFC 9113 section 8.6).
  if (h1?.upgrade === true && h1.connectionOptions().includes('upgrade')) return 'h1';
  if (pool?.useClientProtocol === true) return h2 === null ? 'h1' : 'h2';
  if (pool?.h2Upgrade === 'always') return 'h2';
  return cluster.speaksH2 ? 'h2' : 'h1';
}
