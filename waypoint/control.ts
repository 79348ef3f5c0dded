// SPDX-License-Identifier: Apache-2.0
// The messages between the waypoint's main process and its data-plane processes. They share memory for what is big or hot
// (mesh and layer-7 records, counters, log ring); everything else is one JSON text a datagram. A message that a process does not
// know is a bug of ours, since both ends start from the same build; it ends the worker.
//
//   main                              worker
//   settings ───────────────────────▶        once, first
//            ◀─────────────────────── ready
//   config ─────────────────────────▶        the store moved on
//            ◀─────────────────────── identity-wanted
//   identity | identity-failed ─────▶
//   drain ──────────────────────────▶
//            ◀─────────────────────── drained

export type LogFormat = 'text' | 'json';

/** Everything a worker must know first. Durations in milliseconds, sizes in bytes. */
export type WorkerSettings = {
  /** `<namespace>/<name>` of the Gateway this is a proxy of. */
  readonly gateway: string;
  /** SPIFFE URI of this proxy. */
  readonly identity: string;
  readonly trustDomain: string;
  readonly network: string;
  /** Own address; '' when it is not known. */
  readonly ip: string;
  readonly clusterId: string;
  /** This proxy's own place, for near endpoints. */
  readonly nodeName: string;
  /** Address of the HBONE listener; port 0 takes any. */
  readonly hbonePort: number;
  /** Address that listeners bind. */
  readonly bind: string;
  /** Gateways' listeners take any free port instead of their own, for tests. */
  readonly anyPort: boolean;
  readonly connectTimeoutMs: number;
  /** Between two requests of a client's connection. */
  readonly idleMs: number;
  readonly headMs: number;
  readonly stallMs: number;
  readonly maxConnections: number | null;
  readonly byteBudget: number;
  readonly accessLog: { readonly enabled: boolean; readonly format: LogFormat };
};

export type ToWorker =
  | { readonly kind: 'settings'; readonly settings: WorkerSettings }
  | { readonly kind: 'config'; readonly version: number }
  | {
      readonly kind: 'identity';
      readonly identity: string;
      readonly chain: string;
      readonly key: string;
      readonly roots: string;
    }
  | { readonly kind: 'identity-failed'; readonly identity: string; readonly reason: string }
  | { readonly kind: 'drain'; readonly deadlineMs: number };

export type ToMain =
  | { readonly kind: 'ready' }
  | { readonly kind: 'identity-wanted'; readonly identity: string }
  /** The series behind a run of counter slots: `names[i]` with `labels` is slot `slot + i`. */
  | {
      readonly kind: 'series';
      readonly slot: number;
      readonly name: string;
      readonly labels: Readonly<Record<string, string>>;
    }
  /** The request metrics of one set of labels, whose slots follow each other as REQUEST_SLOTS says. */
  | { readonly kind: 'request-series'; readonly slot: number; readonly labels: Readonly<Record<string, string>> }
  /** A listener is open on that port. */
  | { readonly kind: 'listening'; readonly listener: string; readonly port: number }
  | { readonly kind: 'drained' };
