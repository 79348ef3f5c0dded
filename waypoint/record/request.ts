// SPDX-License-Identifier: Apache-2.0
// What is known of one request, as metrics, access logs, spans and authorisers read it. The exchange keeps it while the request is on
// its way; whoever only reads needs to know no more than this of how requests are served.
import type { Loop } from '#lib/loop/loop.ts';
import type { RequestAccessVerdict } from '#lib/mesh/http/access-policy.ts';
import type { RequestView } from '#lib/mesh/http/request.ts';
import type { ForwardVerdict } from '#lib/mesh/http/route-verdict.ts';
import type { Workload } from '#lib/mesh/workload.ts';
import type { ServerStream } from '#lib/net/http/exchange.ts';
import type { MessageHead } from '#lib/wire/http/message.ts';
import type { WorkerSettings } from '../control.ts';
import type { Cluster } from '../upstream/cluster.ts';
import type { Member } from '../upstream/member.ts';
import type { ConnectionRecord } from './connection.ts';

/** The process that serves it: its clocks, and who it is. */
export interface ServingProcess {
  readonly loop: Pick<Loop, 'now'>;
  readonly settings: Pick<WorkerSettings, 'identity'>;
  readonly self: () => Workload;
  /** Wall clock, ms with fractions. */
  readonly now: () => number;
}

export interface RequestRecord {
  readonly runtime: ServingProcess;
  readonly origin: ConnectionRecord;
  /** It is a stream that is no HTTP; what only requests have is empty. */
  readonly isStream: boolean;
  readonly stream: Pick<ServerStream, 'head' | 'received' | 'sent'>;
  readonly request: RequestView;
  /** The client's own or ours; '' for none. */
  readonly requestId: string;
  /** Monotonic, ms. */
  readonly begunAt: number;
  /** Wall clock at the begin, ms. */
  readonly startedAt: number;
  /** Of the trace that it is in; null when nobody follows it. */
  readonly trace: { readonly traceId: string; readonly spanId: string } | null;

  // === what was decided ===

  /** null until a policy was asked. */
  readonly access: RequestAccessVerdict | null;
  /** What external authorisers said, in words; '' when none was asked. */
  readonly checked: string;
  readonly verdict: ForwardVerdict | null;
  readonly cluster: Cluster | null;
  readonly member: Member | null;

  // === what became of it ===

  readonly attempts: number;
  /** `ip:port` of our end towards the server; '' for none. */
  readonly localAddress: string;
  /** What the client saw; 0 while there is nothing. */
  readonly status: number;
  readonly grpc: boolean;
  /** -1 while there is none. */
  readonly grpcStatus: number;
  /** Envoy's response flags, joined by commas; '' for none. */
  readonly flags: string;
  /** Envoy's response code details. */
  readonly details: string;
  /** Why the last try got no answer; '' if it did. */
  readonly failure: string;
  /** Ms from the request's last byte sent to the answer's first; -1 without one. */
  readonly upstreamMs: number;
  /** The server's answer, where logs tell of its fields. */
  readonly answer: MessageHead | null;
}
