// SPDX-License-Identifier: Apache-2.0
// What ztunnel's main process tells its data-plane processes ("workers") and hears from them, beside what every proxy does
// (lib/proxy/control.ts). Main knows the outside (xDS, CA, ZDS, admin); a worker knows sockets. Descriptors travel beside the
// datagram.
//
//   main                              worker
//   pod-add (+ netns descriptor) ────▶       listeners are opened in that namespace
//            ◀─────────────────────── pod-added | pod-failed
//            ◀─────────────────────── wanted             a connection waits for an unknown address or name
//   mesh ───────────────────────────▶        the shared store moved on: judge live inbound connections again
//   drain ──────────────────────────▶
import type { CommonToMain, CommonToWorker } from '#lib/proxy/control.ts';

/** One enrolled pod, as the CNI agent announced it over ZDS. */
export type PodInfo = {
  /** Kubernetes pod UID (ZDS uid), not the workload uid of WDS. */
  readonly uid: string;
  readonly name: string;
  readonly namespace: string;
  readonly serviceAccount: string;
  /** False where `ambit.dev/same-node: tunnel` on the pod's namespace forces the tunnel. Default true. */
  readonly sameNode?: boolean;
  /** This proxy itself: only tunnels to it are served, in its own namespace. */
  readonly self?: boolean;
};

/** How traffic between two pods of this node travels: joined, or through a tunnel like any other. */
export type SameNodeMode = 'join' | 'tunnel';

/** `auto`: try to keep the client's address and go on without when the kernel refuses. `ENABLE_ORIG_SRC`. */
export type OriginalSource = 'auto' | 'required' | 'off';

/** Everything a worker must know before the first pod. Durations in milliseconds, sizes in bytes. */
export type WorkerSettings = {
  readonly nodeName: string;
  readonly network: string;
  readonly clusterId: string;
  readonly clusterDomain: string;
  readonly trustDomain: string;
  readonly ipv6: boolean;
  /** SO_MARK for every socket made for a pod; 0 sets none (dedicated mode). */
  readonly mark: number;
  readonly ports: { readonly outbound: number; readonly inbound: number; readonly hbone: number; readonly dns: number };
  /** Port on the pod's loopback where applications say by SOCKS5 or HTTP CONNECT where they want to go; 0 opens none. */
  readonly explicitPort: number;
  readonly reusePort: boolean;
  readonly originalSource: OriginalSource;
  readonly keepalive: { readonly idleMs: number; readonly intervalMs: number; readonly probes: number } | null;
  readonly userTimeout: boolean;
  readonly http2: { readonly streamWindow: number; readonly connectionWindow: number; readonly frameSize: number };
  readonly pool: { readonly streamsPerConnection: number; readonly idleMs: number };
  /** TLS 1.2 beside 1.3, and OpenSSL's list of key exchange groups; null leaves its own. */
  readonly tls: { readonly tls12: boolean; readonly groups: string | null };
  readonly connectTimeoutMs: number;
  /** How long a peer may take to answer a CONNECT. */
  readonly connectReplyMs: number;
  /** Endpoints tried for one connection while no byte has reached an application; 1 switches the retry off. */
  readonly connectAttempts: number;
  readonly responseBaggage: boolean;
  readonly localhostAppTunnel: boolean;
  readonly sameNode: SameNodeMode;
  /** An address inside `clusterRanges` that WDS does not know yet: wait, then pass or refuse. */
  readonly unknownAddress: {
    readonly clusterRanges: readonly string[];
    readonly waitMs: number;
    readonly outcome: 'pass' | 'refuse';
  };
  /** Nothing is known but what was asked for: what a connection meets and does not know is asked of the control plane first. */
  readonly onDemand: boolean;
  /** How long the record of a pod of ours may take to arrive, or to come back. */
  readonly recordWaitMs: number;
  /** How long a connection is held for a policy that is referenced and not received; then it is refused. */
  readonly unknownPolicyWaitMs: number;
  /** Connections a second whose decisions are kept with their proofs; 0 keeps none. */
  readonly proofsPerSecond: number;
  /** Bytes that stopped readers may pin in one worker before the worst stream is reset. */
  readonly byteBudget: number;
  /** Connections a worker serves at most; null derives it from the descriptor limit. */
  readonly maxConnections: number | null;
  /** Of one pod in this process, each second: connections it opens or is sent, and TLS handshakes of others with it; 0 is no limit. */
  readonly podLimits: { readonly connections: number; readonly handshakes: number };
  readonly dns: {
    readonly enabled: boolean;
    /** Upstream resolvers from ztunnel's own resolv.conf, `ip` or `ip:port` or `[v6]:port`. */
    readonly servers: readonly string[];
    /** Until the next resolver is asked. */
    readonly tryMs: number;
    readonly preferredServiceNamespace: string | null;
    /** Search domains of dedicated mode; null computes them from the client's namespace. */
    readonly searchDomains: readonly string[] | null;
  };
  /** Reading requests along (`ambit.dev/http-metrics`): whose, with how much of a processor, on how many connections at once. */
  readonly httpMetrics: {
    readonly mode: 'labelled' | 'all' | 'off';
    readonly cpuShare: number;
    readonly maxConnections: number;
  };
  readonly accessLog: {
    readonly enabled: boolean;
    readonly format: 'plain' | 'json';
    readonly opened: boolean;
    /** Tell of every DNS question. */
    readonly dns: boolean;
  };
};

