// SPDX-License-Identifier: Apache-2.0
// What a CONNECT that came to a pod asks for: where it leads within the pod, who sends it and whom it is counted for, or the status it
// is refused with (facts of the protocol, section 1.7, checks 1, 2, 4 and 5).
import type { InboundFlow } from '#lib/mesh/flow.ts';
import { type Authority, resolveInbound, servedService } from '#lib/mesh/inbound.ts';
import { type Ip, parseIp } from '#lib/mesh/ip.ts';
import type { Recorder } from '#lib/mesh/proof.ts';
import { inboundText } from '#lib/mesh/reason.ts';
import type { InboundVerdict } from '#lib/mesh/verdict.ts';
import type { Party } from '#lib/proxy/telemetry/party.ts';
import { partyOfBaggage, type WorkloadFacts } from '#lib/proxy/worker/workload-facts.ts';
import type { HeaderBlock } from '#lib/wire/h2/headers.ts';
import { HboneStatus, parseAuthority, parseForwarded, parseTraceparent } from '#lib/wire/hbone.ts';
import type { ConnectionRecord } from '../telemetry/connection.ts';
import type { Runtime } from '../worker/runtime.ts';
import { traceIdOf } from '../worker/trace-ids.ts';

/** The TCP peer and the pod's address of a tunnel, known once for all its streams. */
export interface TunnelEnds {
  readonly peerIp: Ip;
  readonly peerPort: number;
  readonly localIp: Ip;
  /** `ip:port` of both, as logs tell them. */
  readonly peerText: string;
  readonly localText: string;
}

export type Delivery = Extract<InboundVerdict, { kind: 'deliver' }>;

export interface Incoming {
  readonly kind: 'deliver';
  readonly delivery: Delivery;
  readonly flow: InboundFlow;
  readonly record: ConnectionRecord;
  /** Host name of the service the sender addressed, '' when it told none. */
  readonly forwardedHost: string;
}

export interface Refusal {
  readonly kind: 'refuse';
  readonly status: number;
  readonly error: string;
  /** What nothing is known of, as the control plane is asked for it; '' when nothing is missing. */
  readonly missing: string;
}

/** A pod's ports are few, and each CONNECT names one. */
const MAX_AUTHORITIES = 1024;
const authorities = new Map<string, Authority>();

/** `undefined` for what is no CONNECT to a host and port. */
export function authorityOf(headers: HeaderBlock): Authority | undefined {
  if (!headers.isTunnel) return undefined;
  const { authority: text } = headers;
  const known = authorities.get(text);
  if (known !== undefined) return known;
  const authority = readAuthority(text);
  if (authority === undefined) return undefined;
  if (authorities.size >= MAX_AUTHORITIES) authorities.clear();
  authorities.set(text, authority);
  return authority;
}

function readAuthority(text: string): Authority | undefined {
  const parsed = parseAuthority(text);
  if (parsed === undefined) return undefined;
  return parsed.kind === 'address'
    ? { ip: parseIp(parsed.ip), hostname: '', port: parsed.port }
    : { ip: undefined, hostname: parsed.hostname, port: parsed.port };
}

export function badConnect(headers: HeaderBlock): Refusal {
  const error = `bad CONNECT: ${headers.method} ${headers.authority}`;
  return { kind: 'refuse', status: HboneStatus.badRequest, error, missing: '' };
}

/** @param peerUri who the tunnel's peer proved to be */
export function readConnect(
  runtime: Runtime,
  local: WorkloadFacts,
  ends: TunnelEnds,
  peerUri: string,
  authority: Authority,
  headers: HeaderBlock,
  recorder: Recorder,
): Incoming | Refusal {
  const { network } = runtime.settings;
  const request = { local: local.workload, connectedIp: ends.localIp, authority, network };
  const delivery = resolveInbound(runtime.mesh, request, recorder);
  if (delivery.kind === 'refuse') {
    return { kind: 'refuse', status: delivery.status, error: inboundText(delivery), missing: delivery.missing };
  }
  const forwarded = headers.get('forwarded');
  const forwardedHost = forwarded === undefined ? '' : parseForwarded(forwarded).host;
  const traceparent = headers.get('traceparent');
  const trace = traceparent === undefined ? undefined : parseTraceparent(traceparent)?.traceId;
  const { workload } = local;
  return {
    kind: 'deliver',
    delivery,
    forwardedHost,
    flow: {
      sourceIp: ends.peerIp,
      identity: runtime.memory.identity(peerUri),
      destinationIp: delivery.ip,
      destinationPort: delivery.port,
    },
    record: {
      direction: 'inbound',
      traceId: trace ?? traceIdOf(runtime.traceIds.next()),
      security: 'mutual_tls',
      sourceAddress: ends.peerText,
      source: senderOf(runtime, ends.peerIp, headers),
      sourceIdentity: peerUri,
      destinationAddress: ends.localText,
      hboneAddress: headers.authority,
      destination: local.party,
      destinationIdentity: local.uri,
      service: delivery.service ?? servedService(runtime.mesh, workload, delivery.port, forwardedHost),
    },
  };
}

/**
 * Who sends: the record of the peer's address beats what baggage says. Behind a gateway the address is the gateway's and says nothing;
 * then baggage alone counts.
 */
function senderOf({ mesh, memory, settings }: Runtime, peerIp: Ip, headers: HeaderBlock): Party | undefined {
  const { network, responseBaggage } = settings;
  const forwarded = headers.get('x-forwarded-network');
  const foreign = forwarded !== undefined && forwarded.toLowerCase() !== network.toLowerCase();
  const known = foreign ? undefined : mesh.workloadByAddress(network, peerIp);
  if (known !== undefined) return memory.of(known).party;
  return responseBaggage ? partyOfBaggage(headers.all('baggage')) : undefined;
}
