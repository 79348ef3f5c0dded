// SPDX-License-Identifier: Apache-2.0
// The messages between a proxy's main process and its data-plane processes that every proxy has; each program adds its own. They
// share memory for what is big or hot (mesh records, counters, log ring) and exchange these, one JSON text a datagram, for
// everything else. A message that a process does not know is a bug of ours, never of a peer's, since both ends start from the same
// build; it ends the process.
//
//   main                              worker
//   settings ───────────────────────▶        once, first
//            ◀─────────────────────── ready
//            ◀─────────────────────── identity-wanted    a connection waits for a certificate
//   identity | identity-failed ─────▶
//            ◀─────────────────────── drained            nothing is left; main may end the worker

/** PEM texts: chain is leaf first without root. A later message for the same identity replaces it (rotation). */
export type IdentityMessage = {
  readonly kind: 'identity';
  readonly identity: string;
  readonly chain: string;
  readonly key: string;
  readonly roots: string;
};

export type CommonToWorker =
  | IdentityMessage
  | { readonly kind: 'identity-failed'; readonly identity: string; readonly reason: string };

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
  | { readonly kind: 'drained' };
