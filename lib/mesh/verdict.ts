// SPDX-License-Identifier: Apache-2.0
//
// What decisions answer. Every verdict carries a stable reason code, for logs, metrics and tests; the sentence an
// operator reads is made from it by `reasonText`.

import type { Ip } from './ip.ts';
import type { Service } from './service.ts';
import type { Workload } from './workload.ts';

/** Why an outbound connection goes where it goes, or nowhere. */
export type OutboundReason =
  | 'service-waypoint'
  | 'workload-waypoint'
  | 'service-endpoint'
  | 'service-passthrough'
  | 'workload'
  | 'unknown-destination'
  | 'unknown-cluster-address'
  | 'unknown-waypoint'
  | 'waypoint-no-endpoint'
  | 'unknown-network-gateway'
  | 'no-network-gateway'
  | 'unknown-port'
  | 'no-endpoint'
  | 'no-healthy-endpoint'
  | 'no-local-endpoint'
  | 'no-endpoint-address';

/** Where to dial. Exactly one of `ip` and `hostname` is set; a host name is resolved by DNS first. */
export interface Target {
  readonly ip: Ip | undefined;
  readonly hostname: string;
  readonly port: number;
}

/** No tunnel: plain TCP. `passthrough` is the destination as dialled, with nothing known about it. */
export interface PlainVerdict {
  readonly kind: 'passthrough' | 'tcp';
  readonly reason: OutboundReason;
  readonly target: Target;
  readonly workload: Workload | undefined;
  readonly service: Service | undefined;
  /** What nothing is known of, as the control plane is asked for it: `<network>/<ip>`; '' when nothing is missing. */
  readonly missing: string;
}

/** One CONNECT stream over mutual TLS. */
export interface HboneVerdict {
  readonly kind: 'hbone';
  readonly reason: OutboundReason;
  /** The peer's tunnel port. */
  readonly target: Target;
  /** `:authority` of the CONNECT. */
  readonly authority: string;
  /** SPIFFE URIs of which the peer's certificate must carry one. */
  readonly identities: readonly string[];
  /** The peer: destination, or waypoint. */
  readonly workload: Workload;
  /** The service that was addressed, if any. */
  readonly service: Service | undefined;
  readonly waypoint: boolean;
  /** Peer is the destination itself, on the client's node, and nothing asks for a tunnel: sockets may be joined. */
  readonly sameNode: boolean;
  /** The destination behind the tunnel (not meaningful for a waypoint, where it is what the client dialled). */
  readonly destination: Target;
}

/** A tunnel in a tunnel, through another network's gateway. */
export interface DoubleHboneVerdict {
  readonly kind: 'double-hbone';
  readonly reason: OutboundReason;
  /** The gateway's tunnel port. */
  readonly target: Target;
  /** `<service hostname>:<service port>`, of both CONNECTs. */
  readonly authority: string;
  /** Accepted identities of the gateway, for the outer handshake. */
  readonly outerIdentities: readonly string[];
  /** Accepted identities of the far end, for the inner handshake. */
  readonly innerIdentities: readonly string[];
  /** The far endpoint or waypoint. */
  readonly workload: Workload;
  readonly gateway: Workload;
  readonly service: Service;
  readonly waypoint: boolean;
}

export interface DropVerdict {
  readonly kind: 'drop';
  readonly reason: OutboundReason;
  /** What could not be found or used (an address, a host name, a port). */
  readonly subject: string;
  readonly service: Service | undefined;
  /** What nothing is known of, as the control plane is asked for it: `<namespace>/<hostname>`; '' when nothing is missing. */
  readonly missing: string;
}

/**
 * An address inside the cluster's ranges that nobody has told us of: wait for the mesh to learn it, for as long as
 * the setting says, then ask again with `waited` set.
 */
export interface WaitVerdict {
  readonly kind: 'wait';
  readonly reason: 'unknown-cluster-address';
}

export type OutboundVerdict = PlainVerdict | HboneVerdict | DoubleHboneVerdict | DropVerdict | WaitVerdict;

/** Why an inbound CONNECT is taken or refused. */
export type InboundReason =
  | 'own-address'
  | 'application-tunnel'
  | 'attached-waypoint'
  | 'hostname'
  | 'not-our-destination'
  | 'unknown-hostname'
  | 'unknown-port'
  | 'illegal-port'
  | 'no-virtual-address';

export type InboundVerdict =
  | {
      readonly kind: 'deliver';
      readonly reason: InboundReason;
      readonly ip: Ip;
      readonly port: number;
      /** Set when the program wants a PROXY header first: the destination to write in it. */
      readonly proxyDestination: { readonly ip: Ip; readonly port: number } | undefined;
      readonly service: Service | undefined;
    }
  | {
      readonly kind: 'refuse';
      readonly reason: InboundReason;
      readonly status: 400 | 503;
      readonly subject: string;
      /** What nothing is known of, as the control plane is asked for it: `<network>/<ip>`; '' when nothing is missing. */
      readonly missing: string;
    };

/** Why a connection is let in or not. */
export type AccessReason = 'no-policy' | 'allowed' | 'denied' | 'not-allowed' | 'unknown-policy';

export interface AccessVerdict {
  readonly allow: boolean;
  readonly reason: AccessReason;
  /** The policy that decided, or the one that is missing; '' when none did. */
  readonly policy: string;
  /** Index of the rule that matched, −1 when none did. */
  readonly rule: number;
  /** The conditions of that rule that the connection met, in words, when it was denied by them; '' otherwise. */
  readonly clause: string;
  /** Dry-run policies and what they would have done. Empty unless there are any. */
  readonly dryRun: readonly DryRunOutcome[];
}

export interface DryRunOf<Action> {
  readonly policy: string;
  readonly action: Action;
  readonly matched: boolean;
}

export type DryRunOutcome = DryRunOf<'allow' | 'deny'>;
