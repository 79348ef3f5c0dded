// SPDX-License-Identifier: Apache-2.0
// Processor time of one request through the waypoint without the kernel: real connections, exchange, routes and counters
// between two links that only take bytes. [ROUTES=N] node --max-semi-space-size=16 waypoint/path/exchange.bench.ts [SECONDS]
import { randomFillSync } from 'node:crypto';
import { Arena } from '#lib/linux/arena.ts';
import { Loop } from '#lib/loop/loop.ts';
import { Counters } from '#lib/loop/shared/counters.ts';
import { policySet } from '#lib/mesh/http/authorize-request.ts';
import { compileTable } from '#lib/mesh/http/compiled-table.ts';
import { ANY_REQUEST, BLANK_RULE, backendTo } from '#lib/mesh/http/route-table.ts';
import { MapMesh } from '#lib/mesh/map-mesh.ts';
import { HttpBench } from '#lib/net/http/bench.ts';
import { H1Server } from '#lib/net/http/h1-server.ts';
import { H2Server, HTTP_SERVER } from '#lib/net/http/h2-server.ts';
import { Link, NOBODY } from '#lib/net/http/link.ts';
import { LinkTransport } from '#lib/net/http/link-transport.ts';
import { ip, service, workload } from '#lib/testkit/mesh.ts';
import { FrameWriter } from '#lib/wire/h2/frame-writer.ts';
import { HeaderBlock } from '#lib/wire/h2/headers.ts';
import { GrowingOutput } from '#lib/wire/h2/output.ts';
import type { WorkerSettings } from '../control.ts';
import { ExchangeService } from '../listener/service.ts';
import { Observers } from '../telemetry/observer.ts';
import { TraceIds } from '../tracing/ids.ts';
import { Clusters } from '../upstream/clusters.ts';
import { Member } from '../upstream/member.ts';
import { RequestIds } from '../worker/request-ids.ts';
import type { Runtime } from '../worker/runtime.ts';
import { Telemetry } from '../worker/telemetry.ts';
import { Door } from './door.ts';
import { Origin } from './origin.ts';

class FakeLink extends Link {
  sent = 0;
  transmit(_arena: Arena, _start: number, length: number): void {
    this.sent += length;
  }
  pause(): void {}
  resume(): void {}
  finish(): void {}
  close(): void {}
  abort(): void {}
}

const seconds = Number(process.argv[2] ?? 2);
/** The one that is asked for is the last. */
const routes = Array.from({ length: Number(process.env['ROUTES'] ?? 1) }, (_, i) => i).reverse();
const REQUEST = 'GET /service-0/items HTTP/1.1\r\nHost: 127.0.0.1:21002\r\n\r\n';
const BROWSER =
  'GET /service-0/items?page=2 HTTP/1.1\r\nHost: shop.example\r\nUser-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/130.0 Safari/537.36\r\nAccept: text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8\r\nAccept-Language: en-US,en;q=0.5\r\nAccept-Encoding: gzip, deflate, br\r\nCookie: session=0123456789abcdef; theme=dark\r\nX-Request-Id: 4bf92f35-77b3-4da6-a3ce-929d0e0e4736\r\n\r\n';
const RESPONSE = `HTTP/1.1 200 OK\r\nServer: nginx/1.22.1\r\nDate: Sun, 22 Nov 2026 08:20:46 GMT\r\nContent-Type: text/plain\r\nContent-Length: 1024\r\nLast-Modified: Sun, 22 Nov 2026 08:20:00 GMT\r\nConnection: keep-alive\r\nETag: "6921747e-400"\r\nAccept-Ranges: bytes\r\n\r\n${'x'.repeat(1024)}`;

const loop = new Loop();
const bench = new HttpBench(loop);
const mesh = new MapMesh();
mesh.putService(service({ name: 'app', hostname: 'app.x', ports: { 80: 8080 } }));
mesh.putWorkload(
  workload({ name: 'app', ips: ['127.0.0.1'], protocol: 'none', serves: { 'default/app.x': { 80: 8080 } } }),
);
const table = compileTable(
  {
    name: 'routes',
    http: [
      {
        clientNamespace: '',
        exclusiveHosts: false,
        rules: routes.map(() => ({
          ...BLANK_RULE,
          backends: [backendTo({ service: 'default/app.x', port: 80, subset: '' })],
        })),
        hosts: [
          {
            hosts: ['*'],
            entries: routes.map((i, rule) => ({
              rule,
              match: { ...ANY_REQUEST, path: { kind: 'segments', value: `/service-${i}`, ignoreCase: false } },
            })),
          },
        ],
      },
    ],
    tls: [],
    tcp: [],
  },
  undefined,
);
const settings = {
  identity: 'spiffe://cluster.local/ns/x/sa/y',
  ip: '127.0.0.1',
  network: '',
  clusterId: 'Kubernetes',
};
const l7 = {
  version: 1,
  settings: {
    name: 'x/y',
    listeners: [],
    pathNormalisation: 'base',
    defaultRetry: undefined,
    headers: undefined,
    providers: [],
    forwardClientIdentity: false,
    trustedProxies: 0,
    trustDomainAliases: [],
  },
  access: () => policySet([]),
  authenticator: () => undefined,
  telemetry: () => undefined,
  listenerTable: () => table,
  trafficPolicy: () => undefined,
  labels: () => ({}),
};
const NO_TAGS = { nodeId: '', meshId: '', gateway: '', clusterId: '' };
const self = workload({ name: 'waypoint' });
const half: object = {
  settings: settings as WorkerSettings,
  loop,
  bench,
  mesh,
  l7,
  random: Math.random,
  ids: new RequestIds((bytes) => void randomFillSync(bytes)),
  timeouts: { idleMs: 0, headMs: 0, stallMs: 0 },
  self: () => self,
  now: () => performance.timeOrigin + loop.now,
  observers: new Observers({
    accessLog: { enabled: process.argv.includes('log'), format: 'text' },
    facts: { identity: '', hostname: '' },
    tracing: { ids: new TraceIds(() => {}), tags: NO_TAGS, random: Math.random, spansOfTries: false, send: () => {} },
    complain: () => {},
  }),
  connections: { delete() {} },
  telemetry: new Telemetry({
    counters: Counters.create(10_000),
    log: { write: () => true } as never,
    vitals: { setConnections() {} } as never,
    toMain: () => {},
    now: () => performance.timeOrigin + loop.now,
    clusterId: 'Kubernetes',
    isGone: () => false,
  }),
};
const runtime = half as Runtime;
(runtime as { clusters: Clusters }).clusters = new Clusters(runtime);
const servers: FakeLink[] = [];
Member.prototype.dial = (outcome) => {
  const link = new FakeLink(NOBODY);
  servers.push(link);
  outcome.onLink(link, '127.0.0.1:1');
  return { cancel() {} };
};

