// SPDX-License-Identifier: Apache-2.0
// A connection with TLS on it: another way to connect, and a handshake whose peer is judged before anybody may use it.
import type { HttpBench } from './bench.ts';
import { dialOver } from './dial-over.ts';
import { type TlsClientOptions, TlsLink } from './tls-link.ts';
import type { Dialler, Dialling, DialOutcome } from './upstream.ts';

export interface TlsDial extends TlsClientOptions {
  /** For the handshake, ms; the connection below has its own. */
  readonly timeoutMs: number;
}

export function dialTls(bench: HttpBench, dial: Dialler, tls: TlsDial, outcome: DialOutcome): Dialling {
  const { timeoutMs } = tls;
  const late = 'TLS handshake timed out';
  return dialOver(
    bench.loop,
    dial,
    { timeoutMs, late, make: (below, made) => new TlsLink(bench, below, tls, made) },
    outcome,
  );
}
