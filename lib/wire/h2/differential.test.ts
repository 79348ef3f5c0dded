// SPDX-License-Identifier: Apache-2.0
// The engine against Node's own HTTP/2 (nghttp2), in both roles, over real sockets.
import assert from 'node:assert/strict';
import { createHash, randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { type ClientHttp2Session, connect, createServer, type ServerHttp2Stream } from 'node:http2';
import { type AddressInfo, connect as tcpConnect } from 'node:net';
import { after, before, test } from 'node:test';
import { H2Shell } from '#lib/testkit/h2-shell.ts';
import { H2TcpServer } from '#lib/testkit/h2-tcp-server.ts';
import { until } from '#lib/testkit/until.ts';
import type { H2Handler } from './handler.ts';
import { HeaderBlock } from './headers.ts';
import { ErrorCode } from './protocol.ts';
import { type H2Settings, HBONE_CLIENT, HBONE_SERVER } from './settings.ts';
import type { H2Stream } from './stream.ts';

const deadline = { timeout: 150_000 };
const digest = (bytes: Buffer): string => createHash('sha256').update(bytes).digest('hex');

/** What our client has received on one stream. */
interface Answer {
  headers: HeaderBlock | undefined;
  trailers: HeaderBlock | undefined;
  informational: number[];
  chunks: Buffer[];
  code: number;
  done: () => void;
  finished: Promise<void>;
}

function answer(): Answer {
  const { promise, resolve } = Promise.withResolvers<void>();
  return {
    headers: undefined,
    trailers: undefined,
    informational: [],
    chunks: [],
    code: -1,
    done: resolve,
    finished: promise,
  };
}

class Client implements H2Handler {
  shell!: H2Shell;
  goaways: [number, number][] = [];
  pongs: number[] = [];
  errors: string[] = [];
  ready = Promise.withResolvers<void>();
  ponged = Promise.withResolvers<void>();
  goneAway = Promise.withResolvers<void>();

  static async to(port: number, settings: H2Settings = HBONE_CLIENT): Promise<Client> {
    const socket = tcpConnect(port, '127.0.0.1');
    await once(socket, 'connect');
    const client = new Client();
    client.shell = new H2Shell(socket, 'client', settings, () => client);
    await client.ready.promise;
    return client;
  }

  request(headers: HeaderBlock, endStream: boolean): { stream: H2Stream; answer: Answer } {
    const stream = this.shell.connection.request(headers, endStream);
    assert.ok(stream);
    const own = answer();
    stream.userData = own;
    this.shell.flush();
    return { stream, answer: own };
  }

  onHeaders(stream: H2Stream, headers: HeaderBlock, endStream: boolean): void {
    const own = stream.userData as Answer;
    if (headers.status >= 100 && headers.status < 200) own.informational.push(headers.status);
    else if (headers.status > 0) own.headers = headers;
    else own.trailers = headers;
    if (endStream) own.done();
  }
  onData(stream: H2Stream, buffer: Buffer, start: number, end: number, endStream: boolean): void {
    const own = stream.userData as Answer;
    own.chunks.push(Buffer.from(buffer.subarray(start, end)));
    this.shell.connection.consumed(stream, end - start);
    if (endStream) own.done();
  }
  onReset(stream: H2Stream, code: number): void {
    const own = stream.userData as Answer;
    own.code = code;
    own.done();
  }
  onGoaway(last: number, code: number): void {
    this.goaways.push([last, code]);
    this.goneAway.resolve();
  }
  onSettings(): void {
    this.ready.resolve();
  }
  onPong(opaque: number): void {
    this.pongs.push(opaque);
    this.ponged.resolve();
  }
  onSendable(stream: H2Stream): void {
    this.shell.pump(stream);
  }
  onRefused(): void {}
  onDrained(): void {}
  onConnectionError(_code: number, reason: string): void {
    this.errors.push(reason);
    this.ready.reject(new Error(reason));
  }
}

const nodeServer = createServer({ settings: { initialWindowSize: 70_000 } });
nodeServer.on('stream', (stream: ServerHttp2Stream, headers) => {
  stream.on('error', () => {});
  if (headers[':method'] === 'CONNECT' || headers[':path'] === '/echo') {
    stream.respond({ ':status': 200, 'x-authority': String(headers[':authority']) });
    stream.pipe(stream);
  } else if (headers[':path'] === '/trailers') {
    stream.additionalHeaders({ ':status': 103 });
    stream.respond({ ':status': 200 }, { waitForTrailers: true });
    stream.on('wantTrailers', () => stream.sendTrailers({ 'x-checksum': 'abc' }));
    stream.end('body');
  } else if (headers[':path'] === '/reset') stream.close(ErrorCode.refusedStream);
  else if (headers[':path'] === '/goaway') {
    stream.respond({ ':status': 200 });
    stream.session?.goaway(ErrorCode.noError);
    stream.end('bye');
  } else {
    stream.respond({ ':status': 200, 'x-long': 'v'.repeat(Number(headers['x-want'] ?? 1)) });
    stream.end('hello');
  }
});
const ours = new H2TcpServer(HBONE_SERVER);
let nodePort = 0;
let ourPort = 0;

before(async () => {
  ourPort = await ours.listen();
  await once(nodeServer.listen(0, '127.0.0.1'), 'listening');
  nodePort = (nodeServer.address() as AddressInfo).port;
});
after(async () => {
  await ours.close();
  nodeServer.close();
});

async function withNodeClient(body: (session: ClientHttp2Session) => Promise<void>): Promise<void> {
  const session = connect(`http://127.0.0.1:${ourPort}`);
  session.on('error', () => {});
  try {
    await once(session, 'remoteSettings');
    await body(session);
  } finally {
    session.destroy();
  }
}

async function withClient(body: (client: Client) => Promise<void>, settings?: H2Settings): Promise<void> {
  const client = await Client.to(nodePort, settings);
  try {
    await body(client);
  } finally {
    client.shell.close();
  }
  assert.deepEqual(client.errors, []);
}

async function fetchFrom(
  session: ClientHttp2Session,
  headers: Record<string, string>,
  body?: Buffer,
): Promise<{ status: number; headers: Record<string, unknown>; body: Buffer }> {
  const stream = session.request(headers, { endStream: body === undefined });
  if (body !== undefined) stream.end(body);
  const [response] = (await once(stream, 'response')) as [Record<string, unknown>];
  const chunks: Buffer[] = [];
  for await (const chunk of stream) chunks.push(chunk as Buffer);
  return { status: Number(response[':status']), headers: response, body: Buffer.concat(chunks) };
}

test("Node's client gets answers from our server, also for a thousand requests on one connection", deadline, () =>
  withNodeClient(async (session) => {
    for (let round = 0; round < 10; round++) {
      const answers = await Promise.all(
        Array.from({ length: 100 }, (_, i) => fetchFrom(session, { ':path': '/', 'x-round': `${round}-${i}` })),
      );
      answers.forEach((got, i) => {
        assert.equal(got.status, 200);
        assert.equal(got.headers['x-round'], `${round}-${i}`);
        assert.equal(got.body.toString(), 'a small answer\n');
      });
    }
  }),
);

test("Node's client sends and gets back 20 MB through eight streams at once", deadline, () =>
  withNodeClient(async (session) => {
    const bodies = Array.from({ length: 8 }, (_, i) => randomBytes(2_500_000 + i));
    const answers = await Promise.all(
      bodies.map((body) => fetchFrom(session, { ':path': '/echo', ':method': 'POST' }, body)),
    );
    answers.forEach((got, i) => {
      assert.equal(digest(got.body), digest(bodies[i]!));
    });
  }),
);

test("Node's client tunnels through CONNECT, each side ending on its own", deadline, () =>
  withNodeClient(async (session) => {
    const stream = session.request({ ':method': 'CONNECT', ':authority': '10.0.0.1:80' });
    const [response] = (await once(stream, 'response')) as [Record<string, unknown>];
    assert.equal(response[':status'], 200);
    stream.write('ping');
    assert.equal(String((await once(stream, 'data'))[0]), 'ping');
    stream.end();
    stream.resume();
    await once(stream, 'end');
  }),
);

test("Node's client has its PING answered and its reset heard", deadline, () =>
  withNodeClient(async (session) => {
    await new Promise<void>((resolve, reject) => session.ping((error) => (error ? reject(error) : resolve())));
    const stream = session.request({ ':method': 'CONNECT', ':authority': 'a:1' });
    await once(stream, 'response');
    const seen = ours.resets.length;
    stream.on('error', () => {}).destroy(new Error('given up'));
    await until('the reset to arrive', () => ours.resets.length > seen);
    assert.deepEqual(ours.resets.slice(seen), [ErrorCode.internalError]);
  }),
);

test("our client gets informational headers, content and trailers from Node's server", deadline, () =>
  withClient(async (client) => {
    const { answer: got } = client.request(HeaderBlock.request('GET', 'http', 'a', '/trailers'), true);
    await got.finished;
    assert.deepEqual(got.informational, [103]);
    assert.equal(got.headers?.status, 200);
    assert.equal(Buffer.concat(got.chunks).toString(), 'body');
    assert.equal(got.trailers?.get('x-checksum'), 'abc');
  }),
);

test("our client echoes 20 MB through eight tunnels of Node's server", deadline, () =>
  withClient(async (client) => {
    const bodies = Array.from({ length: 8 }, (_, i) => randomBytes(2_500_000 + i));
    const exchanges = bodies.map((body, i) => {
      const exchange = client.request(HeaderBlock.request('CONNECT', '', `10.0.0.${i}:80`, ''), false);
      client.shell.send(exchange.stream, body, true);
      return exchange;
    });
    client.shell.flush();
    await Promise.all(exchanges.map(({ answer: got }) => got.finished));
    exchanges.forEach(({ answer: got }, i) => {
      assert.equal(got.headers?.get('x-authority'), `10.0.0.${i}:80`);
      assert.equal(digest(Buffer.concat(got.chunks)), digest(bodies[i]!));
    });
  }),
);

test("our client reads header sections that Node's server spreads over CONTINUATION", deadline, () =>
  withClient(
    async (client) => {
      for (const size of [1, 100, 16_384, 40_000]) {
        const headers = HeaderBlock.request('GET', 'http', 'a', '/').add('x-want', String(size));
        const { answer: got } = client.request(headers, true);
        await got.finished;
        assert.equal(got.headers?.get('x-long')?.length, size);
      }
    },
    { ...HBONE_CLIENT, maxHeaderListSize: 65_536 },
  ),
);

test("our client hears Node's RST_STREAM, PONG and GOAWAY", deadline, () =>
  withClient(async (client) => {
    const reset = client.request(HeaderBlock.request('GET', 'http', 'a', '/reset'), true);
    await reset.answer.finished;
    assert.equal(reset.answer.code, ErrorCode.refusedStream);
    client.shell.connection.ping(4711);
    client.shell.flush();
    await client.ponged.promise;
    assert.deepEqual(client.pongs, [4711]);
    const last = client.request(HeaderBlock.request('GET', 'http', 'a', '/goaway'), true);
    await client.goneAway.promise;
    await last.answer.finished;
    assert.equal(Buffer.concat(last.answer.chunks).toString(), 'bye');
    assert.equal(client.shell.connection.request(HeaderBlock.request('GET', 'http', 'a', '/'), true), null);
  }),
);

test('our client and our server understand each other in large frames', deadline, async () => {
  const client = await Client.to(ourPort);
  try {
    const body = randomBytes(30_000_000);
    const { stream, answer: got } = client.request(HeaderBlock.request('CONNECT', '', 'a:1', ''), false);
    client.shell.send(stream, body, true);
    client.shell.flush();
    await got.finished;
    assert.equal(digest(Buffer.concat(got.chunks)), digest(body));
  } finally {
    client.shell.close();
  }
});
