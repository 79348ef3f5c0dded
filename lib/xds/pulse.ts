// SPDX-License-Identifier: Apache-2.0
// A server's pulse: it pings its clients' connections, says in its headers how often, and a client that hears nothing for
// longer dials anew. TCP finds a dead link by itself only where nobody stands between (a gateway answers its probes for a
// server that is gone), only while nothing waits to be acknowledged (then it tries again after ever longer pauses: a cut
// of 13 s is followed by 12 s more), and a client's own pings may not come more often than a foreign server allows.
import type { Metadata } from '@grpc/grpc-js';
import type { Clock } from '#lib/kit/clock.ts';

/** How often a server pings. A ping and its answer are 17 bytes each, and nothing above HTTP/2 hears of them. */
export const PULSE_MS = 3_000;
/** In the headers of a server's answer: how often it pings, ms. */
const HEADER = 'ambit-pulse-ms';
/** A connection is given up after so many pings have not come. */
const MISSED = 3;
/** How often a client looks; each look is a turn of its loop, so that a client that was busy itself has read meanwhile. */
const LOOK_MS = 1_000;

/** Says how often the server pings. */
export function announcePulse(headers: Metadata, everyMs: number): void {
  headers.set(HEADER, String(everyMs));
}

/** How often the server says that it pings, ms; undefined of one that says nothing, or nonsense. */
export function announcedPulse(headers: Metadata): number | undefined {
  const everyMs = Number(headers.get(HEADER)[0] ?? Number.NaN);
  return everyMs >= LOOK_MS && everyMs <= 60_000 ? everyMs : undefined;
}

/** What is listened to: a socket, which counts its bytes. */
export interface Heard {
  readonly bytesRead: number;
}

/**
 * Listens to a connection of a server that pings `everyMs`; calls `onSilence` once when it has been silent for too long.
 * The returned function ends it.
 */
export function listenFor(heard: Heard, everyMs: number, clock: Clock, onSilence: () => void): () => void {
  const most = Math.ceil((everyMs * MISSED) / LOOK_MS);
  let bytes = heard.bytesRead;
  let silent = 0;
  let cancel = (): void => {};
  const look = (): void => {
    silent = heard.bytesRead === bytes ? silent + 1 : 0;
    bytes = heard.bytesRead;
    if (silent >= most) onSilence();
    else cancel = clock.after(LOOK_MS, look);
  };
  cancel = clock.after(LOOK_MS, look);
  return () => cancel();
}
