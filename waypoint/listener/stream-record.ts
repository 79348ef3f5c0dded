// SPDX-License-Identifier: Apache-2.0
// A stream that is no HTTP, as access logs read it: what a request has and a stream has not is empty.
import type { RequestAccessVerdict } from '#lib/mesh/http/access-policy.ts';
import { PlainRequest } from '#lib/mesh/http/request.ts';
import { HeaderBlock } from '#lib/wire/h2/headers.ts';
import { MessageHead } from '#lib/wire/http/message.ts';
import type { ConnectionRecord } from '../record/connection.ts';
import type { RequestRecord, ServingProcess } from '../record/request.ts';
import type { Cluster } from '../upstream/cluster.ts';
import type { Member } from '../upstream/member.ts';

const NO_HEAD = MessageHead.ofHttp2(new HeaderBlock(), true, '');

/** What became of it. */
export interface StreamFacts {
  readonly begunAt: number;
  readonly startedAt: number;
  readonly access: RequestAccessVerdict | null;
  readonly checked: string;
  readonly cluster: Cluster | null;
  readonly member: Member | null;
  readonly serverName: string;
  readonly attempts: number;
  readonly localAddress: string;
  readonly flags: string;
  readonly failure: string;
  readonly received: number;
  readonly sent: number;
}

export function streamRecord(runtime: ServingProcess, origin: ConnectionRecord, facts: StreamFacts): RequestRecord {
  const { flags, received, sent, serverName, ...rest } = facts;
  const { destinationIp, door, identity, sourceIp } = origin;
  const denied = flags === 'rbac_deny_close';
  return {
    ...rest,
    runtime,
    origin,
    isStream: true,
    stream: { head: NO_HEAD, received, sent },
    request: new PlainRequest(
      {
        ...{ method: '', path: '', scheme: '', sourceIp, destinationIp, port: door.port, serverName },
        ...(identity === undefined ? {} : { identity }),
      },
      sourceIp,
    ),
    requestId: '',
    trace: null,
    verdict: null,
    status: 0,
    grpc: false,
    grpcStatus: -1,
    flags: denied ? '' : flags,
    details: denied ? flags : '',
    upstreamMs: -1,
    answer: null,
  };
}
