// SPDX-License-Identifier: Apache-2.0
// The cluster DNS of a playground: UDP and TCP, answers from the API's services, hands other names to UPSTREAM.
//   CLUSTER_DOMAIN (cluster.local)   DNS_LISTEN ([::]:53)   UPSTREAM (none: other names do not exist here)
import { createSocket } from 'node:dgram';
import { createServer } from 'node:http';
import { createServer as createTcpServer } from 'node:net';
import { decode, encode, type Packet } from 'dns-packet';
import { systemClock } from '#lib/kit/clock.ts';
import { createLogger } from '#lib/kit/log.ts';
import { runMain } from '#lib/kit/main.ts';
import { connectKube } from '#lib/kube/connect.ts';
import { Informer } from '#lib/kube/informer.ts';
import { ENDPOINT_SLICE, SERVICE } from '#lib/kube/kind.ts';
import { answer } from './answer.ts';
import { type Zone, zoneOf } from './zone.ts';

const AA = 1 << 10;
const RA = 1 << 7;
const RD = 1 << 8;
const TC = 1 << 9;
const RCODE = { NOERROR: 0, NXDOMAIN: 3, REFUSED: 5 } as const;
const PLAIN_UDP_BYTES = 512;
const UPSTREAM_MS = 2000;

await runMain(async (_argv, env) => {
  const log = createLogger({ scope: 'dns' });
  const domain = env['CLUSTER_DOMAIN'] ?? 'cluster.local';
  const upstream = env['UPSTREAM'] ?? '';
  const [, host = '::', port = '53'] = /^\[?([^\]]*)\]?:(\d+)$/.exec(env['DNS_LISTEN'] ?? '[::]:53') ?? [];

  const client = connectKube({ kubeconfig: env['KUBECONFIG'] });
  const options = { client, clock: systemClock, random: Math.random, log };
  const services = new Informer({ ...options, kind: SERVICE });
  const slices = new Informer({ ...options, kind: ENDPOINT_SLICE });
  let zone: Zone | undefined;
  for (const informer of [services, slices]) {
    informer.subscribe(() => {
      zone = undefined;
    });
    informer.start();
  }
  await Promise.all([services.whenSynced(), slices.whenSynced()]);

  const respond = async (query: Buffer): Promise<Packet | Buffer | undefined> => {
    const { id, type, questions, flags = 0 } = decode(query);
    const question = questions?.[0];
    if (type !== 'query' || question === undefined) return undefined;
    zone ??= zoneOf(services.values(), slices.values(), domain);
    const reply = answer(zone, domain, question);
    const base = { type: 'response', id: id ?? 0, questions: [question] } satisfies Packet;
    const common = RA | (flags & RD);
    if (reply.kind === 'answer') return { ...base, flags: AA | common | RCODE[reply.rcode], answers: reply.answers };
    return (upstream === '' ? undefined : await ask(upstream, query)) ?? { ...base, flags: common | RCODE.REFUSED };
  };

  const udp = createSocket({ type: host.includes(':') ? 'udp6' : 'udp4', ipv6Only: false });
  udp.on('message', (query, from) => {
    respond(query).then(
      (packet) => {
        if (packet === undefined) return;
        const bytes = Buffer.isBuffer(packet) ? packet : encode(packet);
        const fits = bytes.length <= PLAIN_UDP_BYTES || Buffer.isBuffer(packet);
        udp.send(
          fits ? bytes : encode({ ...packet, flags: (packet.flags ?? 0) | TC, answers: [] }),
          from.port,
          from.address,
        );
      },
      (error: unknown) => log.debug('bad query', { from: from.address, error: String(error) }),
    );
  });
  udp.bind(Number(port), host);

  createTcpServer((socket) => {
    let buffered = Buffer.alloc(0);
    socket.setTimeout(5000, () => socket.destroy()).on('error', () => socket.destroy());
    socket.on('data', (chunk) => {
      buffered = Buffer.concat([buffered, chunk as Buffer]);
      while (buffered.length >= 2 && buffered.length >= 2 + buffered.readUInt16BE(0)) {
        const query = buffered.subarray(2, 2 + buffered.readUInt16BE(0));
        buffered = buffered.subarray(2 + query.length);
        respond(query).then(
          (packet) => {
            if (packet === undefined) return socket.destroy();
            const bytes = Buffer.isBuffer(packet) ? packet : encode(packet);
            return socket.write(Buffer.concat([lengthOf(bytes), bytes]));
          },
          () => socket.destroy(),
        );
      }
    });
  }).listen(Number(port), host);

  // Readiness, as the kube-dns Deployment's probe asks for it.
  createServer((_request, response) => response.end('OK\n')).listen(8181);
  log.info('serving', { domain, port: Number(port), upstream });
  await new Promise<void>((resolve) => process.once('SIGTERM', () => resolve()));
  return 0;
});

function lengthOf(bytes: Buffer): Buffer {
  const length = Buffer.alloc(2);
  length.writeUInt16BE(bytes.length);
  return length;
}

/** Asks one resolver over UDP; undefined when it does not answer in time. */
function ask(resolver: string, query: Buffer): Promise<Buffer | undefined> {
  return new Promise((resolve) => {
    const socket = createSocket(resolver.includes(':') ? 'udp6' : 'udp4');
    const done = (reply?: Buffer): void => {
      clearTimeout(timer);
      socket.close();
      resolve(reply);
    };
    const timer = setTimeout(done, UPSTREAM_MS);
    socket.once('message', done).once('error', () => done());
    socket.send(query, 53, resolver);
  });
}