const door = new Door(runtime, { kind: 'listener', table: 'routes', port: 80 });
const at = { ip: ip('127.0.0.1'), text: '127.0.0.1:5' };
const origin = new Origin(door, undefined, at, at, undefined);
const arrived = { origin, onEnd: () => {} };
const exchanges = new (class extends ExchangeService {
  begun = 0;
  override onRequest(...args: Parameters<ExchangeService['onRequest']>): ReturnType<ExchangeService['onRequest']> {
    this.begun++;
    return super.onRequest(...args);
  }
})(runtime);
const arena = Arena.allocate(RESPONSE.length);
arena.bytes.write(RESPONSE, 0, 'latin1');

/** All servers that were asked answer. */
function answers(asked: number): void {
  for (let i = 0; i < asked; i++) {
    const server = servers[i]!;
    server.owner.onBytes(server, arena, 0, RESPONSE.length);
  }
}

/** `round` handles `each` requests. */
function measure(name: string, each: number, client: FakeLink, round: () => void): void {
  for (let i = 0; i < 50_000 / each; i++) round();
  if (client.sent < 50_000 * 1000) throw new Error(`${name}: only ${client.sent} bytes were answered`);
  const rounds: number[] = [];
  const end = performance.now() + seconds * 1000;
  while (performance.now() < end) {
    const before = process.cpuUsage();
    for (let i = 0; i < 20_000 / each; i++) round();
    const { system, user } = process.cpuUsage(before);
    rounds.push((user + system) / 20);
  }
  rounds.sort((a, b) => a - b);
  console.log(`${name}: ${Math.round(rounds[0]!)} ns a request, median ${Math.round(rounds[rounds.length >> 1]!)}`);
}

function http1(name: string, text: string): void {
  const client = new FakeLink(NOBODY);
  new H1Server(bench, client, exchanges, arrived, runtime.timeouts);
  const request = Arena.allocate(text.length);
  request.bytes.write(text, 0, 'latin1');
  measure(name, 1, client, () => {
    client.owner.onBytes(client, request, 0, text.length);
    bench.cork.flush();
    answers(1);
    bench.cork.flush();
  });
}

/** Eight requests at once, as h2load sends them. */
function http2(name: string): void {
  const EACH = 8;
  const client = new FakeLink(NOBODY);
  let transport: LinkTransport | undefined;
  new H2Server(bench, HTTP_SERVER, exchanges, arrived, runtime.timeouts, (owner) => {
    transport = new LinkTransport(bench, client, owner);
    return transport;
  });
  transport!.begin(null);
  const out = new GrowingOutput();
  const writer = new FrameWriter(out, { onOutputFull() {} });
  const send = (): void => {
    const { offset } = out;
    out.buffer.copy(bench.receive.bytes, 0, 0, offset);
    out.offset = 0;
    client.owner.onBytes(client, bench.receive, 0, offset);
  };
  writer.start({ ...HTTP_SERVER, initialWindowSize: 1 << 30, connectionWindow: 1 << 30 }, true);
  writer.settingsAck();
  writer.windowUpdate(0, 1 << 30);
  send();
  const head = HeaderBlock.request('GET', 'http', '127.0.0.1:21002', '/service-0/items').add('user-agent', 'h2load');
  let id = 1;
  let rounds = 0;
  measure(name, EACH, client, () => {
    for (let i = 0; i < EACH; i++, id += 2) writer.headers(id, head, true, 16_384);
    if (++rounds % 1000 === 0) writer.windowUpdate(0, EACH * 1100 * 1000);
    // A connection's input is looked at in shares of time, so one turn may not see all of it.
    const wanted = exchanges.begun + EACH;
    send();
    while (exchanges.begun < wanted) loop.turn(0);
    bench.cork.flush();
    answers(EACH);
    loop.turn(0);
  });
}

if (process.env['ONLY'] !== 'h2') http1('a small request', REQUEST);
if (process.env['ONLY'] !== 'h2') http1("a browser's", BROWSER);
http2('HTTP/2');
process.exit();
