// SPDX-License-Identifier: Apache-2.0
// The messages between a proxy's main process and its data-plane processes that every proxy has; each program adds its own. They
// share memory for what is big or hot (mesh records, counters, log ring) and exchange these, one JSON text a datagram, for
// everything else. A message that a process does not know is a bug of ours, never of a peer's, since both ends start from the same
// build; it ends the process.
//
//   main                              worker
//   settings ───────────────────────▶        once, first
//            ◀─────────────────────── ready
//   revocations ────────────────────▶
//            ◀─────────────────────── identity-wanted    a connection waits for a certificate
//   identity | identity-failed ─────▶
//   identity-gone ──────────────────▶
//            ◀─────────────────────── series | series-gone
//   slots-free ─────────────────────▶                   what was counted there is kept; the slots may mean something else
//            ◀─────────────────────── tunnel-given       (+ a connection's descriptor) for a process that carries less
//   tunnel ─────────────────────────▶                   which gets it
//            ◀─────────────────────── held               once a second while somebody waits at a door
//            ◀─────────────────────── drained            nothing is left; main may end the worker

/** Name under which main passes the descriptor of the mesh store. */
export const STORE_MEMORY = 'store';
/** Name under which main passes the region in which processes tell how many tunnels they carry. */
export const SHARE_MEMORY = 'tunnels';

/** PEM texts: chain is leaf first without root. A later message for the same identity replaces it (rotation). */
export type IdentityMessage = {
  readonly kind: 'identity';
  readonly identity: string;
  readonly chain: string;
  readonly key: string;
  readonly roots: string;
};

/** Counter slots that follow each other: the first, and how many. */
export type SlotRun = readonly [first: number, count: number];

/** Of certificates: those of our own identities, and which of all hold no more. */
export type TrustMessage =
  | IdentityMessage
  | { readonly kind: 'identity-failed'; readonly identity: string; readonly reason: string }
  /** No workload of it is left here. */
  | { readonly kind: 'identity-gone'; readonly identity: string }
  /** All revocation lists, DER in base64, in the place of those before. */
  | { readonly kind: 'revocations'; readonly lists: readonly string[] };

export type CommonToWorker<Settings> =
  | { readonly kind: 'settings'; readonly settings: Settings }
  | TrustMessage
  /** With one descriptor: a connection that came to `door` of another process, which gives it away. */
  | { readonly kind: 'tunnel'; readonly door: string }
  /** Nobody reads these any more. */
  | { readonly kind: 'slots-free'; readonly runs: readonly SlotRun[] };

/** An address whose connections wait at a door for tunnels, since earlier ones ended badly. */
export interface HeldAddress {
  readonly address: string;
  /** Connections that wait now. */
  readonly waiting: number;
  /** RFC 3339. */
  readonly since: string;
  /** What its offences still count, and what the last was. */
  readonly offences: number;
  readonly reason: string;
}

export type CommonToMain =
  | { readonly kind: 'ready' }
  | { readonly kind: 'identity-wanted'; readonly identity: string }
  /** The series behind a counter slot, sent before its first count (`lib/loop`'s shared counters). */
  | {
      readonly kind: 'series';
      readonly slot: number;
      readonly name: string;
      readonly labels: Readonly<Record<string, string>>;
    }
  /** Nothing was counted for long in the series behind these slots, and nothing will be: they are forgotten. */
  | { readonly kind: 'series-gone'; readonly runs: readonly SlotRun[] }
  /** With one descriptor: process `to` carries less, and should have this connection. */
  | { readonly kind: 'tunnel-given'; readonly door: string; readonly to: number }
  /** Whose connections wait at this process's doors, in the place of what it said before. */
  | { readonly kind: 'held'; readonly list: readonly HeldAddress[] }
  | { readonly kind: 'drained' };
