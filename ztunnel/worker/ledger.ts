// SPDX-License-Identifier: Apache-2.0
// The books of one connection: opened at accept, closed exactly once; only there metrics, access log and failure flag are
// written. It also gives back the place that whoever made it
// took for the connection in the worker's limit.
//
//   accepted ──▶ classified ──▶ closed
//       └── early denial ────────┘
import { NO_PROOF, type Recorder, recordProof } from '#lib/mesh/proof.ts';
import { dryRunText } from '#lib/mesh/reason.ts';
import type { AccessVerdict } from '#lib/mesh/verdict.ts';
import type { ByteTap } from '#lib/net/tap.ts';
import type { JoinOwner } from '#lib/net/tunnel-stream.ts';
import { REVOKED } from '#lib/proxy/worker/revocation-check.ts';
import type { ConnectionEnd, ConnectionRecord, ResponseFlag } from '../telemetry/connection.ts';
import type { Runtime } from './runtime.ts';
import type { Series } from './series.ts';

/** Told when the books are closed; nothing of the connection is left by then. */
export interface LedgerOwner {
  onOver(): void;
}

/** Ends that are nobody's fault count as closed, not as failed. */
export const DRAINED = 'connection closed due to connection drain';
export const POLICY_CHANGED = 'connection closed due to policy change';
export const WORKLOAD_GONE = 'connection closed: its workload is no longer part of the mesh';

export class Ledger implements JoinOwner {
  readonly direction: 'inbound' | 'outbound';
  /** Monotonic ms. */
  readonly openedAt: number;
  record: ConnectionRecord | null = null;
  closed = false;
  readonly #runtime: Runtime;
  readonly #owner: LedgerOwner;
  /** Whether the joined socket that "sends out" is the client's: outbound it is, inbound it is the server's. */
  readonly #outIsReceived: boolean;
  // Doubles from the start (-0 is one): counters that change their representation under load cost a deoptimisation (trap 22).
  #received = -0;
  #sent = -0;
  #series: Series | null = null;
  #dryRun = '';
  #proof: Recorder | null = null;
  #denied: AccessVerdict | undefined;

  constructor(runtime: Runtime, direction: 'inbound' | 'outbound', outIsReceived: boolean, owner: LedgerOwner) {
    this.#runtime = runtime;
    this.direction = direction;
    this.#outIsReceived = outIsReceived;
    this.#owner = owner;
    this.openedAt = runtime.loop.now;
    runtime.telemetry.socket(direction, 1);
  }

  /** What is known before it can be counted: where the far end says who it is, that is worth waiting for. */
  expect(record: ConnectionRecord): void {
    if (!this.closed) this.record = record;
  }

  get ageMs(): number {
    return Math.round(this.#runtime.loop.now - this.openedAt);
  }

  /** What the decisions of this connection write their steps into; it may keep none. */
  proof(): Recorder {
    this.#proof ??= this.#runtime.recent.recorder();
    return this.#proof;
  }

  /** The same, keeping steps from now on in any case. */
  prove(): Recorder {
    if (this.#proof?.enabled !== true) this.#proof = recordProof();
    return this.#proof;
  }

  /** A verdict of now denies what was let in; the join is about to be cut for it. */
  blame(verdict: AccessVerdict | undefined): void {
    this.#denied = verdict;
  }

  /** Source and destination are known. Called again when another endpoint is tried: then only what is logged changes. */
  open(record: ConnectionRecord): void {
    if (this.closed) return;
    this.record = record;
    this.#series ??= this.#runtime.telemetry.opened(record);
  }

  /** Policy has judged it; what dry-run policies would have done is told at the end. */
  judged({ dryRun }: AccessVerdict): void {
    if (dryRun.length > 0) this.#dryRun = dryRunText(dryRun);
  }

  tap(): ByteTap | null {
    return this.record === null ? null : this.#runtime.httpMetrics.tap(this.record, this.#outIsReceived);
  }

  onBytesOut(n: number): void {
    if (this.#outIsReceived) this.#addReceived(n);
    else this.#addSent(n);
  }

  onBytesIn(n: number): void {
    if (this.#outIsReceived) this.#addSent(n);
    else this.#addReceived(n);
  }

  onJoinEnd(error: string): void {
    if (error === POLICY_CHANGED || error === WORKLOAD_GONE) this.close('DENY', error, this.#denied);
    else if (error === REVOKED) this.close('CERT_REVOKED', error);
    else this.close(error === '' || error === DRAINED ? '-' : 'CONNECT', error);
  }

  /** Ends after `open`. */
  close(flag: ResponseFlag, error: string, verdict?: AccessVerdict): void {
    if (this.closed) return;
    this.closed = true;
    if (this.record !== null) {
      this.#series ??= this.#runtime.telemetry.opened(this.record);
      const end = this.#end(flag, error, verdict);
      this.#runtime.telemetry.closed(this.record, this.#series, end);
      this.#runtime.recent.ended(this.record, end, this.#proof ?? NO_PROOF);
    }
    this.#leave();
  }

  /** Ends before anything was known of it. */
  denyEarly(source: string, destination: string, error: string): void {
    if (this.closed) return;
    this.closed = true;
    const { recent, telemetry } = this.#runtime;
    telemetry.earlyDeny(this.direction, source, destination, error);
    recent.failedEarly(this.direction, source, destination, this.#end('-', error, undefined), this.#proof ?? NO_PROOF);
    this.#leave();
  }

  #end(flag: ResponseFlag, error: string, verdict: AccessVerdict | undefined): ConnectionEnd {
    return {
      flag,
      error,
      receivedBytes: this.#received,
      sentBytes: this.#sent,
      durationMs: this.#runtime.loop.now - this.openedAt,
      dryRun: this.#dryRun,
      ...(verdict === undefined ? {} : { policy: verdict.policy, rule: verdict.rule, clause: verdict.clause }),
    };
  }

  #addReceived(n: number): void {
    this.#received += n;
    if (this.#series !== null) this.#runtime.telemetry.add(this.#series.received, n);
  }

  #addSent(n: number): void {
    this.#sent += n;
    if (this.#series !== null) this.#runtime.telemetry.add(this.#series.sent, n);
  }

  #leave(): void {
    this.#runtime.admission.leave();
    this.#runtime.telemetry.socket(this.direction, -1);
    this.#owner.onOver();
  }
}