/** A live connection, as `/config_dump` and `ambit ztunnel-config connections` list it. */
export type ConnectionInfo = {
  readonly pod: string;
  readonly direction: 'inbound' | 'outbound';
  readonly src: string;
  readonly originalDst: string | null;
  readonly actualDst: string;
  readonly protocol: 'TCP' | 'HBONE' | 'DOUBLEHBONE';
  readonly nodeLocal: boolean;
  readonly ageMs: number;
};

/** A connection that has ended, as `/debug/connections` lists it. Empty texts are not known. */
export type RecentConnection = {
  /** RFC 3339. */
  readonly ended: string;
  readonly direction: 'inbound' | 'outbound';
  /** `response_flags` of the metrics. */
  readonly flag: string;
  readonly error: string;
  readonly durationMs: number;
  /** From client to server, and back. */
  readonly receivedBytes: number;
  readonly sentBytes: number;
  readonly traceId: string;
  readonly security: string;
  readonly src: string;
  readonly srcWorkload: string;
  readonly srcIdentity: string;
  readonly dst: string;
  readonly dstWorkload: string;
  readonly dstIdentity: string;
  readonly dstService: string;
  readonly hboneAddress: string;
  readonly policy?: string;
  /** Counted from one. */
  readonly rule?: number;
  readonly clause?: string;
  /** Why it went where it went and was let in or not; empty when it was not recorded. */
  readonly proof: readonly string[];
};

export type ToWorker =
  | CommonToWorker<WorkerSettings>
  /** With one descriptor, the pod's network namespace; without any, the process's own (dedicated mode). */
  | { readonly kind: 'pod-add'; readonly pod: PodInfo }
  | { readonly kind: 'pod-delete'; readonly uid: string }
  /** The shared store holds `version`; `policies` says whether any authorization or its attachment may have changed. */
  | { readonly kind: 'mesh'; readonly version: number; readonly policies: boolean }
  /** The control plane has nothing by a name that was wanted. */
  | { readonly kind: 'absent'; readonly name: string }
  | { readonly kind: 'access-log'; readonly enabled: boolean; readonly opened: boolean; readonly dns: boolean }
  | { readonly kind: 'drain'; readonly mode: 'graceful' | 'immediate'; readonly deadlineMs: number }
  | { readonly kind: 'list-connections'; readonly request: number }
  | { readonly kind: 'list-recent'; readonly request: number }
  /** Takes a CPU profile for so long. */
  | { readonly kind: 'profile'; readonly request: number; readonly ms: number; readonly frequency: number };

export type ToMain =
  | CommonToMain
  | { readonly kind: 'pod-added'; readonly uid: string }
  | { readonly kind: 'pod-failed'; readonly uid: string; readonly reason: string }
  | { readonly kind: 'pod-deleted'; readonly uid: string }
  /** `network/ip` or `namespace/hostname` that no record knows; main asks WDS on demand where that is on. */
  | { readonly kind: 'wanted'; readonly name: string }
  /** Parts of one answer share `request`; `last` closes it. */
  | {
      readonly kind: 'connections';
      readonly request: number;
      readonly list: readonly ConnectionInfo[];
      readonly last: boolean;
    }
  | { readonly kind: 'recent'; readonly request: number; readonly list: readonly RecentConnection[] }
  /** The text of a `.cpuprofile` file. */
  | { readonly kind: 'profile'; readonly request: number; readonly profile: string };

/** Connections in one `connections` message, so that a datagram stays under 64 KiB. */
export const CONNECTIONS_PER_MESSAGE = 128;
