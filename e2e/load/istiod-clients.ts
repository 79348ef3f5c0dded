// SPDX-License-Identifier: Apache-2.0
// Many node proxies in one process: each has a gRPC connection and a delta stream of its own, acknowledges everything
// and counts resources without decoding them. istiod-clients.ts TARGET COUNT
import { create, toBinary } from '@bufbuild/protobuf';
import { Client, type ClientDuplexStream, credentials } from '@grpc/grpc-js';
import { DeltaDiscoveryRequestSchema } from '#lib/proto/gen/discovery_pb.ts';
import { channelOptions } from '#lib/xds/client.ts';
import { makeNode } from '#lib/xds/node.ts';
import { ADDRESS_TYPE, AUTHORIZATION_TYPE } from '#lib/xds/resource.ts';
import { mark } from './istiod-mesh.ts';

/** What the parent may ask: connect again from nothing, or look for a marked change on this many streams. */
export type ClientsOrder =
  | { readonly kind: 'connect'; readonly expected: number; readonly count: number }
  | { readonly kind: 'seek'; readonly sequence: number; readonly streams: number };

export type ClientsNote =
  | { readonly kind: 'started' }
  | { readonly kind: 'snapshots'; readonly tookMs: number; readonly bytes: number; readonly firstMs: number }
  /** When each stream had it; monotonic ns. */
  | { readonly kind: 'found'; readonly sequence: number; readonly atNs: readonly string[] }
  | { readonly kind: 'failed'; readonly reason: string };

const target = process.argv[2]!;
const PATH = '/envoy.service.discovery.v3.AggregatedDiscoveryService/DeltaAggregatedResources';
const MARK_BYTES = mark(0).length;

interface Proxy {
  readonly index: number;
  readonly client: Client;
  readonly stream: ClientDuplexStream<Buffer, Buffer>;
  addresses: number;
  authorized: boolean;
  done: boolean;
}

let proxies: Proxy[] = [];
/** Only this many streams are looked into. */
let watched = 0;
/** In ascending order. */
const seeking = new Map<number, { readonly streams: number; readonly atNs: string[]; readonly seen: Set<Proxy> }>();

/** What a response says, by walking its fields: 1 version, 2 resources, 4 type, 5 nonce. */
function walk(message: Buffer): { resources: number; typeUrl: string; nonce: string } {
  let [at, resources, typeUrl, nonce] = [0, 0, '', ''];
  while (at < message.length) {
    const field = message[at++]! >> 3;
    let length = 0;
    for (let shift = 0; ; shift += 7) {
      const byte = message[at++]!;
      length |= (byte & 127) << shift;
      if (byte < 128) break;
    }
    if (field === 2) resources++;
    else if (field === 4) typeUrl = message.toString('latin1', at, at + length);
    else if (field === 5) nonce = message.toString('latin1', at, at + length);
    at += length;
  }
  return { resources, typeUrl, nonce };
}

const pass = (bytes: Buffer): Buffer => bytes;
const request = (init: Parameters<typeof create<typeof DeltaDiscoveryRequestSchema>>[1]): Buffer =>
  Buffer.from(toBinary(DeltaDiscoveryRequestSchema, create(DeltaDiscoveryRequestSchema, init)));

function connect(count: number, expected: number): void {
  for (const { client, stream } of proxies) {
    stream
      .removeAllListeners('error')
      .on('error', () => undefined)
      .cancel();
    client.close();
  }
  const started = performance.now();
  let [open, bytes, firstMs] = [count, 0, 0];
  proxies = Array.from({ length: count }, (_, i) => {
    const client = new Client(target, credentials.createInsecure(), channelOptions({ target }));
    const stream = client.makeBidiStreamRequest(PATH, pass, pass);
    const proxy: Proxy = { index: i, client, stream, addresses: 0, authorized: false, done: false };
    const identity = { type: 'ztunnel', ip: '10.0.0.1', name: `ztunnel-${i}`, namespace: 'istio-system' };
    const node = makeNode(identity, 'cluster.local', { NODE_NAME: `node-${i}` });
    stream.write(request({ node, typeUrl: ADDRESS_TYPE }));
    stream.write(request({ typeUrl: AUTHORIZATION_TYPE }));
    stream.on('error', (error) => tell({ kind: 'failed', reason: String(error) }));
    stream.on('data', (message: Buffer) => {
      const atNs = seeking.size > 0 ? process.hrtime.bigint() : 0n;
      const { nonce, resources, typeUrl } = walk(message);
      stream.write(request({ typeUrl, responseNonce: nonce }));
      if (typeUrl === ADDRESS_TYPE) {
        proxy.addresses += resources;
        if (seeking.size > 0) seek(proxy, message, String(atNs));
      } else proxy.authorized = true;
      if (proxy.done) return;
      bytes += message.length;
      proxy.done = proxy.authorized && proxy.addresses >= expected;
      if (!proxy.done) return;
      if (open === count) firstMs = performance.now() - started;
      if (--open === 0) tell({ kind: 'snapshots', tookMs: performance.now() - started, bytes, firstMs });
    });
    return proxy;
  });
}

/** A change is there when the message has its mark, or that of a later one: only the newest state is sent. */
function seek(proxy: Proxy, message: Buffer, atNs: string): void {
  if (proxy.index >= watched) return;
  let newest = 0;
  for (let at = message.indexOf('seq-'); at !== -1; at = message.indexOf('seq-', at + MARK_BYTES)) {
    newest = Math.max(newest, Number(message.toString('latin1', at + 4, at + MARK_BYTES)));
  }
  for (const [sequence, wanted] of seeking) {
    if (sequence > newest) break;
    if (proxy.index >= wanted.streams || wanted.seen.has(proxy)) continue;
    wanted.seen.add(proxy);
    wanted.atNs.push(atNs);
    if (wanted.seen.size < wanted.streams) continue;
    seeking.delete(sequence);
    tell({ kind: 'found', sequence, atNs: wanted.atNs });
  }
}

process.on('message', (order: ClientsOrder) => {
  if (order.kind === 'connect') connect(order.count, order.expected);
  else {
    watched = order.streams;
    seeking.set(order.sequence, { streams: order.streams, atNs: [], seen: new Set() });
  }
});
process.on('disconnect', () => process.exit());
tell({ kind: 'started' });

function tell(note: ClientsNote): void {
  process.send!(note);
}
