// SPDX-License-Identifier: Apache-2.0
// What the waypoint's main process tells its data-plane processes and hears from them, beside what every proxy does
// (lib/proxy/control.ts).
//
//   main                              worker
//   config ─────────────────────────▶        the store moved on
//            ◀─────────────────────── listening
//   drain ──────────────────────────▶
import type { CommonToMain, CommonToWorker } from '#lib/proxy/control.ts';

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
  /** File of the authorities that servers outside the mesh are verified by. */
  readonly systemRoots: string;
  /** Where host names of endpoints are asked for, `ip`, `ip:port` or `[v6]:port`. */
  readonly resolvers: readonly string[];
  readonly accessLog: { readonly enabled: boolean; readonly format: LogFormat };
  readonly podName: string;
  /** Each try of a traced request is a span of its own. */
  readonly spansOfTries: boolean;
};

export type ToWorker =
  | CommonToWorker<WorkerSettings>
  | { readonly kind: 'config'; readonly version: number }
  | { readonly kind: 'drain'; readonly deadlineMs: number };

export type ToMain =
  | CommonToMain
  /** The request metrics of one set of labels, whose slots follow each other as REQUEST_SLOTS says. */
  | {
      readonly kind: 'request-series';
      readonly slot: number;
      readonly labels: Readonly<Record<string, string>>;
      /** Messages are counted, too. */
      readonly grpc: boolean;
      /** Labels of metrics that have others; null: the metric is not told. */
      readonly own?: Readonly<Record<string, Readonly<Record<string, string>> | null>>;
    }
  /** A listener is open on that port. */
  | { readonly kind: 'listening'; readonly listener: string; readonly port: number };
