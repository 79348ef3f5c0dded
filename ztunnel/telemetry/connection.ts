// SPDX-License-Identifier: Apache-2.0
// What is told of one connection: the same record makes the metric labels and the access log line, so that they cannot disagree.
// Filled by the data-plane process that serves the connection.
import type { Service } from '#lib/mesh/service.ts';
import type { Party } from '#lib/proxy/telemetry/party.ts';

/** `response_flags` of metrics: why a connection failed, `-` when it did not. */
export type ResponseFlag =
  | '-'
  | 'DENY'
  | 'CONNECT'
  | 'TLS_FAILURE'
  | 'H2_HANDSHAKE_FAILURE'
  | 'NETWORK_POLICY'
  | 'IDENTITY_ERROR'
  | 'CERT_REVOKED';

/** How the bytes travelled: over mutual TLS, joined within this node, or in clear. */
export type Security = 'mutual_tls' | 'node_local' | 'none';

export interface ConnectionRecord {
  readonly direction: 'inbound' | 'outbound';
  /** 32 hexadecimal digits; from `traceparent` where there is one. */
  readonly traceId: string;
  readonly security: Security;
  /** `ip:port`. */
  readonly sourceAddress: string;
  readonly source: Party | undefined;
  /** SPIFFE URI proven by the peer or by the own certificate; '' for plaintext. */
  readonly sourceIdentity: string;
  /** Where the bytes really went: a waypoint's `ip:15008`, the pod's. */
  readonly destinationAddress: string;
  /** Authority of the CONNECT; '' without a tunnel. */
  readonly hboneAddress: string;
  readonly destination: Party | undefined;
  /** SPIFFE URI of the destination's WDS record, also for plaintext; '' when it is not known. */
  readonly destinationIdentity: string;
  readonly service: Pick<Service, 'name' | 'namespace' | 'hostname'> | undefined;
}

/** How it ended. */
export interface ConnectionEnd {
  readonly flag: ResponseFlag;
  /** Text for the operator; '' when it ended well. */
  readonly error: string;
  /** From client to server, and back. */
  readonly receivedBytes: number;
  readonly sentBytes: number;
  readonly durationMs: number;
  /** What decided, when policy ended it. */
  readonly policy?: string;
  readonly rule?: number;
  readonly clause?: string;
  /** What dry-run policies would have done, in words. */
  readonly dryRun?: string;
}
