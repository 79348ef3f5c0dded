// SPDX-License-Identifier: Apache-2.0
// Steady TCP connections, and a probe that opens a new one every 20 ms; tells as JSON lines what was cut and which
// probe failed. steady.ts server ADDRESS PORT | client HOST PORT COUNT
import { connect, createServer } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';

export type SteadyLine =
  | { readonly kind: 'open'; readonly at: number; readonly count: number }
  | { readonly kind: 'cut'; readonly at: number; readonly id: number; readonly error: string }
  | { readonly kind: 'probe'; readonly at: number; readonly ok: boolean; readonly ms: number };

const PROBE_WITHIN_MS = 20_000;

const [role, host = '', port = '', count = '0'] = process.argv.slice(2);
if (role === 'server') {
  createServer((socket) => socket.on('error', () => socket.destroy()).pipe(socket)).listen(Number(port), host, () =>
    console.log('up'),
  );
} else if (role === 'client') {
  await hold(Number(count));
  await probeForEver();
}

function tell(line: SteadyLine): void {
  process.stdout.write(`${JSON.stringify(line)}\n`);
}

async function hold(wanted: number): Promise<void> {
  await Promise.all(Array.from({ length: wanted }, (_, id) => holdOne(id)));
  tell({ kind: 'open', at: Date.now(), count: wanted });
}

function holdOne(id: number): Promise<void> {
  return new Promise((resolve) => {
    const socket = connect(Number(port), host);
    const pinging = setInterval(() => socket.write('x'), 50);
    let error = 'ended';
    socket.once('data', () => resolve());
    socket.on('error', (cause) => {
      error = cause.message;
    });
    socket.on('close', () => {
      clearInterval(pinging);
      tell({ kind: 'cut', at: Date.now(), id, error });
    });
    socket.resume();
  });
}

async function probeForEver(): Promise<never> {
  for (;;) {
    const began = Date.now();
    void probe().then((ok) => tell({ kind: 'probe', at: began, ok, ms: Date.now() - began }));
    await delay(20);
  }
}

function probe(): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(Number(port), host, () => socket.write('x'));
    socket.setTimeout(PROBE_WITHIN_MS, () => socket.destroy());
    socket.once('data', () => {
      resolve(true);
      socket.destroy();
    });
    socket.on('error', () => resolve(false)).on('close', () => resolve(false));
  });
}
